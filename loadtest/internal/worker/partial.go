//go:build linux

package worker

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
)

// A Tick is how far a worker is. Once a second it tells what that was like, too.
type Tick struct {
	Connected                int
	Sent, Received, Failures uint64 // since the beginning

	Second       bool           // what follows is told
	CPU          float64        `json:",omitempty"` // of one core; 0 when the part of a second was too short to tell
	Latency, Lag *latency.Tally `json:",omitempty"`
}

// A Partial is what one worker measured.
type Partial struct {
	Counts  // of its whole life
	Tallies // of what came since the last Partial

	Rooms      []RoomPart
	Last       uint64 // when the last message arrived
	Failures   []failure.Count
	CPUSeconds float64
	PeakMemory uint64
}

// Counts are what a worker counted, or the sum or difference of several.
type Counts struct {
	Joined, Missing          uint64 // members; Missing: joined, and not connected at the end
	Broken, Resumed, Dropped uint64 // connections; Dropped: ended on purpose
	Visited                  uint64 // members that left for good
	SlowMembers, SlowBroken  uint64

	Due, Sent, Failed, NotSent, Late     uint64 // messages to send
	Received                             uint64 // messages that arrived, each counted once
	Damaged, Misrouted, Unreadable, Gaps uint64
	FailureTotal, BytesReceived          uint64

	Messages, Echoes, Slow, Visits delivery.Totals
}

// Add adds another worker's counts.
func (c *Counts) Add(o Counts) {
	added := o.fields()
	for i, field := range c.fields() {
		*field += *added[i]
	}
}

// Sub subtracts earlier counts of the same workers.
func (c *Counts) Sub(o Counts) {
	earlier := o.fields()
	for i, field := range c.fields() {
		*field -= *earlier[i]
	}
}

func (c *Counts) fields() []*uint64 {
	return slices.Concat([]*uint64{
		&c.Joined, &c.Missing, &c.Broken, &c.Resumed, &c.Dropped, &c.Visited, &c.SlowMembers, &c.SlowBroken,
		&c.Due, &c.Sent, &c.Failed, &c.NotSent, &c.Late, &c.Received, &c.Damaged, &c.Misrouted, &c.Unreadable, &c.Gaps,
		&c.FailureTotal, &c.BytesReceived,
	}, c.Messages.Fields(), c.Echoes.Fields(), c.Slow.Fields(), c.Visits.Fields())
}

// Tallies are the durations that a run measures.
type Tallies struct {
	Latency, Live, Connects, Offline, Replay, Sends, Lag, SlowLatency *latency.Tally
}

func NewTallies() (t Tallies) {
	for _, one := range t.all() {
		*one = latency.New(latency.Fine)
	}
	return t
}

// Merge adds the durations of others; nil ones are empty.
func (t *Tallies) Merge(o *Tallies) {
	others := o.all()
	for i, one := range t.all() {
		(*one).Merge(*others[i])
	}
}

// take returns all durations, and leaves t empty.
func (t *Tallies) take() (taken Tallies) {
	all := taken.all()
	for i, one := range t.all() {
		*all[i] = (*one).Take()
	}
	return taken
}

func (t *Tallies) all() []**latency.Tally {
	return []**latency.Tally{&t.Latency, &t.Live, &t.Connects, &t.Offline, &t.Replay, &t.Sends, &t.Lag, &t.SlowLatency}
}

// A RoomPart is what the members of one room have received.
type RoomPart struct {
	Members  int
	Required int // those that must have every message in time
	Totals   delivery.Totals
	Latency  *latency.Tally
	Arrivals []Arrivals // by stream
}

// Arrivals is, by number in a stream, how many members have a message, and when the last got it.
type Arrivals []arrival

// Each calls f for each message, with the time in µs from when it was due to its last receiver.
func (a Arrivals) Each(f func(seq int, count, lastMicros uint32)) {
	for i, x := range a {
		f(i, x.count, x.last)
	}
}

// Merge returns the arrivals at the members of both.
func (a Arrivals) Merge(b Arrivals) Arrivals {
	if len(a) < len(b) {
		a, b = b, a
	}
	merged := append(Arrivals(nil), a...)
	for i, x := range b {
		merged[i].count += x.count
		merged[i].last = max(merged[i].last, x.last)
	}
	return merged
}

// MarshalJSON writes eight bytes a message, in base64.
func (a Arrivals) MarshalJSON() ([]byte, error) {
	p := make([]byte, 0, 8*len(a))
	for _, x := range a {
		p = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(p, x.count), x.last)
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(p))
}

func (a *Arrivals) UnmarshalJSON(text []byte) error {
	var p []byte
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if len(p)%8 != 0 {
		return fmt.Errorf("arrivals of %d bytes", len(p))
	}
	*a = make(Arrivals, len(p)/8)
	for i := range *a {
		(*a)[i] = arrival{count: binary.LittleEndian.Uint32(p[8*i:]), last: binary.LittleEndian.Uint32(p[8*i+4:])}
	}
	return nil
}

func (w *Worker) partial(accepted []delivery.Set) *Partial {
	w.mergeSecond()
	p := &Partial{Counts: w.counts, Last: w.last, Tallies: w.tallies.take(), Failures: w.failures.Counts()}
	p.Joined, p.FailureTotal, p.BytesReceived = uint64(len(w.joined)), w.failures.Total(), w.loop.Received
	cpu, peak := machine.Used()
	p.CPUSeconds, p.PeakMemory = cpu.Seconds(), peak
	p.Rooms = make([]RoomPart, len(w.rooms))
	for i := range w.rooms {
		r := &w.rooms[i]
		part := &p.Rooms[i]
		part.Required = r.required
		if r.latency != nil {
			part.Latency = r.latency.Take()
		}
		for _, a := range r.arrivals {
			part.Arrivals = append(part.Arrivals, a)
		}
	}
	for _, m := range w.joined {
		w.addMember(p, m, accepted)
	}
	return p
}

func (w *Worker) addMember(p *Partial, m *member, accepted []delivery.Set) {
	if !m.joined {
		p.Missing++
	}
	if m.echo != nil {
		p.Echoes.Add(m.echo.answers.Totals(&m.echo.sent))
	}
	if m.churning {
		p.Visits.Add(m.tracker.VisitTotals())
		return
	}
	score := m.tracker.Totals(w.streams(m, accepted)...)
	if m.slow {
		p.SlowMembers++
		p.Slow.Add(score)
		return
	}
	p.Messages.Add(score)
	p.Rooms[m.room].Members++
	p.Rooms[m.room].Totals.Add(score)
}
