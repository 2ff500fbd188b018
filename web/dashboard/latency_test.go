package dashboard

import (
	"math"
	"testing"
	"time"
)

// buckets makes a histogram of 1 ms, 10 ms and 100 ms from how many values each bucket holds, the
// last one above all.
func buckets(n ...uint64) Histogram {
	bounds := []float64{0.001, 0.01, 0.1}
	var h Histogram
	for i, n := range n {
		h.Count += n
		if i < len(bounds) {
			h.Bounds, h.Counts = append(h.Bounds, bounds[i]), append(h.Counts, h.Count)
		}
	}
	return h
}

func TestPercentiles(t *testing.T) {
	tests := []struct {
		name        string
		before, now Histogram
		q           float64
		want        percentile
	}{
		{"nothing delivered", buckets(5, 5), buckets(5, 5), 0.5, percentile{}},
		{"no buckets at all", Histogram{}, Histogram{}, 0.5, percentile{}},
		{"in the middle of a bucket", buckets(), buckets(0, 100, 0, 0), 0.5, percentile{Known: true, Latency: 5500 * time.Microsecond}},
		{"only the growth counts", buckets(1000, 0, 0, 0), buckets(1000, 100, 0, 0), 0.5, percentile{Known: true, Latency: 5500 * time.Microsecond}},
		{"across buckets", buckets(), buckets(90, 10, 0, 0), 0.95, percentile{Known: true, Latency: 5500 * time.Microsecond}},
		{"exactly at a bound", buckets(), buckets(50, 50, 0, 0), 0.5, percentile{Known: true, Latency: time.Millisecond}},
		{"empty buckets between", buckets(), buckets(50, 0, 50, 0), 0.75, percentile{Known: true, Latency: 55 * time.Millisecond}},
		{"above all bounds", buckets(), buckets(1, 0, 0, 99), 0.99, percentile{Known: true, Latency: 100 * time.Millisecond, Above: true}},
		{"a counter that fell", buckets(9, 9, 9, 9), buckets(1, 0, 0, 0), 0.5, percentile{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := delta(tt.before, tt.now).percentile(tt.q)
			if got.Known != tt.want.Known || got.Above != tt.want.Above || (got.Latency-tt.want.Latency).Abs() > time.Microsecond {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// Prometheus libraries differ in whether the last bucket, +Inf, stands in the list.
func TestInfinityMayBeListed(t *testing.T) {
	h := buckets(10, 0, 0, 90)
	h.Bounds, h.Counts = append(h.Bounds, math.Inf(1)), append(h.Counts, 100)
	if got := delta(Histogram{}, h).percentile(0.99); !got.Above || got.Latency != 100*time.Millisecond {
		t.Errorf("got %+v", got)
	}
}

// Two instances of different versions may have different buckets.
func TestPlusOfDifferentBounds(t *testing.T) {
	coarse := Histogram{Bounds: []float64{0.1}, Counts: []uint64{100}, Count: 100}
	sum := delta(Histogram{}, coarse).plus(delta(Histogram{}, buckets(100, 0, 0, 0)))
	var n uint64
	for _, b := range sum {
		n += b.n
	}
	if n != 200 {
		t.Errorf("the sum holds %d values, want 200", n)
	}
	if got := sum.percentile(0.25).Latency; got != 500*time.Microsecond {
		t.Errorf("p25 = %v, want 500µs", got)
	}
}
