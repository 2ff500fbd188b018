package latency

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// What several workers measured is what one would have measured.
func TestMergedIsAsIfMeasuredAtOnce(t *testing.T) {
	parts := []*Tally{New(Fine), New(Fine), New(Fine)}
	whole, merged := New(Fine), New(Fine)
	for i := 1; i <= 1000; i++ {
		d := time.Duration(i) * ms
		parts[i%3].Record(d)
		whole.Record(d)
	}
	for _, p := range parts {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Tally
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		merged.Merge(&back)
	}
	merged.Merge(nil)
	if got, want := merged.Summary(), whole.Summary(); got != want || got.Avg != 500_500*time.Microsecond {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// Against the exact answer, from sorting, over six orders of magnitude.
func TestPercentilesToThreeDigits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	fine, coarse := New(Fine), New(Coarse)
	var all []time.Duration
	for range 50_000 {
		d := time.Duration(rng.ExpFloat64() * float64(20*ms))
		all = append(all, d)
		fine.Record(d)
		coarse.Record(d)
	}
	slices.Sort(all)
	got, rough := fine.Summary(), coarse.Summary()
	for _, p := range []struct {
		percent    float64
		got, rough time.Duration
	}{{50, got.P50, rough.P50}, {95, got.P95, rough.P95}, {99, got.P99, rough.P99}, {99.9, got.P99_9, rough.P99_9}} {
		want := all[int(p.percent/100*float64(len(all)))-1]
		if diff := (p.got - want).Abs(); diff > want/1000+time.Microsecond {
			t.Errorf("P%v = %v, want %v", p.percent, p.got, want)
		}
		if diff := (p.rough - want).Abs(); diff > want/100+time.Microsecond {
			t.Errorf("P%v = %v to two digits, want %v", p.percent, p.rough, want)
		}
	}
	if got.Min != all[0] || got.Max != all[len(all)-1] {
		t.Errorf("from %v to %v, want %v to %v", got.Min, got.Max, all[0], all[len(all)-1])
	}
}

func TestTakeGivesWhatCameSince(t *testing.T) {
	r := New(Fine)
	r.Record(10 * ms)
	r.Record(20 * ms)
	if got := r.Take().Summary(); got.Count != 2 || got.Max != 20*ms {
		t.Errorf("first second: %+v", got)
	}
	r.Record(5 * ms)
	if got := r.Take().Summary(); got.Count != 1 || got.Min != 5*ms || got.Max != 5*ms || got.P99 != 5*ms {
		t.Errorf("second second: %+v", got)
	}
	if got := r.Take(); got != nil || got.Summary() != (Summary{}) {
		t.Errorf("a second without anything: %+v", got)
	}
	r.Record(ms)
	r.Reset()
	if got := r.Summary(); got != (Summary{}) {
		t.Errorf("after the reset: %+v", got)
	}
}

func TestExtremes(t *testing.T) {
	r := New(Fine)
	r.Record(-ms)
	r.Record(3 * Longest)
	if got := r.Summary(); got.Min != 0 || got.Max != 3*Longest || got.Count != 2 {
		t.Errorf("%+v", got)
	}
	var broken Tally
	if err := json.Unmarshal([]byte(`{"H":"x"}`), &broken); err == nil {
		t.Error("a broken histogram was read")
	}
}

func BenchmarkRecord(b *testing.B) {
	r := New(Fine)
	for b.Loop() {
		r.Record(3 * ms)
	}
}
