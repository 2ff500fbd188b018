package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A Set is a set of numbers, kept as ranges without holes. What arrives in order costs one range
// (16 bytes) however much it is; each hole costs one more. The zero Set is empty and ready to use.
type Set struct {
	ranges []span // rising, neither touching nor overlapping
	n      uint64
}

// A span is the numbers from ≤ x < to.
type span struct{ from, to uint64 }

// Add puts n into s and reports whether it is new. Constant time at or above the highest number.
func (s *Set) Add(n uint64) bool {
	last := len(s.ranges) - 1
	switch {
	case last < 0 || n > s.ranges[last].to:
		s.ranges = append(s.ranges, span{n, n + 1})
	case n == s.ranges[last].to:
		s.ranges[last].to++
	default:
		return s.insert(n)
	}
	s.n++
	return true
}

// insert adds a number below the end of the last range.
func (s *Set) insert(n uint64) bool {
	// i is the first range that ends at n or after it: n is in it, extends it, or precedes it.
	i, _ := slices.BinarySearchFunc(s.ranges, n, func(r span, n uint64) int {
		if r.to < n {
			return -1
		}
		return 1
	})
	r := &s.ranges[i]
	switch {
	case n >= r.from && n < r.to:
		return false
	case n == r.to: // it may close the hole to the next range
		r.to++
		if i+1 < len(s.ranges) && s.ranges[i+1].from == r.to {
			r.to = s.ranges[i+1].to
			s.ranges = slices.Delete(s.ranges, i+1, i+2)
		}
	case n+1 == r.from:
		r.from--
	default:
		s.ranges = slices.Insert(s.ranges, i, span{n, n + 1})
	}
	s.n++
	return true
}

// AddBelow puts the numbers from Next up to and without n into s; nothing when n is not above Next.
func (s *Set) AddBelow(n uint64) {
	next := s.Next()
	if n <= next {
		return
	}
	if len(s.ranges) == 0 {
		s.ranges = append(s.ranges, span{})
	}
	s.ranges[len(s.ranges)-1].to = n
	s.n += n - next
}

// Len returns how many numbers s has.
func (s *Set) Len() uint64 { return s.n }

// Next returns the number after the highest of s, 0 when s is empty.
func (s *Set) Next() uint64 {
	if len(s.ranges) == 0 {
		return 0
	}
	return s.ranges[len(s.ranges)-1].to
}

// Holes returns how many numbers between the lowest and the highest of s it does not have.
func (s *Set) Holes() uint64 {
	if len(s.ranges) == 0 {
		return 0
	}
	return s.Next() - s.ranges[0].from - s.n
}

// CountCommon returns how many numbers are in s and in other.
func (s *Set) CountCommon(other *Set) uint64 {
	var n uint64
	a, b := s.ranges, other.ranges
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].from, b[0].from), min(a[0].to, b[0].to); from < to {
			n += to - from
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return n
}

// MarshalJSON writes s as a list: where each range begins, and how many numbers it has.
func (s *Set) MarshalJSON() ([]byte, error) {
	flat := make([]uint64, 0, 2*len(s.ranges))
	for _, r := range s.ranges {
		flat = append(flat, r.from, r.to-r.from)
	}
	return json.Marshal(flat)
}

func (s *Set) UnmarshalJSON(p []byte) error {
	var flat []uint64
	if err := json.Unmarshal(p, &flat); err != nil {
		return err
	}
	if len(flat)%2 != 0 {
		return errors.New("odd number of values")
	}
	*s = Set{}
	for i := 0; i < len(flat); i += 2 {
		from, n := flat[i], flat[i+1]
		if n == 0 || from+n < from || i > 0 && from <= s.Next() {
			return fmt.Errorf("a set whose range %d does not lie behind the one before", i/2)
		}
		s.ranges = append(s.ranges, span{from, from + n})
		s.n += n
	}
	return nil
}

// Remove takes n out of s.
func (s *Set) Remove(n uint64) {
	for i, r := range s.ranges {
		if n < r.from || n >= r.to {
			continue
		}
		var parts []span
		if r.from < n {
			parts = append(parts, span{r.from, n})
		}
		if n+1 < r.to {
			parts = append(parts, span{n + 1, r.to})
		}
		s.ranges = slices.Replace(s.ranges, i, i+1, parts...)
		s.n--
		return
	}
}
