// Package latency measures how long things take, for many goroutines at once, without losing precision where it matters:
// in the slowest thousandth.
//
//	member ──▶ Lane.Record          one HDR histogram per lane, each with its own lock
//	scenario ──▶ Recorder.Count     how many there are by now, for the progress line
//	scenario ──▶ Recorder.Rotate    once a second: the second that just ended, for the progress line
//	report ◀── Recorder.Total       the whole run: all lanes merged
//
// Values are kept to a microsecond or three digits, whichever is coarser; minimum, maximum and mean are exact.
package latency

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Longest is the longest time that is told apart from longer ones, but for the maximum.
const Longest = time.Hour

// A Recorder collects durations. Its lanes may be used by as many goroutines as there are, each lane by any of them.
type Recorder struct {
	lanes []Lane

	mu    sync.Mutex
	total tally
	last  tally // scratch space of Rotate
}

// New returns a recorder with so many lanes. A lane costs about 0.2 MiB.
func New(lanes int) *Recorder {
	r := &Recorder{lanes: make([]Lane, lanes), total: newTally(), last: newTally()}
	for i := range r.lanes {
		r.lanes[i].since = newTally()
	}
	return r
}

// Lane returns lane i, counted around when there are fewer.
func (r *Recorder) Lane(i int) *Lane { return &r.lanes[i%len(r.lanes)] }

// A Lane takes the durations that some of the goroutines record.
type Lane struct {
	mu    sync.Mutex
	since tally // the last rotation
}

// Record takes a duration; one below 0 counts as 0.
func (l *Lane) Record(d time.Duration) {
	l.mu.Lock()
	l.since.record(max(d, 0))
	l.mu.Unlock()
}

// Rotate returns what was recorded since the last Rotate or Total.
func (r *Recorder) Rotate() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rotate()
}

func (r *Recorder) rotate() Summary {
	r.last.reset()
	for i := range r.lanes {
		l := &r.lanes[i]
		l.mu.Lock()
		if l.since.count > 0 {
			r.last.merge(&l.since)
			l.since.reset()
		}
		l.mu.Unlock()
	}
	if r.last.count > 0 {
		r.total.merge(&r.last)
	}
	return r.last.summary()
}

// Count returns how many durations were recorded until now.
func (r *Recorder) Count() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.total.count
	for i := range r.lanes {
		l := &r.lanes[i]
		l.mu.Lock()
		n += l.since.count
		l.mu.Unlock()
	}
	return n
}

// Total returns all that was ever recorded.
func (r *Recorder) Total() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotate()
	return r.total.summary()
}

// A Summary describes a number of durations; all are 0 when Count is.
type Summary struct {
	Count                uint64
	Min, Avg, Max        time.Duration
	P50, P95, P99, P99_9 time.Duration
}

// A tally is a histogram with its exact edges.
type tally struct {
	h        *hdrhistogram.Histogram // of microseconds
	count    uint64
	sum      time.Duration
	min, max time.Duration
}

func newTally() tally { return tally{h: hdrhistogram.New(1, Longest.Microseconds(), 3)} }

func (t *tally) record(d time.Duration) {
	if t.count == 0 || d < t.min {
		t.min = d
	}
	t.max = max(t.max, d)
	t.sum += d
	t.count++
	_ = t.h.RecordValue(min(d, Longest).Microseconds()) // can't fail: the value is in the range
}

func (t *tally) merge(o *tally) {
	if t.count == 0 || o.min < t.min {
		t.min = o.min
	}
	t.max = max(t.max, o.max)
	t.sum += o.sum
	t.count += o.count
	t.h.Merge(o.h)
}

func (t *tally) reset() {
	if t.count > 0 {
		t.h.Reset()
	}
	*t = tally{h: t.h}
}

func (t *tally) summary() Summary {
	if t.count == 0 {
		return Summary{}
	}
	return Summary{
		Count: t.count,
		Min:   t.min, Avg: t.sum / time.Duration(t.count), Max: t.max,
		P50: t.at(50), P95: t.at(95), P99: t.at(99), P99_9: t.at(99.9),
	}
}

// at returns a percentile, kept between the exact edges, past which the histogram's rounding may put it.
func (t *tally) at(percent float64) time.Duration {
	d := time.Duration(t.h.ValueAtPercentile(percent)) * time.Microsecond
	return min(max(d, t.min), t.max)
}
