package floor

import (
	"math"
	"math/rand/v2"
)

// A drift wanders around 0 and always finds back: an Ornstein-Uhlenbeck process in steps of one
// second. After one memory's time it has forgotten about two thirds of where it was.
type drift struct {
	keep, step float64
	value      float64
}

func newDrift(deviation, memory float64) drift {
	keep := math.Exp(-1 / memory)
	return drift{keep: keep, step: deviation * math.Sqrt(1-keep*keep)}
}

func (d *drift) next(rng *rand.Rand) float64 {
	d.value = d.value*d.keep + d.step*rng.NormFloat64()
	return d.value
}
