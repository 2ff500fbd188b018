// Package chance draws the random numbers that spread waits and make names, so that a simulation
// can repeat them. It is nothing for secrets.
package chance

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

var followsClock atomic.Bool

// N returns a duration of 0 up to d, which is not among them. d must be above 0.
func N(d time.Duration) time.Duration {
	n := time.Duration(Uint64N(uint64(d)))
	if followsClock.Load() {
		return n.Truncate(time.Microsecond)
	}
	return n
}

// Uint64N returns a number below n, which must be above 0.
func Uint64N(n uint64) uint64 {
	if followsClock.Load() {
		return rand.New(rand.NewPCG(uint64(time.Now().UnixMicro()), n)).Uint64N(n)
	}
	return rand.Uint64N(n)
}

// FollowClock makes each number follow from the time at which it is drawn, to the microsecond, and
// from nothing else, from now on. It is for a process that simulates: there is a clock of its own
// in each simulation, and goroutines that draw at one moment may do so in any order.
func FollowClock() { followsClock.Store(true) }
