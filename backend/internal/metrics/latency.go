package metrics

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A latency is a histogram of durations, with classic and native buckets, for what is observed once
// for each delivered message. Prometheus's own took a sixth of all CPU time in a flood, because it
// takes one value at a time: see BenchmarkLatency.
//
// It counts in cells: ranges of whole microseconds that lie within one classic and one native
// bucket, so that a run of durations in the same cell is one addition, and buckets are made of
// cells when they are asked for.
type latency struct {
	desc  *prometheus.Desc
	began time.Time
	sum   atomic.Int64 // in µs
	cells []atomic.Uint64

	traced exemplars
}

// A cell has durations above the one before it, up to its own.
type cell struct {
	upTo   int64 // µs
	native int   // the index of its native bucket
	bound  int   // the index of its classic one
}

const (
	// nativeSchema makes eight native buckets of each power of two: each is 9 % wide.
	nativeSchema    = 3
	nativePerDouble = 1 << nativeSchema
	// nativeFirst and nativeLast are the native buckets of 1 µs and of some 17 minutes; what takes
	// longer is counted with those.
	nativeFirst = -20 * nativePerDouble
	nativeLast  = 10 * nativePerDouble
	// nativeZero is where a native histogram begins to tell durations from nothing: Prometheus's
	// own default.
	nativeZero = prometheus.DefNativeHistogramZeroThreshold
)

var cells = makeCells()

// makeCells cuts time at each bound of either kind.
func makeCells() []cell {
	native := make([]int64, 0, nativeLast-nativeFirst+1) // the upper bounds of the native buckets, from nativeFirst on
	for i := nativeFirst; i <= nativeLast; i++ {
		native = append(native, int64(math.Exp2(float64(i)/nativePerDouble)*1e6))
	}
	classic := make([]int64, len(seconds))
	for i, s := range seconds {
		classic[i] = int64(math.Round(s * 1e6))
	}
	bounds := append(slices.Concat(native, classic), 0)
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	cells := make([]cell, len(bounds))
	for i, b := range bounds {
		n, _ := slices.BinarySearch(native, b)
		c, _ := slices.BinarySearch(classic, b)
		cells[i] = cell{b, nativeFirst + n, c}
	}
	return cells
}

func newLatency(name, help string, labels prometheus.Labels) *latency {
	return &latency{desc: prometheus.NewDesc(name, help, nil, labels), began: time.Now(), cells: make([]atomic.Uint64, len(cells)),
		traced: make(exemplars, len(seconds)+1)}
}

// observe counts durations, which may be below 0 where clocks differ: as 0 then.
func (l *latency) observe(durations []time.Duration) {
	var sum int64
	var n uint64
	at, above, upTo := 0, int64(-1), int64(-1) // the cell of the run, and its range; none at first
	for _, d := range durations {
		v := max(d.Microseconds(), 0)
		sum += v
		if v <= above || v > upTo {
			if n > 0 {
				l.cells[at].Add(n)
			}
			at, above, upTo = find(v)
			n = 0
		}
		n++
	}
	if n > 0 {
		l.cells[at].Add(n)
	}
	l.sum.Add(sum)
}

// find returns the cell of so many microseconds, and its range.
func find(v int64) (at int, above, upTo int64) {
	at, _ = slices.BinarySearchFunc(cells, v, func(c cell, v int64) int { return int(c.upTo - v) })
	if at == len(cells) {
		return at - 1, cells[at-1].upTo, math.MaxInt64
	}
	if at == 0 {
		return 0, -1, 0
	}
	return at, cells[at-1].upTo, cells[at].upTo
}

// Describe implements prometheus.Collector.
func (l *latency) Describe(to chan<- *prometheus.Desc) { to <- l.desc }

// Collect implements prometheus.Collector.
func (l *latency) Collect(to chan<- prometheus.Metric) { to <- l }

// Desc implements prometheus.Metric.
func (l *latency) Desc() *prometheus.Desc { return l.desc }

// A Histogram counts latencies: Counts[i] are those up to Bounds[i] seconds, smaller ones included.
type Histogram struct {
	Bounds []float64 // shared by all histograms: not to be changed
	Counts []uint64
	Count  uint64 // those above the last bound too
}

// add adds what other counted, in the same buckets.
func (h *Histogram) add(other Histogram) {
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Count += other.Count
}

// histogram returns what was observed until now, in classic buckets.
func (l *latency) histogram() Histogram {
	h, _, _ := l.read()
	return h
}

// read makes both kinds of buckets of the cells: the native ones by their index, and the native one
// of nothing.
func (l *latency) read() (h Histogram, native map[int]int64, zero uint64) {
	h = Histogram{Bounds: seconds, Counts: make([]uint64, len(seconds))}
	native = map[int]int64{}
	for i, c := range cells {
		n := l.cells[i].Load()
		h.Count += n
		if c.bound < len(seconds) {
			h.Counts[c.bound] += n
		}
		switch {
		case n == 0:
		case c.upTo == 0:
			zero = n
		default:
			native[c.native] += int64(n)
		}
	}
	for i := 1; i < len(h.Counts); i++ {
		h.Counts[i] += h.Counts[i-1]
	}
	return h, native, zero
}

// Write implements prometheus.Metric. Durations that are observed meanwhile may be in the sum and
// not yet in the buckets.
func (l *latency) Write(to *dto.Metric) error {
	read, native, zero := l.read()
	sum := float64(l.sum.Load()) / 1e6
	h, err := prometheus.NewConstNativeHistogram(l.desc, read.Count, sum, native, nil, zero, nativeSchema, nativeZero, l.began)
	if err != nil {
		return err
	}
	if err := h.Write(to); err != nil {
		return err
	}
	for i := range read.Bounds {
		to.Histogram.Bucket = append(to.Histogram.Bucket,
			&dto.Bucket{UpperBound: &read.Bounds[i], CumulativeCount: &read.Counts[i], Exemplar: l.traced.of(i)})
	}
	if beyond := l.traced.of(len(read.Bounds)); beyond != nil {
		infinite := math.Inf(1)
		to.Histogram.Bucket = append(to.Histogram.Bucket, &dto.Bucket{UpperBound: &infinite, CumulativeCount: &read.Count, Exemplar: beyond})
	}
	for i := range l.traced { // those of native buckets are a list
		if e := l.traced.of(i); e != nil {
			to.Histogram.Exemplars = append(to.Histogram.Exemplars, e)
		}
	}
	to.Label = prometheus.MakeLabelPairs(l.desc, nil)
	return nil
}
