//go:build linux

package worker

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
)

// A Tick is how far a worker is. Once a second it tells what that was like, too.
type Tick struct {
	Connected, Staying       int
	Sent, Received, Failures uint64 // since the beginning

	Second       bool           // what follows is told
	CPU          float64        `json:",omitempty"` // of one core; 0 when the part of a second was too short to tell
	Latency, Lag *latency.Tally `json:",omitempty"`
}

// A Partial is what one worker measured. Counts are of its whole life; the tallies of what came since the last one.
type Partial struct {
	Joined, Missing          int // Missing: joined, and not connected at the end
	Broken, Resumed, Dropped int
	Visited                  int

	Due, Sent, Failed, NotSent, Late     uint64
	Damaged, Misrouted, Unreadable, Gaps uint64
	Score, Echoes, Slow, Visits          account.Score
	SlowMembers, SlowBroken              int
	Rooms                                []RoomPart
	Last                                 uint64 // when the last message arrived
	Latency, Live, Connects, Offline     *latency.Tally
	Replay, Sends, Lag, SlowLatency      *latency.Tally
	Failures                             []failure.Count
	FailureTotal                         uint64
	BytesReceived                        uint64
	CPUSeconds                           float64
	PeakMemory                           uint64
}

// A RoomPart is what the members of one room have received.
type RoomPart struct {
	Members  int
	Whole    int // those that must have every message in time
	Score    account.Score
	Latency  *latency.Tally
	Arrivals []Arrivals // by stream
}

// Arrivals is, by number of a stream's message, how many members have it, and when the last one got it.
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

// UnmarshalJSON reads what MarshalJSON wrote.
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

// partial adds everything up.
func (w *Worker) partial(accepted []account.Set) *Partial {
	c := w.counts
	w.roll()
	p := &Partial{
		Joined: len(w.joined), Broken: c.broken, Resumed: c.resumed, Dropped: c.dropped, SlowBroken: c.slowBroken, Visited: w.visited,
		Due: c.dueMessages, Sent: c.sent, Failed: c.failed, NotSent: c.notSent, Late: c.late,
		Damaged: c.damaged, Misrouted: c.misrouted, Unreadable: c.unreadable, Gaps: c.gaps,
		Visits: w.visits, Last: w.last, BytesReceived: w.loop.Received,
		Latency: w.latency.Take(), Live: w.live.Take(), Connects: w.connects.Take(), Offline: w.offline.Take(),
		Replay: w.replay.Take(), Sends: w.sends.Take(), Lag: w.lag.Take(), SlowLatency: w.slow.Take(),
		Failures: w.failures.Counts(), FailureTotal: w.failures.Total(),
	}
	cpu, peak := machine.Used()
	p.CPUSeconds, p.PeakMemory = cpu.Seconds(), peak
	p.Rooms = make([]RoomPart, len(w.rooms))
	for i := range w.rooms {
		r := &w.rooms[i]
		part := &p.Rooms[i]
		part.Whole = r.members
		if r.latency != nil {
			part.Latency = r.latency.Take()
		}
		for _, a := range r.arrivals {
			part.Arrivals = append(part.Arrivals, a)
		}
	}
	for _, m := range w.joined {
		w.enter(p, m, accepted)
	}
	return p
}

// enter adds one member's outcome.
func (w *Worker) enter(p *Partial, m *member, accepted []account.Set) {
	if !m.seated {
		p.Missing++
	}
	if m.echo != nil {
		p.Echoes.Add(m.echo.answers.Score(&m.echo.sent))
	}
	if m.fleeting {
		p.Visits.Add(m.ledger.Visit())
		return
	}
	score := m.ledger.Score(w.streams(m, accepted)...)
	if m.slow {
		p.SlowMembers++
		p.Slow.Add(score)
		return
	}
	p.Score.Add(score)
	p.Rooms[m.room].Members++
	p.Rooms[m.room].Score.Add(score)
}
