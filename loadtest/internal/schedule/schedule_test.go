package schedule

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
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

// journal notes each call of send: when it came, and how late it was said to be.
type journal struct {
	mu    sync.Mutex
	start time.Time
	at    map[uint32]time.Duration
	late  map[uint32]time.Duration
}

func newJournal() *journal {
	return &journal{start: time.Now(), at: map[uint32]time.Duration{}, late: map[uint32]time.Duration{}}
}

func (j *journal) note(i uint32, late time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at[i], j.late[i] = time.Since(j.start), late
}

func TestDriveSendsEachWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := NewConstant(100, 2*time.Second), newJournal()
		got := Drive(t.Context(), c, j.start, Pool{4, time.Second}, j.note)
		if want := (Tally{Due: 200}); got != want {
			t.Fatalf("tally %+v, want %+v", got, want)
		}
		for i := range c.Count() {
			if j.at[i] != c.At(i) || j.late[i] != 0 {
				t.Errorf("message %d went out at %v, %v late; want %v, 0", i, j.at[i], j.late[i], c.At(i))
			}
		}
	})
}

// One worker that needs 30 ms for each message can't send one every 10 ms: each goes out later than the one before, the
// schedule itself does not move, and those that no worker could take by the end and its grace are counted.
func TestDriveCountsWhatCouldNotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := NewConstant(100, 2*time.Second), newJournal()
		got := Drive(t.Context(), c, j.start, Pool{1, time.Second}, func(i uint32, late time.Duration) {
			j.note(i, late)
			time.Sleep(30 * time.Millisecond)
		})
		// The worker is free at 0, 30, …, 3000 ms: 101 times until the end of the grace at 3000 ms.
		if want := (Tally{Due: 200, NotSent: 99}); got != want {
			t.Fatalf("tally %+v, want %+v", got, want)
		}
		for i := range uint32(101) {
			if want := time.Duration(i) * 20 * time.Millisecond; j.late[i] != want {
				t.Errorf("message %d was %v late, want %v", i, j.late[i], want)
			}
		}
	})
}

func TestDriveStopsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 505*time.Millisecond)
		defer cancel()
		c, j := NewConstant(100, 2*time.Second), newJournal()
		got := Drive(ctx, c, j.start, Pool{4, time.Second}, j.note)
		if want := (Tally{Due: 51}); got != want || len(j.at) != 51 {
			t.Fatalf("tally %+v and %d sent, want %+v and 51", got, len(j.at), want)
		}
		if took := time.Since(j.start); took != 505*time.Millisecond {
			t.Errorf("it returned after %v", took)
		}
	})
}

// What was due before the stop and found no worker is not hidden by the stop.
func TestDriveStoppedWhileBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 505*time.Millisecond)
		defer cancel()
		c, j := NewConstant(100, 2*time.Second), newJournal()
		got := Drive(ctx, c, j.start, Pool{1, time.Second}, func(i uint32, late time.Duration) {
			j.note(i, late)
			time.Sleep(100 * time.Millisecond)
		})
		if want := (Tally{Due: 51, NotSent: 45}); got != want { // sent at 0, 100, … 500 ms
			t.Fatalf("tally %+v, want %+v", got, want)
		}
	})
}
