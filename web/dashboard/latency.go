package dashboard

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// latencies tells how many deliveries of some window took how long, in rising order. Each bin knows
// both its bounds, so that instances of different versions, with different buckets, can be added
// up.
type latencies []bin

// A bin counts the values above lower up to and including upper, in seconds. The last upper bound
// is +Inf.
type bin struct {
	lower, upper float64
	n            uint64
}

// delta returns what a histogram gained since an earlier reading of the same instance.
func delta(before, now Histogram) latencies {
	was := make(map[float64]uint64, len(before.Bounds))
	for i, bound := range before.Bounds[:before.len()] {
		was[bound] = before.Counts[i]
	}
	gain := make(latencies, 0, now.len()+1)
	var lower float64
	var counted uint64
	next := func(upper float64, cumulative uint64) {
		gain = append(gain, bin{lower, upper, minus(cumulative, counted)})
		lower, counted = upper, max(counted, cumulative)
	}
	for i, bound := range now.Bounds[:now.len()] {
		if !math.IsInf(bound, 1) {
			next(bound, minus(now.Counts[i], was[bound]))
		}
	}
	next(math.Inf(1), minus(now.Count, before.Count))
	return gain
}

// len is the number of buckets: another version's histogram may lack a part.
func (h Histogram) len() int { return min(len(h.Bounds), len(h.Counts)) }

// minus is a-b for counters, 0 where a counter fell.
func minus(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// plus returns the sum of both.
func (l latencies) plus(other latencies) latencies {
	sum := slices.Concat(l, other)
	slices.SortFunc(sum, func(a, b bin) int {
		return cmp.Or(cmp.Compare(a.upper, b.upper), cmp.Compare(a.lower, b.lower))
	})
	merged := sum[:0]
	for _, b := range sum {
		if last := len(merged) - 1; last >= 0 && merged[last].upper == b.upper && merged[last].lower == b.lower {
			merged[last].n += b.n
			continue
		}
		merged = append(merged, b)
	}
	return merged
}

// A percentile is a latency that a share of all deliveries did not exceed. The zero value says that
// nothing was delivered.
type percentile struct {
	Known   bool
	Latency time.Duration
	// Above says that it lies above the largest bound, which Latency then is.
	Above bool
}

// percentile returns the percentile q, 0 < q < 1, as if the values of a bin were spread evenly over
// it.
func (l latencies) percentile(q float64) percentile {
	var total uint64
	for _, b := range l {
		total += b.n
	}
	rank, below := q*float64(total), 0.0
	for _, b := range l {
		n := float64(b.n)
		if b.n == 0 || below+n < rank {
			below += n
			continue
		}
		if math.IsInf(b.upper, 1) {
			return percentile{Known: true, Latency: seconds(b.lower), Above: true}
		}
		return percentile{Known: true, Latency: seconds(b.lower + (b.upper-b.lower)*(rank-below)/n)}
	}
	return percentile{}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
