package hub_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

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
		if err := s.Join(t.Context(), []hub.Join{{Room: r}}, silent); err != nil {
			t.Fatal(err)
		}
		if err := s.Leave(r); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.broker.subscribed()); n != most {
		t.Errorf("%d rooms linger, want %d", n, most)
	}
	h.CloseIdleRooms()
}
