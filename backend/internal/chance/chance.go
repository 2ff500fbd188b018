// Package chance draws the random numbers that spread waits and make names, so that a simulation can
// decide them by its seed. It is nothing for secrets.
package chance

import (
	"math/rand/v2"
	"sync"
	"time"
)

var source struct {
	mu     sync.RWMutex
	seeded *rand.Rand // nil outside of simulations
}

// N returns a duration of 0 up to d, which is not among them. d must be above 0.
func N(d time.Duration) time.Duration { return time.Duration(Uint64N(uint64(d))) }

// Uint64N returns a number below n, which must be above 0.
func Uint64N(n uint64) uint64 {
	source.mu.RLock()
	simulated := source.seeded != nil
	source.mu.RUnlock()
	if !simulated {
		return rand.Uint64N(n)
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	return source.seeded.Uint64N(n)
}

// Seed makes all that is drawn follow from a seed, until what it returns is called.
func Seed(seed uint64) (restore func()) {
	set := func(r *rand.Rand) {
		source.mu.Lock()
		defer source.mu.Unlock()
		source.seeded = r
	}
	set(rand.New(rand.NewPCG(seed, 1)))
	return func() { set(nil) }
}
