package floor

import (
	"testing"
	"time"
)

// A sample is one ambient zone at one moment, as shares of its target in the early shift and of
// that shift's crew.
type sample struct {
	after        time.Duration // since monday
	rate, people float64
}

// samples watches the ambient zones of all warehouses, with several seeds, between two times.
func samples(from, to time.Duration) []sample {
	var all []sample
	for seed := range uint64(6) {
		for f := New(seed, monday.Add(from)); f.Now().Before(monday.Add(to)); f.Advance(f.Now().Add(20 * time.Second)) {
			for _, w := range f.Warehouses() {
				z := w.Zones()[0]
				all = append(all, sample{f.Now().Sub(monday), z.rate / float64(z.plan.target[early]),
					float64(z.workers) / float64(z.plan.crew[early])})
			}
		}
	}
	return all
}

// mean averages what was sampled between two times.
func mean(all []sample, from, to time.Duration) (rate, people float64) {
	n := 0.0
	for _, s := range all {
		if s.after >= from && s.after < to {
			rate, people, n = rate+s.rate, people+s.people, n+1
		}
	}
	return rate / n, people / n
}

func clock(hour, min int) time.Duration {
	return time.Duration(hour-6)*time.Hour + time.Duration(min)*time.Minute
}

func TestTheDayHasItsShape(t *testing.T) {
	t.Parallel()
	day := samples(clock(6, 0), clock(14, 0))
	day = append(day, samples(clock(22, 0), clock(26, 0))...)
	type between struct{ least, most float64 }
	tests := []struct {
		name         string
		from, to     time.Duration
		rate, people between
	}{
		{"at first people find their rhythm", clock(6, 0), clock(6, 10), between{0.2, 0.7}, between{0.5, 0.95}},
		{"then they are above the average that the target is", clock(9, 0), clock(9, 50), between{1, 1.3}, between{0.9, 1}},
		{"a quarter of them is at lunch", clock(10, 15), clock(11, 55), between{0.7, 0.95}, between{0.65, 0.8}},
		{"they are back", clock(12, 12), clock(12, 19), between{0.95, 1.25}, between{0.9, 1}},
		{"they tire and tidy up", clock(13, 15), clock(13, 55), between{0.8, 1.1}, between{0.85, 1}},
		{"they leave before the shift ends", clock(13, 59), clock(14, 0), between{0, 0.4}, between{0, 0.35}},
		{"a few work at night", clock(22, 45), clock(24, 0), between{0.2, 0.45}, between{0.2, 0.4}},
	}
	for _, tt := range tests {
		rate, people := mean(day, tt.from, tt.to)
		if rate < tt.rate.least || rate > tt.rate.most || people < tt.people.least || people > tt.people.most {
			t.Errorf("%s: got a rate of %.2f and people of %.2f, want %v and %v", tt.name, rate, people, tt.rate, tt.people)
		}
	}
}

func TestAStoppedConveyorLowersTheRateAndStarvesPacking(t *testing.T) {
	f := New(3, monday.Add(clock(9, 0)))
	w := f.Warehouses()[0]
	picking, packing := w.Zones()[0], w.Zones()[2]
	quiet(w)
	f.Advance(monday.Add(clock(9, 5)))
	before, orders := picking.rate, packing.backlog

	now := f.Now().Unix()
	stop := &incidentKinds[ambient][0]
	picking.incidents.raise(stop, now, picking.rng)
	picking.incidents.open[0].until = now + 14*minute
	f.Advance(f.Now().Add(13 * time.Minute))
	if picking.rate > before/2 {
		t.Errorf("the rate fell from %.0f to %.0f only", before, picking.rate)
	}
	if packing.backlog > orders*0.8 {
		t.Errorf("packing still has %.0f units of %.0f", packing.backlog, orders)
	}
	f.Advance(f.Now().Add(10 * time.Minute))
	if picking.rate < before*0.7 {
		t.Errorf("the rate came back from %.0f to %.0f only", before, picking.rate)
	}
}

// quiet keeps anything else from going wrong.
func quiet(w *Warehouse) {
	w.incidents.open, w.incidents.gap = nil, 1e18
	for _, z := range w.zones {
		z.incidents.open, z.incidents.gap = nil, 1e18
	}
}

// TestUnitsFlowThrough: what packing was sent is what it handled, waits there, or is on its way.
func TestUnitsFlowThrough(t *testing.T) {
	f := New(5, monday)
	w := f.Warehouses()[0]
	a, b, packing, trucks := w.zones[0], w.zones[1], w.zones[2], w.zones[3]
	total := func() (picked, reached float64) {
		return a.done + b.done, packing.done + packing.backlog + packing.transit
	}
	picked0, reached0 := total()
	loaded0 := trucks.done + trucks.backlog + trucks.transit - packing.done
	f.Advance(monday.Add(clock(13, 59)))
	picked, reached := total()
	if off := (picked - picked0) - (reached - reached0); off > 1e-6 || off < -1e-6 {
		t.Errorf("%g units got lost between picking and packing", off)
	}
	loaded := trucks.done + trucks.backlog + trucks.transit - packing.done
	if off := loaded - loaded0; off > 1e-6 || off < -1e-6 {
		t.Errorf("%g units got lost between packing and dispatch", off)
	}
}
