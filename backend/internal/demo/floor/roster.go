package floor

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// A roster says how many people are at work at each second of one shift in one zone: it is drawn
// when the shift begins.
type roster struct {
	changes []change // in the order of time
	workers int
}

// change is people coming and going, after this many seconds of the shift.
type change struct {
	after int64
	by    int
}

// breaks are the pauses of a shift. A quarter of the people go at a time, the next when these are
// back: work goes on.
var breaks = [...]struct{ after, length int64 }{
	{2 * 60 * minute, 15 * minute},
	{4 * 60 * minute, 30 * minute}, // the meal
	{6*60*minute + 20*minute, 10 * minute},
}

const (
	// groups is how many parts of a crew take their breaks one after the other.
	groups = 4
	// absent is how likely a planned person is not to come. A crew of at most standIns gets
	// somebody else for the day: it could not do without.
	absent   = 0.04
	standIns = 3
	// tardy is how likely somebody comes only within the first minutes.
	tardy = 0.4
)

// drawRoster draws who comes, when, and their breaks.
func drawRoster(rng *rand.Rand, crew int, seconds int64) roster {
	var r roster
	shifted := rng.Int64N(10 * minute) // each zone has its own times
	for i := range crew {
		if rng.Float64() < absent && crew > standIns {
			continue
		}
		arrive, leave := int64(0), seconds-rng.Int64N(5*minute)
		if rng.Float64() < tardy {
			arrive = rng.Int64N(9 * minute)
		}
		r.changes = append(r.changes, change{arrive, 1}, change{leave, -1})
		for _, b := range breaks {
			begin := b.after + shifted + int64(i%groups)*b.length + rng.Int64N(minute)
			r.changes = append(r.changes, change{begin, -1}, change{begin + b.length, 1})
		}
	}
	slices.SortStableFunc(r.changes, func(a, b change) int { return cmp.Compare(a.after, b.after) })
	return r
}

// at returns how many people are at work after so many seconds, which never decrease.
func (r *roster) at(after int64) int {
	for len(r.changes) > 0 && r.changes[0].after <= after {
		r.workers += r.changes[0].by
		r.changes = r.changes[1:]
	}
	return r.workers
}
