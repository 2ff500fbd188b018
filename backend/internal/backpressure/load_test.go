package backpressure

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const bound = 1 << 20

var name = wire.Room{Warehouse: "w", Zone: "a"}

func control() *Control {
	return &Control{MaxQueuedBytes: bound, PublishWait: 2 * time.Second, StallTimeout: time.Second}
}

func at(n uint64) wire.Offset { return wire.Offset{Epoch: "e", N: n} }

// join adds members at a level.
func (r *Load) join(n int, l Level) (all []*Member) {
	for range n {
		all = append(all, new(Member))
		r.Join(all[len(all)-1], l)
	}
	return all
}

// wait returns how long a publisher waits, and how it ends.
func wait(t *testing.T, r *Load) (waited time.Duration, code wire.ErrorCode) {
	t.Helper()
	began := time.Now()
	v, err := r.control.Reserve(t.Context(), name, r, 1)
	if err != nil {
		return time.Since(began), wire.AsError(err).Code
	}
	v.Release()
	return time.Since(began), ""
}

// How long a publisher waits when nothing changes meanwhile.
func TestPublishersWaitForABoundedTime(t *testing.T) {
	for _, tt := range []struct {
		name                          string
		ready, writing, full, reading int
		want                          time.Duration
		code                          wire.ErrorCode
	}{
		{name: "nobody is there"},
		{name: "nobody is behind", ready: 8},
		{name: "a few of many are full", ready: 100, full: 2},
		{name: "a few of many read", ready: 100, reading: 2, want: time.Second},
		{name: "one of few is full", ready: 2, full: 1, want: time.Second},
		{name: "the many are full and take nothing", ready: 2, full: 2, want: time.Second},
		{name: "the server has not come round to the many", writing: 4, want: 2 * time.Second, code: wire.CodeRateLimited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := control().NewLoad(name)
				r.join(tt.ready, Ready)
				r.join(tt.writing, Unwritten)
				r.join(tt.full, Blocked)
				r.join(tt.reading, Reading)
				if got, code := wait(t, r); got != tt.want || code != tt.code {
					t.Errorf("waited %v and got %q, want %v and %q", got, code, tt.want, tt.code)
				}
			})
		})
	}
}

// later does something after a while.
func later(d time.Duration, f func()) { time.AfterFunc(d, f) }

func TestPublishersGoOnWhenMembersHaveDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		members := r.join(3, Unwritten)
		for i := range 3 {
			later(time.Duration(i+1)*100*time.Millisecond, func() { r.Move(members[i], Unwritten, Ready) })
		}
		// One of three alone is no longer many: but publishers wait already, and it gets its grace.
		if got, code := wait(t, r); got != 300*time.Millisecond || code != "" {
			t.Errorf("waited %v and got %q, want until the last one has drained", got, code)
		}
	})
}

func TestPublishersGoOnWhenTheOnlyMemberBehindLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		full := r.join(1, Blocked)
		later(10*time.Millisecond, func() { r.Leave(full[0], Blocked) })
		if got, _ := wait(t, r); got != 10*time.Millisecond {
			t.Errorf("waited %v, want 10ms", got)
		}
	})
}

// Members that take something now and then set the pace of their room, however slow it is.
func TestTheManyAreNotGivenUpWhileTheyTakeSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		reading := r.join(4, Reading)
		for i := range 10 {
			later(time.Duration(i)*900*time.Millisecond, func() { r.Took(reading[0]) })
		}
		for range 3 {
			if got, code := wait(t, r); got != 2*time.Second || code != wire.CodeRateLimited {
				t.Errorf("waited %v and got %q, want to be refused", got, code)
			}
		}
	})
}

// Who was given up is waited for again when it comes back; until then nobody waits twice for it.
func TestWhoWasGivenUpCountsAgainWhenItTakesSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		full := r.join(2, Blocked)
		for _, want := range []time.Duration{time.Second, 0, 0} {
			if got, _ := wait(t, r); got != want {
				t.Errorf("waited %v, want %v", got, want)
			}
		}
		r.Took(full[0])
		r.Took(full[1])
		if got, _ := wait(t, r); got != time.Second {
			t.Errorf("waited %v for members that came back, want 1s", got)
		}
	})
}

// Those that were given up and leave take nobody's place: others that read are waited for.
func TestWhoWasGivenUpLeavesNoExemptionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		dead := r.join(2, Blocked)
		if got, _ := wait(t, r); got != time.Second {
			t.Fatalf("waited %v for members that take nothing, want 1s", got)
		}
		r.join(2, Reading)
		for _, m := range dead {
			r.Leave(m, Blocked)
		}
		if got, _ := wait(t, r); got != time.Second {
			t.Errorf("waited %v for members that read, want 1s", got)
		}
	})
}

// A slow reader costs its room the grace, once while the room moves on by the bound of a
// connection.
func TestTheGraceForAFewIsEarnedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		r.join(20, Ready)
		slow := r.join(1, Reading)
		reads := func() { r.Took(slow[0]) }
		for i := range 1000 {
			later(time.Duration(i)*10*time.Millisecond, reads)
		}
		want := []time.Duration{time.Second, 0, 0, 0, time.Second, 0}
		for i, w := range want {
			if got, code := wait(t, r); got != w || code != "" {
				t.Errorf("publication %d waited %v, want %v (%s)", i, got, w, code)
			}
			r.Delivered(at(uint64(i+1)), bound/4)
		}
	})
}

// Where the many are slow, a few may be slower for as long again.
func TestWaitingForTheManyEarnsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		r.join(20, Ready)
		slow := r.join(1, Reading)
		for i := range 1000 {
			later(time.Duration(i)*10*time.Millisecond, func() { r.Took(slow[0]) })
		}
		if got, _ := wait(t, r); got != time.Second { // the grace is spent
			t.Fatalf("waited %v", got)
		}
		many := r.join(10, Reading)
		later(300*time.Millisecond, func() {
			for _, m := range many {
				r.Move(m, Reading, Ready)
			}
		})
		if got, _ := wait(t, r); got != 600*time.Millisecond {
			t.Errorf("waited %v, want 300ms for the many and as long for the one that is left", got)
		}
	})
}

// When the last member leaves, nothing is delivered any more: what was in flight holds up nobody.
func TestPublishersGoOnWhenTheLastMemberLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		r.Delivered(at(0), 0)
		last := r.join(1, Ready)
		if v, err := r.control.Reserve(t.Context(), name, r, bound); err != nil {
			t.Fatal(err)
		} else {
			v.Accepted(at(1))
		}
		later(10*time.Millisecond, func() { r.Leave(last[0], Ready) })
		if got, code := wait(t, r); got != 10*time.Millisecond || code != "" {
			t.Errorf("waited %v and got %q, want 10ms", got, code)
		}
	})
}

// Publishers are let in while less than the high watermark is in flight.
func TestWhatIsInFlightIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control()
		c.PublishWait = 0
		r := c.NewLoad(name)
		r.join(1, Ready)
		r.Delivered(at(0), 0)
		reserve := func(bytes int) (Reservation, bool) {
			v, err := c.Reserve(t.Context(), name, r, bytes)
			return v, err == nil
		}
		first, ok := reserve(bound)
		if !ok {
			t.Fatal("a message larger than the watermark never goes")
		}
		if _, ok := reserve(1); ok {
			t.Error("something went beside it")
		}
		first.Release()
		small, _ := reserve(1)
		large, ok := reserve(bound / 2)
		if !ok {
			t.Error("a large message is kept out by a small one")
		}
		small.Release()
		large.Release()
		var all []Reservation
		for range 4 {
			v, ok := reserve(bound / 16)
			if !ok {
				t.Fatal("no space for what fits")
			}
			all = append(all, v)
		}
		if _, ok := reserve(1); ok {
			t.Error("more is in flight than the watermark")
		}
		for i, n := range []uint64{2, 1, 4, 3} { // the answers may overtake one another
			all[i].Accepted(at(n))
		}
		for n := uint64(1); n <= 4; n++ {
			r.Delivered(at(n), 0)
			if _, inFlight := r.Counts(); inFlight != bound/16*int(4-n) {
				t.Errorf("%d bytes are in flight after message %d", inFlight, n)
			}
		}
		late, _ := reserve(bound / 16)
		late.Accepted(at(3)) // which was delivered before the publisher had its answer
		lost, _ := reserve(bound / 16)
		lost.Accepted(at(9))
		r.Delivered(wire.Offset{Epoch: "f", N: 1}, 0) // the room's history was lost, and the message with it
		stale, _ := reserve(bound / 16)
		stale.Accepted(at(12)) // whose history is lost already
		if _, inFlight := r.Counts(); inFlight != 0 {
			t.Errorf("%d bytes are in flight although all has arrived or is lost", inFlight)
		}
	})
}

func TestAPublisherWaitsForWhatIsDeferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		r.join(1, Ready)
		r.Defer(true)
		later(50*time.Millisecond, func() { r.Defer(false) })
		if got, code := wait(t, r); got != 50*time.Millisecond || code != "" {
			t.Errorf("waited %v and got %q, want 50ms", got, code)
		}
	})
}

func TestAPublisherThatLeavesWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := control().NewLoad(name)
		r.join(1, Unwritten)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := r.control.Reserve(ctx, name, r, 1)
		if wire.AsError(err).Code != wire.CodeUnavailable || ctx.Err() == nil {
			t.Errorf("got %v", err)
		}
	})
}

// signal is a line on which another instance has announced a room.
type signal struct{ until time.Time }

func (signal) Announce(wire.Room) {}

func (s signal) OverloadedUntil(wire.Room) time.Time { return s.until }

func TestAPublisherWaitsForTheMembersOfOtherInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control()
		c.Signal = signal{time.Now().Add(SignalTTL)}
		began := time.Now()
		if _, err := c.Reserve(t.Context(), name, nil, 1); err != nil || time.Since(began) != SignalTTL {
			t.Errorf("waited %v: %v", time.Since(began), err)
		}
	})
}

// Many publishers that wait are all let in, and each once.
func TestAllWhoWaitAreWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := control()
		var mu sync.Mutex
		waited := 0
		c.OnWait = func() { mu.Lock(); waited++; mu.Unlock() }
		r := c.NewLoad(name)
		r.Delivered(at(0), 0)
		behind := r.join(1, Unwritten)
		var all sync.WaitGroup
		var offsets []uint64
		for range 100 {
			all.Go(func() {
				v, err := c.Reserve(t.Context(), name, r, bound/8)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond) // the broker
				mu.Lock()
				n := uint64(len(offsets) + 1)
				offsets = append(offsets, n)
				mu.Unlock()
				v.Accepted(at(n))
				r.Delivered(at(n), bound/8)
			})
		}
		synctest.Wait()
		r.Move(behind[0], Unwritten, Ready)
		all.Wait()
		if len(offsets) != 100 || !slices.IsSorted(offsets) || waited != 100 {
			t.Errorf("%d of 100 were let in, %d waited", len(offsets), waited)
		}
		if _, inFlight := r.Counts(); inFlight != 0 {
			t.Errorf("%d bytes are in flight", inFlight)
		}
	})
}
