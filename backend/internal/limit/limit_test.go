package limit

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	rate := Rate{Tokens: 3, Refill: 2}
	begin := time.Unix(1000, 0)
	for _, c := range []struct {
		name string
		at   []time.Duration // of one token each
		want []time.Duration // the waits
	}{
		{"a burst, then refused", []time.Duration{0, 0, 0, 0}, []time.Duration{0, 0, 0, 500 * time.Millisecond}},
		{"refill", []time.Duration{0, 0, 0, 500 * time.Millisecond, 500 * time.Millisecond}, []time.Duration{0, 0, 0, 0, 500 * time.Millisecond}},
		{"a refusal costs nothing", []time.Duration{0, 0, 0, 0, 0, 0, time.Second}, []time.Duration{0, 0, 0, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond, 0}},
		{"never more than full", []time.Duration{0, time.Hour, time.Hour, time.Hour, time.Hour}, []time.Duration{0, 0, 0, 0, 500 * time.Millisecond}},
		{"a clock that goes back", []time.Duration{time.Hour, 0, 0, 0}, []time.Duration{0, 0, 0, 500 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b Bucket
			for i, at := range c.at {
				if got := b.Spend(rate, 1, begin.Add(at)); got != c.want[i] {
					t.Errorf("token %d: wait %v, want %v", i, got, c.want[i])
				}
			}
		})
	}
}

func TestBucketWithoutRefillWaitsForever(t *testing.T) {
	var b Bucket
	r := Rate{Tokens: 1}
	now := time.Now()
	if b.Spend(r, 1, now) != 0 || b.Spend(r, 1, now) != math.MaxInt64 {
		t.Error("want one token and no more")
	}
}

func TestMoreThanTheBucketHoldsIsTakenWhenItIsFull(t *testing.T) {
	var b Bucket
	r := Rate{Tokens: 10, Refill: 10}
	now := time.Now()
	if wait := b.Spend(r, 25, now); wait != 0 {
		t.Errorf("a full bucket refused: wait %v", wait)
	}
	if wait := b.Spend(r, 1, now); wait != 1600*time.Millisecond {
		t.Errorf("wait %v, want 1.6s", wait)
	}
}

func TestKeyedForgetsFullBuckets(t *testing.T) {
	k := NewKeyed(Rate{Tokens: 1, Refill: 1})
	now := time.Now()
	for i := range 100_000 {
		now = now.Add(time.Millisecond)
		if k.Spend(fmt.Sprint("user-", i), 1, now) != 0 {
			t.Fatal("a new key was refused")
		}
	}
	if n := len(k.buckets); n > 4096 {
		t.Errorf("%d buckets are kept although those of the last second matter", n)
	}
	if k.Spend("user-99999", 1, now) == 0 {
		t.Error("a bucket that matters was forgotten")
	}
	if k.Spend("", 5, now) != 0 || k.Spend("", 5, now) != 0 {
		t.Error("the empty key is limited")
	}
}

func TestCount(t *testing.T) {
	c := NewCount(2)
	if !c.Enter("a") || !c.Enter("a") || c.Enter("a") || !c.Enter("b") {
		t.Error("want two of a, one of b")
	}
	c.Leave("a")
	if !c.Enter("a") || c.Enter("a") {
		t.Error("want one more after one left")
	}
	if c := NewCount(0); !c.Enter("a") || !c.Enter("a") {
		t.Error("0 is no limit")
	}
}
