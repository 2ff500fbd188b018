package schedule

import (
	"math"
	"sort"
)

// A Spread says which of n places a thing belongs to: evenly, or as Zipf's law has it, where place k = 1, 2 … is k^s times
// less likely than the first.
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

// Of returns the place of thing i. Neighbours are spread as well as the whole: any run of things has nearly its share in
// each place.
func (s Spread) Of(i int) int {
	if s.cumulative == nil {
		return i % s.n
	}
	// The multiples of the golden ratio, without their whole parts, fill the unit interval evenly.
	_, x := math.Modf(float64(i) * 0.6180339887498949)
	return min(sort.SearchFloat64s(s.cumulative, x), s.n-1)
}

// Share reports whether thing i is in a share, which [Bound] gives, that is spread evenly over all things, whatever place they
// are in.
func Share(i int, bound float64) bool { return position(i) < bound }

// Bound returns the bound of a share, from 0 to 1, of n things: as many of them as there should be are below it, to the
// nearest whole number.
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

// position puts thing i into the unit interval, which the multiples of an irrational number fill evenly.
func position(i int) float64 {
	_, x := math.Modf(float64(i) * (math.Sqrt2 - 1))
	return x
}
