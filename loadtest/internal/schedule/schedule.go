// Package schedule says when each message is due and for whom.
//
//	worker ──▶ Constant.At(i), Due     when message i is due, and how many are by now
//	worker ──▶ Spread                  which room each member joins, and each message goes to
//
// All of it is arithmetic: the model is open, so a message is due at its time whether or not earlier ones were answered,
// and nothing moves the schedule.
package schedule

import (
	"math"
	"time"
)

// MaxCount is the most messages that one run can hold: sequence numbers have 32 bits.
const MaxCount = math.MaxUint32

// A Constant sends at a fixed rate: message i is due i/rate after the start. The zero Constant sends nothing.
type Constant struct {
	rate  float64
	count uint32
}

// NewConstant returns the schedule of a run of length d at rate messages per second. Both must be positive, and rate×d
// less than [MaxCount]. The first message is due at once, so there is always one.
func NewConstant(rate float64, d time.Duration) Constant {
	c := Constant{rate: rate}
	n := uint32(math.Ceil(rate * d.Seconds()))
	for n > 1 && c.At(n-1) >= d { // the product was rounded up past a whole number
		n--
	}
	c.count = n
	return c
}

// ConstantOf returns the schedule of n messages at rate per second, both positive.
func ConstantOf(rate float64, n uint32) Constant { return Constant{rate: rate, count: n} }

// Count returns how many messages the run has.
func (c Constant) Count() uint32 { return c.count }

// At returns when message i is due, counted from the start.
func (c Constant) At(i uint32) time.Duration {
	return time.Duration(float64(i) / c.rate * float64(time.Second))
}

// Due returns how many messages are due at elapsed or before it.
func (c Constant) Due(elapsed time.Duration) uint32 {
	if c.count == 0 || elapsed < 0 {
		return 0
	}
	guess := math.Floor(elapsed.Seconds()*c.rate) + 1
	if guess >= float64(c.count) {
		return c.count
	}
	n := uint32(guess)
	for n > 1 && c.At(n-1) > elapsed {
		n--
	}
	for n < c.count && c.At(n) <= elapsed {
		n++
	}
	return n
}
