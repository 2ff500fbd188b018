package floor

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// A Floor is all warehouses at one moment. It is not safe for use by several goroutines at a time.
type Floor struct {
	now        time.Time
	shift      shift
	warehouses []*Warehouse
}

// New returns the warehouses as they are at start, in whole seconds and by the clock of start's
// location: the shift that start lies in has been worked up to there.
func New(seed uint64, start time.Time) *Floor {
	f := &Floor{shift: shiftAt(start)}
	f.now = f.shift.start
	for i := range plans {
		w := newWarehouse(&plans[i], seed)
		w.begin(f.shift)
		w.fill()
		w.step(f.now)
		f.warehouses = append(f.warehouses, w)
	}
	f.Advance(start)
	return f
}

// newRand returns the source of chance of one place: a change elsewhere does not disturb it.
func newRand(seed uint64, place string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(place))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// Now is the simulated time, in whole seconds.
func (f *Floor) Now() time.Time { return f.now }

// Shift is the name of the shift under way, like "2026-11-24-early".
func (f *Floor) Shift() string { return f.shift.name() }

// Warehouses are all warehouses, in the order of their names.
func (f *Floor) Warehouses() []*Warehouse { return f.warehouses }

// Advance lets time pass up to the last whole second that is not after to, and returns the alerts
// that were raised and cleared meanwhile, in their order. A past time changes nothing.
func (f *Floor) Advance(to time.Time) []Notice {
	var notices []Notice
	for next := f.now.Add(time.Second); !next.After(to); next = next.Add(time.Second) {
		f.now = next
		changed := !next.Before(f.shift.end)
		if changed {
			f.shift = shiftAt(next)
		}
		for _, w := range f.warehouses {
			if changed {
				w.begin(f.shift)
			}
			notices = append(notices, w.step(next)...)
		}
	}
	return notices
}
