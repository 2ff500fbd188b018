package floor

import "math/rand/v2"

// A dock has trucks standing at it or waits for the next ones: dispatch works in waves.
type dock struct {
	loading bool
	until   int64
}

// step returns what the trucks make of the pace of dispatch.
func (d *dock) step(now int64, rng *rand.Rand) float64 {
	if now >= d.until {
		d.loading = !d.loading
		d.until = now + 8*minute + rng.Int64N(14*minute)
		if d.loading {
			d.until = now + 35*minute + rng.Int64N(25*minute)
		}
	}
	if d.loading {
		return 1.2
	}
	return 0.45 // what is there is brought to the doors
}
