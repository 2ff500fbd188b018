package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

var errBroker = errors.New("the broker is away")

func TestARoomIsSubscribedToWhileItHasMembers(t *testing.T) {
	h := build(t, options{})
	a, b := h.guest("a"), h.guest("b")
	for _, g := range []*guest{a, b} {
		g.enter(room("x"))
		if got := h.broker.subscribed(); len(got) != 1 || got[0] != room("x") {
			t.Errorf("subscribed to %v, want x", got)
		}
	}
	a.exit(room("x"))
	if got := h.broker.subscribed(); len(got) != 1 {
		t.Errorf("one of two left: subscribed to %v, want x still", got)
	}
	b.Close()
	if got := h.broker.subscribed(); len(got) != 0 || h.Rooms() != 0 {
		t.Errorf("the last one left: subscribed to %v, %d rooms", got, h.Rooms())
	}
	if subscribes, _ := h.broker.calls(); subscribes != 1 {
		t.Errorf("subscribed %d times, want once", subscribes)
	}
	h.Message(&broker.Message{Message: wire.Message{Room: room("x"), Event: "LATE"}}) // under way when the last one left
}

// joinAtOnce lets guests join a room at once, and returns how many could not. The first
// subscriptions to it end with these errors.
func (h *house) joinAtOnce(guests int32, errs ...error) (failed int32) {
	var coming, failures, calls atomic.Int32
	h.broker.on(func(context.Context, wire.Room) error {
		eventually(h.t, "all are on their way", func() bool { return coming.Load() == guests })
		if n := int(calls.Add(1)); n <= len(errs) {
			return errs[n-1]
		}
		return nil
	}, nil)
	var all sync.WaitGroup
	for i := range guests {
		g := h.guest(fmt.Sprint(i))
		all.Go(func() {
			coming.Add(1)
			if g.join(hub.Join{Room: room("a")}) != nil {
				failures.Add(1)
			}
		})
	}
	all.Wait()
	if got := h.broker.subscribed(); len(got) != 1 || h.Rooms() != 1 {
		h.t.Errorf("subscribed to %v, %d rooms, want one", got, h.Rooms())
	}
	return failures.Load()
}

func TestThoseWhoJoinAtOnceSubscribeOnce(t *testing.T) {
	h := build(t, options{})
	if failed := h.joinAtOnce(8); failed != 0 {
		t.Errorf("%d could not join", failed)
	}
	if subscribes, _ := h.broker.calls(); subscribes != 1 {
		t.Errorf("subscribed %d times, want once", subscribes)
	}
}

func TestOnesFailureIsNotTheOthers(t *testing.T) {
	if failed := build(t, options{}).joinAtOnce(8, errBroker); failed != 1 {
		t.Errorf("%d of 8 failed with the broker's one failure", failed)
	}
}

func TestAFailedSubscriptionLeavesNothing(t *testing.T) {
	h := build(t, options{})
	h.broker.on(func(_ context.Context, r wire.Room) error {
		if r == room("b") {
			return errBroker
		}
		return nil
	}, nil)
	g := h.guest("g")
	err := g.Join(t.Context(), []hub.Join{{Room: room("a")}, {Room: room("b")}, {Room: room("c")}},
		func(wire.Cursor) { t.Error("a failed joining was announced") })
	if !errors.Is(err, errBroker) {
		t.Errorf("joining: %v, want the broker's error", err)
	}
	g.wantNowhere(h)
	h.broker.on(nil, nil)
	if err := g.join(hub.Join{Room: room("b")}); err != nil {
		t.Errorf("joining later: %v", err)
	}
	h.publish(room("b"), 1)
	wantNumbers(t, g, room("b"), "1")
}

func TestAFailedSubscriptionTakesNoRoomAway(t *testing.T) {
	h := build(t, options{})
	g := h.member("g", room("a"))
	h.broker.on(func(context.Context, wire.Room) error { return errBroker }, nil)
	for _, joins := range [][]hub.Join{
		{{Room: room("a")}, {Room: room("b")}},
		{{Room: room("b")}, {Room: room("a"), After: h.publish(room("a"), 1)}},
	} {
		if err := g.join(joins...); !errors.Is(err, errBroker) {
			t.Errorf("joining: %v, want the broker's error", err)
		}
	}
	h.publish(room("a"), 1)
	wantNumbers(t, g, room("a"), "1", "2")
}

// broker.Handler says that a call must not block. A message of an earlier subscription may still be
// under way when the next one begins; if it waited for that, a broker with one receiver would wait
// for itself.
func TestAMessageDuringTheSubscriptionDoesNotBlock(t *testing.T) {
	h := build(t, options{})
	last := h.publish(room("a"), 1)
	h.broker.on(func(context.Context, wire.Room) error {
		handled := make(chan struct{})
		go func() {
			defer close(handled)
			h.deliver(room("a"), last)
		}()
		select {
		case <-handled:
		case <-time.After(time.Second):
			t.Error("the message waits for the subscription")
		}
		return nil
	}, nil)
	g := h.member("g", room("a"))
	h.publish(room("a"), 1)
	eventually(t, "the message arrives", func() bool { return g.got() == 2 })
	wantNumbers(t, g, room("a"), "2")
}

func TestASlowSubscriptionHoldsUpNoOtherRoom(t *testing.T) {
	const rooms = 200
	h := build(t, options{rooms: rooms})
	slow, entered := make(chan struct{}), make(chan struct{})
	h.broker.on(func(_ context.Context, r wire.Room) error {
		if r == room("slow") {
			close(entered)
			<-slow
		}
		return nil
	}, nil)
	first := h.guest("first")
	joined := make(chan error)
	go func() { joined <- first.join(hub.Join{Room: room("slow")}) }()
	<-entered
	g := h.guest("g")
	for i := range rooms {
		at := room(fmt.Sprint(i))
		g.enter(at)
		h.publish(at, 1)
	}
	for i := range rooms {
		wantNumbers(t, g, room(fmt.Sprint(i)), "1")
	}
	close(slow)
	if err := <-joined; err != nil {
		t.Error(err)
	}
}

func TestJoiningGivesUpWithItsContext(t *testing.T) {
	h := build(t, options{})
	ctx, cancel := context.WithCancel(t.Context())
	h.broker.on(func(ctx context.Context, _ wire.Room) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}, nil)
	g := h.guest("g")
	if err := g.joinThen(ctx, nil, hub.Join{Room: room("a")}); !errors.Is(err, context.Canceled) {
		t.Errorf("joining: %v, want that it was canceled", err)
	}
	g.wantNowhere(h)
}

// Members that come and go, as long polls do, make one subscription and lose nothing between.
func TestARoomStaysSubscribedToBetweenItsMembers(t *testing.T) {
	h := build(t, options{linger: 200 * time.Millisecond, limits: endless})
	at := h.publish(room("x"), 1)
	want := at.N
	for i := range 5 {
		g := h.guest(fmt.Sprint(i))
		g.resume(room("x"), at)
		for _, f := range g.flush() {
			if f.Room != "" {
				want++
				if at, _ = wire.ParseOffset(f.Offset); at.N != want {
					t.Fatalf("came %s, want number %d", f.Offset, want)
				}
			}
		}
		g.end()
		if h.Rooms() != 0 {
			t.Errorf("%d rooms have members", h.Rooms())
		}
		h.publish(room("x"), 3) // while nobody is there
	}
	if want != 1+4*3 {
		t.Errorf("the last one got up to number %d", want)
	}
	if subscribes, histories := h.broker.calls(); subscribes != 1 || histories != 0 {
		t.Errorf("subscribed %d times and read the history %d times, want once and never", subscribes, histories)
	}
	eventually(t, "the subscription ends", func() bool { return len(h.broker.subscribed()) == 0 })
}

func TestComingAndGoingWhileRoomsExpire(t *testing.T) {
	h := build(t, options{linger: time.Millisecond, limits: endless})
	var all sync.WaitGroup
	for i := range 4 {
		s := h.idle(t, fmt.Sprint(i), drain(t))
		all.Go(func() {
			for range 300 {
				if err := s.Join(t.Context(), []hub.Join{{Room: room("x")}}, silent); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(i) * 300 * time.Microsecond)
				if err := s.Leave(room("x")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(i+1) * 400 * time.Microsecond)
			}
		})
	}
	all.Wait()
	eventually(t, "the subscription ends", func() bool { return len(h.broker.subscribed()) == 0 })
}

// Someone who joins one room after the other does not make the instance keep them all.
func TestNotMoreRoomsLingerThanTheirBound(t *testing.T) {
	const most = 4096
	h := build(t, options{linger: time.Minute})
	s := h.idle(t, "s", drain(t))
	for i := range most + 50 {
		r := room(fmt.Sprint(i))
		testkit.Must(t, s.Join(t.Context(), []hub.Join{{Room: r}}, silent))
		testkit.Must(t, s.Leave(r))
	}
	if n := len(h.broker.subscribed()); n != most {
		t.Errorf("%d rooms linger, want %d", n, most)
	}
	h.CloseIdleRooms()
}
