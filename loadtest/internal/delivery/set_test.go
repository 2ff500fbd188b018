package delivery

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
)

func setOf(numbers ...uint64) *Set {
	var s Set
	for _, n := range numbers {
		s.Add(n)
	}
	return &s
}

func TestSetKeepsRanges(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []uint64
		want []span
	}{
		{"in order", []uint64{0, 1, 2, 3}, []span{{0, 4}}},
		{"not from 0", []uint64{7, 8}, []span{{7, 9}}},
		{"a hole", []uint64{0, 1, 3}, []span{{0, 2}, {3, 4}}},
		{"a hole that is filled", []uint64{0, 1, 3, 2}, []span{{0, 4}}},
		{"a hole filled from below", []uint64{0, 1, 5, 2}, []span{{0, 3}, {5, 6}}},
		{"a hole filled from above", []uint64{0, 5, 4}, []span{{0, 1}, {4, 6}}},
		{"a hole filled in its middle", []uint64{0, 5, 3}, []span{{0, 1}, {3, 4}, {5, 6}}},
		{"backwards", []uint64{3, 2, 1, 0}, []span{{0, 4}}},
		{"again", []uint64{0, 1, 0, 1, 1, 2, 0}, []span{{0, 3}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := setOf(tt.give...); !slices.Equal(got.ranges, tt.want) {
				t.Errorf("ranges %v, want %v", got.ranges, tt.want)
			}
		})
	}
}

// Whatever the order, a Set answers as a map of numbers would.
func TestSetAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var a, b Set
		inA, inB := map[uint64]bool{}, map[uint64]bool{}
		for range 200 {
			n := rng.Uint64N(120) + 5
			if a.Add(n) == inA[n] {
				t.Fatalf("Add(%d) to %v said %v", n, a.ranges, inA[n])
			}
			inA[n] = true
			m := rng.Uint64N(120) + 5
			b.Add(m)
			inB[m] = true
		}
		var common, lowest, highest uint64 = 0, ^uint64(0), 0
		for n := range inA {
			if inB[n] {
				common++
			}
			lowest, highest = min(lowest, n), max(highest, n)
		}
		if a.Len() != uint64(len(inA)) || a.Next() != highest+1 {
			t.Fatalf("Len %d, Next %d, want %d, %d", a.Len(), a.Next(), len(inA), highest+1)
		}
		if want := highest - lowest + 1 - a.Len(); a.Holes() != want {
			t.Fatalf("Holes %d, want %d", a.Holes(), want)
		}
		if a.CountCommon(&b) != common || b.CountCommon(&a) != common {
			t.Fatalf("Common %d and %d, want %d", a.CountCommon(&b), b.CountCommon(&a), common)
		}
	}
}

func TestSetAddBelow(t *testing.T) {
	for _, tt := range []struct {
		name string
		have []uint64
		give uint64
		want []span
	}{
		{"to an empty set", nil, 3, []span{{0, 3}}},
		{"nothing to an empty set", nil, 0, nil},
		{"onwards", []uint64{1, 4}, 7, []span{{1, 2}, {4, 7}}},
		{"what it has", []uint64{1, 4}, 5, []span{{1, 2}, {4, 5}}},
		{"backwards", []uint64{1, 4}, 3, []span{{1, 2}, {4, 5}}},
	} {
		s := setOf(tt.have...)
		s.AddBelow(tt.give)
		if !slices.Equal(s.ranges, tt.want) {
			t.Errorf("%s: ranges %v, want %v", tt.name, s.ranges, tt.want)
		}
		var n uint64
		for _, r := range s.ranges {
			n += r.to - r.from
		}
		if s.Len() != n {
			t.Errorf("%s: Len %d; the ranges hold %d", tt.name, s.Len(), n)
		}
	}
}

func TestEmptySet(t *testing.T) {
	var s, o Set
	o.AddBelow(3)
	if s.Len() != 0 || s.Next() != 0 || s.Holes() != 0 || s.CountCommon(&o) != 0 {
		t.Errorf("the zero Set is not empty: %+v", s)
	}
	if o.Len() != 3 || o.Next() != 3 || o.Add(2) || !o.Add(3) {
		t.Errorf("AddBelow(3) and 2 and 3 gave %+v", o)
	}
}

// The price of a message in order must not depend on how many came before, and must not allocate.
func TestSetInOrderIsFree(t *testing.T) {
	s, n := setOf(0), uint64(1)
	if allocs := testing.AllocsPerRun(10_000, func() { s.Add(n); n++ }); allocs != 0 {
		t.Errorf("%v allocations per message", allocs)
	}
	if len(s.ranges) != 1 {
		t.Errorf("%d ranges", len(s.ranges))
	}
}

func TestSetAsJSON(t *testing.T) {
	s := setOf(0, 1, 2, 7, 9, 10)
	text, err := json.Marshal(s)
	if err != nil || string(text) != "[0,3,7,1,9,2]" {
		t.Fatalf("%s, %v", text, err)
	}
	var back Set
	if err := json.Unmarshal(text, &back); err != nil || back.Len() != 6 || back.CountCommon(s) != 6 {
		t.Errorf("%+v, %v", back, err)
	}
	for _, bad := range []string{"{}", "[1]", "[1,0]", "[5,2,6,1]", "[18446744073709551615,2]"} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s is a set", bad)
		}
	}
}
