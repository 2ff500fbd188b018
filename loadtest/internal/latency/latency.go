// Package latency measures durations precisely where it matters: in the slowest thousandth.
//
//	worker   ──▶ Tally.Record
//	worker   ──▶ Tally.Take ──▶ one second of it, as JSON to whoever merges the workers' tallies
//	scenario ──▶ Tally.Merge, Tally.Summary
//
// Values are kept to a microsecond or three digits, whichever is coarser; minimum, maximum and mean
// are exact. None of it is safe for use by several goroutines at once.
package latency

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Longest is the longest time that is told apart from longer ones, but for the maximum.
const Longest = time.Hour

// The digits that are kept: a tally of three takes 0.2 MiB, one of two 24 KiB.
const (
	Fine   = 3
	Coarse = 2
)

// A Tally is a number of durations. Make it with New.
type Tally struct {
	h        *hdrhistogram.Histogram // of microseconds
	count    uint64
	sum      time.Duration
	min, max time.Duration
}

// New returns an empty tally that keeps so many digits.
func New(digits int) *Tally { return &Tally{h: hdrhistogram.New(1, Longest.Microseconds(), digits)} }

// Record takes a duration; one below 0 counts as 0.
func (t *Tally) Record(d time.Duration) {
	d = max(d, 0)
	if t.count == 0 || d < t.min {
		t.min = d
	}
	t.max = max(t.max, d)
	t.sum += d
	t.count++
	_ = t.h.RecordValue(min(d, Longest).Microseconds()) // can't fail: the value is in the range
}

// Count returns how many durations there are.
func (t *Tally) Count() uint64 { return t.count }

// Merge adds the durations of another tally; nil has none.
func (t *Tally) Merge(o *Tally) {
	if o == nil || o.count == 0 {
		return
	}
	if t.count == 0 || o.min < t.min {
		t.min = o.min
	}
	t.max = max(t.max, o.max)
	t.sum += o.sum
	t.count += o.count
	t.h.Merge(o.h)
}

// Reset takes all durations out.
func (t *Tally) Reset() {
	if t.count > 0 {
		t.h.Reset()
	}
	*t = Tally{h: t.h}
}

// Take returns all durations and takes them out; nil when there are none.
func (t *Tally) Take() *Tally {
	if t.count == 0 {
		return nil
	}
	taken := *t
	*t = Tally{h: hdrhistogram.New(1, Longest.Microseconds(), int(t.h.SignificantFigures()))}
	return &taken
}

// Histogram returns the durations in microseconds, for histogram formats, not to be changed.
func (t *Tally) Histogram() *hdrhistogram.Histogram { return t.h }

// A Summary describes a number of durations; all are 0 when Count is.
type Summary struct {
	Count                uint64
	Min, Avg, Max        time.Duration
	P50, P95, P99, P99_9 time.Duration
}

// Summary describes the tally; nil is empty.
func (t *Tally) Summary() Summary {
	if t == nil || t.count == 0 {
		return Summary{}
	}
	return Summary{
		Count: t.count,
		Min:   t.min, Avg: t.sum / time.Duration(t.count), Max: t.max,
		P50: t.At(50), P95: t.At(95), P99: t.At(99), P99_9: t.At(99.9),
	}
}

// At returns a percentile, kept within the exact edges, which the histogram rounds past.
func (t *Tally) At(percent float64) time.Duration {
	d := time.Duration(t.h.ValueAtPercentile(percent)) * time.Microsecond
	return min(max(d, t.min), t.max)
}

type packed struct {
	H             string // HDR, V2 compressed, in base64
	Count         uint64
	Sum, Min, Max time.Duration
}

// MarshalJSON writes all of it.
func (t *Tally) MarshalJSON() ([]byte, error) {
	h, err := t.h.EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("encode a histogram: %w", err)
	}
	return json.Marshal(packed{H: string(h), Count: t.count, Sum: t.sum, Min: t.min, Max: t.max})
}

func (t *Tally) UnmarshalJSON(text []byte) error {
	var p packed
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	h, err := hdrhistogram.Decode([]byte(p.H))
	if err != nil {
		return fmt.Errorf("decode a histogram: %w", err)
	}
	*t = Tally{h: h, count: p.Count, sum: p.Sum, min: p.Min, max: p.Max}
	return nil
}
