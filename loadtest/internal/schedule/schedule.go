// Package schedule says when each message is due and for whom.
//
//	worker ──▶ Constant.At(i), Due     when message i is due, and how many are by now
//	worker ──▶ Spread                  which room each member joins, and each message goes to
//
// All of it is arithmetic: the model is open, so a message is due at its time whether or not
// earlier ones were answered, and nothing moves the schedule.
package schedule

import (
	"math"
	"sort"
	"time"
)

// MaxCount is the most messages that one run can hold: sequence numbers have 32 bits.
const MaxCount = math.MaxUint32

// A Constant sends at a fixed rate: message i is due i/rate after the start. Its zero sends none.
type Constant struct {
	rate  float64
	count uint32
}

// NewConstant returns the schedule of a run of length d at rate messages per second, both positive,
// and rate×d less than [MaxCount]. The first message is due at once, so there is always one.
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

// A Spread says which of n places a thing belongs to: evenly, or as Zipf's law has it, where place
// k = 1, 2 … is k^s times less likely than the first.
type Spread struct {
	n          int
	cumulative []float64 // nil: evenly
}

// NewSpread returns the spread over n places; evenly when the exponent is 0.
func NewSpread(n int, exponent float64) Spread {
	s := Spread{n: n}
	if exponent == 0 {
		return s
	}
	sum := 0.0
	for k := range n {
		sum += math.Pow(float64(k+1), -exponent)
		s.cumulative = append(s.cumulative, sum)
	}
	for k := range s.cumulative {
		s.cumulative[k] /= sum
	}
	return s
}

// Of returns the place of thing i. Any run of things has nearly its share in each place.
func (s Spread) Of(i int) int {
	if s.cumulative == nil {
		return i % s.n
	}
	// The multiples of the golden ratio, without their whole parts, fill the unit interval evenly.
	_, x := math.Modf(float64(i) * 0.6180339887498949)
	return min(sort.SearchFloat64s(s.cumulative, x), s.n-1)
}

// Share reports whether thing i is in the share of a [Bound], spread evenly over all places.
func Share(i int, bound float64) bool { return position(i) < bound }

// Bound returns the bound below which a share, 0 to 1, of n things is, to the nearest whole one.
func Bound(n int, share float64) float64 {
	in := int(math.Round(share * float64(n)))
	if in >= n {
		return 1
	}
	positions := make([]float64, n)
	for i := range positions {
		positions[i] = position(i)
	}
	sort.Float64s(positions)
	return positions[in]
}

// position puts thing i into the unit interval, evenly, as an irrational number's multiples are.
func position(i int) float64 {
	_, x := math.Modf(float64(i) * (math.Sqrt2 - 1))
	return x
}
