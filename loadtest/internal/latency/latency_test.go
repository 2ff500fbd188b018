package latency

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestTotalMergesLanes(t *testing.T) {
	r := New(3)
	for i := 1; i <= 1000; i++ {
		r.Lane(i).Record(time.Duration(i) * ms)
	}
	got := r.Total()
	want := Summary{
		Count: 1000, Min: ms, Avg: 500_500 * time.Microsecond, Max: 1000 * ms,
		P50: 500 * ms, P95: 950 * ms, P99: 990 * ms, P99_9: 999 * ms,
	}
	if got.Count != want.Count || got.Min != want.Min || got.Avg != want.Avg || got.Max != want.Max {
		t.Errorf("count and edges\n got %+v\nwant %+v", got, want)
	}
	for _, p := range []struct {
		name      string
		got, want time.Duration
	}{
		{"P50", got.P50, want.P50}, {"P95", got.P95, want.P95}, {"P99", got.P99, want.P99}, {"P99.9", got.P99_9, want.P99_9},
	} {
		if diff := (p.got - p.want).Abs(); diff > p.want/1000+time.Microsecond {
			t.Errorf("%s = %v, want %v to three digits", p.name, p.got, p.want)
		}
	}
}

// Against the exact answer, from sorting, over six orders of magnitude.
func TestPercentilesToThreeDigits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := New(4)
	var all []time.Duration
	for i := range 50_000 {
		d := time.Duration(rng.ExpFloat64() * float64(20*ms))
		all = append(all, d)
		r.Lane(i).Record(d)
	}
	slices.Sort(all)
	got := r.Total()
	for _, p := range []struct {
		percent float64
		got     time.Duration
	}{{50, got.P50}, {95, got.P95}, {99, got.P99}, {99.9, got.P99_9}} {
		want := all[int(p.percent/100*float64(len(all)))-1]
		if diff := (p.got - want).Abs(); diff > want/1000+time.Microsecond {
			t.Errorf("P%v = %v, want %v", p.percent, p.got, want)
		}
	}
	if got.Min != all[0] || got.Max != all[len(all)-1] {
		t.Errorf("from %v to %v, want %v to %v", got.Min, got.Max, all[0], all[len(all)-1])
	}
}

func TestRotateGivesWhatCameSince(t *testing.T) {
	r := New(2)
	r.Lane(0).Record(10 * ms)
	r.Lane(1).Record(20 * ms)
	if got := r.Rotate(); got.Count != 2 || got.Max != 20*ms {
		t.Errorf("first second: %+v", got)
	}
	r.Lane(1).Record(5 * ms)
	if got := r.Rotate(); got.Count != 1 || got.Min != 5*ms || got.Max != 5*ms || got.P99 != 5*ms {
		t.Errorf("second second: %+v", got)
	}
	if got := r.Rotate(); got != (Summary{}) {
		t.Errorf("a second without anything: %+v", got)
	}
	if got := r.Total(); got.Count != 3 || got.Min != 5*ms || got.Max != 20*ms {
		t.Errorf("total: %+v", got)
	}
}

func TestExtremes(t *testing.T) {
	r := New(1)
	r.Lane(0).Record(-ms)
	r.Lane(0).Record(3 * Longest)
	if got := r.Total(); got.Min != 0 || got.Max != 3*Longest || got.Count != 2 {
		t.Errorf("%+v", got)
	}
	if got := New(1).Total(); got != (Summary{}) {
		t.Errorf("nothing recorded: %+v", got)
	}
}

func TestManyGoroutines(t *testing.T) {
	r := New(2)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				r.Lane(i).Record(ms)
			}
		})
	}
	var seen uint64
	for range 50 {
		seen += r.Rotate().Count
	}
	wg.Wait()
	if seen += r.Rotate().Count; seen != 8000 || r.Total().Count != 8000 {
		t.Errorf("rotations gave %d, the total %d, want 8000", seen, r.Total().Count)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := New(8)
	for b.Loop() {
		r.Lane(3).Record(3 * ms)
	}
}
