package hub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// When a thousand come back at once, each with an offset of its own, the broker is asked for each part of the history once,
// not a thousand times; and everyone gets exactly what it missed.
func TestReplaysShareTheirReads(t *testing.T) {
	const guests, missed = 1000, 1000
	h := build(t, options{limits: endless})
	other := h.guest("other")
	if err := other.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	last := h.publish(room("a"), missed+100)
	h.broker.on(nil, func(context.Context, wire.Room) error {
		time.Sleep(20 * time.Millisecond) // as a busy Redis does
		return nil
	})
	begin := make(chan struct{})
	var all sync.WaitGroup
	var watched []*guest
	for i := range guests {
		after := wire.Offset{Epoch: last.Epoch, N: last.N - missed + uint64(i)*7%missed}
		join := func() error {
			return h.idle(t, fmt.Sprint("idle-", i), drain(t)).Join(t.Context(), []hub.Join{{Room: room("a"), After: after}}, silent)
		}
		if i%100 == 0 {
			g := h.guest(fmt.Sprint("guest-", i))
			watched = append(watched, g)
			join = func() error { return g.join(hub.Join{Room: room("a"), After: after}) }
		}
		all.Go(func() {
			<-begin
			if err := join(); err != nil {
				t.Error(err)
			}
		})
	}
	_, before := h.broker.calls()
	close(begin)
	all.Wait()
	if _, histories := h.broker.calls(); histories-before > guests/10 { // six pages, the newest more than once
		t.Errorf("the broker was asked for history %d times by %d clients", histories-before, guests)
	}
	h.publish(room("a"), 1)
	for _, g := range watched {
		wantUnbroken(t, g.flush())
	}
	if n := h.gaps.Load(); n != 0 {
		t.Errorf("%d gaps were told although nothing was lost", n)
	}
}

// Those whose history is lost share the reads as well.
func TestThoseOfALostEpochShareTheirReads(t *testing.T) {
	const guests = 200
	h := build(t, options{limits: broker.Limits{Messages: 50}})
	h.publish(room("a"), 50)
	h.broker.on(nil, func(context.Context, wire.Room) error {
		time.Sleep(50 * time.Millisecond)
		return nil
	})
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range guests {
		s := h.idle(t, fmt.Sprint("idle-", i), drain(t))
		all.Go(func() {
			<-begin
			after := wire.Offset{Epoch: "lost", N: 900}
			if err := s.Join(t.Context(), []hub.Join{{Room: room("a"), After: after}}, silent); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	if _, histories := h.broker.calls(); histories > guests/5 {
		t.Errorf("the broker was asked for history %d times", histories)
	}
	if n := h.gaps.Load(); n != guests {
		t.Errorf("%d gaps were told to %d clients", n, guests)
	}
}
