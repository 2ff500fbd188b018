package schedule

import (
	"math"
	"testing"
	"time"
)

func TestConstantCount(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		d    time.Duration
		want uint32
	}{
		{100, time.Minute, 6000},
		{100, time.Second, 100},
		{3, time.Second, 3},
		{0.1, 30 * time.Second, 3}, // 0.1×30 is a little over 3 in binary
		{0.01, time.Minute, 1},
		{1e6, time.Hour, 3_600_000_000},
		{7, 1500 * time.Millisecond, 11}, // 0, 1/7, … 10/7 = 1.43 s
	} {
		c := NewConstant(tt.rate, tt.d)
		if c.Count() != tt.want {
			t.Errorf("NewConstant(%v, %v).Count() = %d, want %d", tt.rate, tt.d, c.Count(), tt.want)
		}
		if last := c.At(c.Count() - 1); last >= tt.d {
			t.Errorf("NewConstant(%v, %v): the last message is due at %v, after the end", tt.rate, tt.d, last)
		}
	}
}

func TestConstantOf(t *testing.T) {
	c := ConstantOf(500, 3)
	if c.Count() != 3 || c.At(2) != 4*time.Millisecond {
		t.Errorf("%d messages, the last at %v; want 3, 4ms", c.Count(), c.At(2))
	}
}

func TestConstantAt(t *testing.T) {
	c := NewConstant(250, time.Minute)
	for _, tt := range []struct {
		give uint32
		want time.Duration
	}{
		{0, 0}, {1, 4 * time.Millisecond}, {250, time.Second}, {14_999, 59_996 * time.Millisecond},
	} {
		if got := c.At(tt.give); got != tt.want {
			t.Errorf("At(%d) = %v, want %v", tt.give, got, tt.want)
		}
	}
}

func TestConstantDue(t *testing.T) {
	c := NewConstant(100, time.Second)
	for _, tt := range []struct {
		give time.Duration
		want uint32
	}{
		{-1, 0}, {0, 1}, {9_999_999, 1}, {10 * time.Millisecond, 2}, {555 * time.Millisecond, 56},
		{990 * time.Millisecond, 100}, {time.Hour, 100},
	} {
		if got := c.Due(tt.give); got != tt.want {
			t.Errorf("Due(%v) = %d, want %d", tt.give, got, tt.want)
		}
	}
	for i := range c.Count() {
		if got := c.Due(c.At(i)); got != i+1 {
			t.Errorf("Due(At(%d)) = %d, want %d", i, got, i+1)
		}
	}
	if got := (Constant{}).Due(time.Second); got != 0 {
		t.Errorf("the zero Constant has %d messages due", got)
	}
}

func TestSpread(t *testing.T) {
	even := NewSpread(4, 0)
	for i := range 100 {
		if even.Of(i) != i%4 {
			t.Fatalf("thing %d is in place %d", i, even.Of(i))
		}
	}
	// Zipf over four places: 1, 1/2, 1/3, 1/4 of their sum, in any stretch of things.
	zipf := NewSpread(4, 1)
	for _, from := range []int{0, 12_345, 4_000_000_000} {
		var got [4]int
		for i := range 10_000 {
			got[zipf.Of(from+i)]++
		}
		for k, want := range []int{4800, 2400, 1600, 1200} {
			if diff := got[k] - want; diff < -20 || diff > 20 {
				t.Errorf("from %d on, place %d has %d of 10,000 things, want %d", from, k, got[k], want)
			}
		}
	}
}

// A share has exactly as many members as it should, and nearly its part of each room's.
func TestShare(t *testing.T) {
	const rooms = 7
	for _, n := range []int{1, 10, 100, 999, 1000} {
		for _, share := range []float64{0.001, 0.1, 0.3, 0.5, 0.999, 1} {
			in, byRoom := 0, [rooms]int{}
			bound := Bound(n, share)
			for i := range n {
				if Share(i, bound) {
					in++
					byRoom[i%rooms]++
				}
			}
			if want := int(math.Round(share * float64(n))); in != want {
				t.Errorf("%d of %d are in a share of %v, want %d", in, n, share, want)
			}
			for room, got := range byRoom {
				if want := share * float64(n) / rooms; math.Abs(float64(got)-want) > 4 {
					t.Errorf("%d of room %d of %d things, want about %.1f", got, room, n, want)
				}
			}
		}
	}
}
