package brokertest

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// flood publishes to the room from several goroutines until stop or the end of the test. The number
// of the last message whose receipt came is in accepted.
func flood(t *testing.T, b broker.Broker, room wire.Room, goroutines int) (accepted *atomic.Uint64, stop func()) {
	// Stop ends it, so that no publication is cut off.
	ctx, cancel := context.WithCancel(context.Background())
	accepted = new(atomic.Uint64)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for ctx.Err() == nil {
				receipt, err := b.Publish(context.Background(), broker.Publication{Room: room, Event: "E",
					Data: json.RawMessage(`1`)})
				if err != nil {
					t.Error(err)
					return
				}
				for n := accepted.Load(); n < receipt.Offset.N && !accepted.CompareAndSwap(n, receipt.Offset.N); {
					n = accepted.Load()
				}
			}
		})
	}
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return accepted, stop
}

func subscribeWhilePublishing(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	accepted, stop := flood(t, b, room, 3)
	for range 25 {
		before := accepted.Load()
		s := Subscribe(t, b, room)
		if s.Offset.N < before {
			t.Fatalf("the snapshot stands at %s although message %d was accepted before", s.Offset, before)
		}
		testkit.Eventually(t, "publishing goes on", func() bool { return accepted.Load() >= s.Offset.N+20 })
		until := accepted.Load()
		got := r.Wait(room, until)
		first := len(got)
		for first > 0 && got[first-1].Offset.N > s.Offset.N {
			first--
		}
		last := got[len(got)-1].Offset.N // more than until, for publishing goes on
		wantRange(t, got[first:], s.Offset.N+1, last)
		b.Unsubscribe(room)
	}
	stop()
	if gaps := r.Gaps(room); len(gaps) > 0 {
		t.Errorf("told of gaps %v although nothing was missed", gaps)
	}
}

func onlySubscribed(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	warehouse := Room(t).Warehouse
	never := wire.Room{Warehouse: warehouse}
	before := wire.Room{Warehouse: warehouse, Zone: "before"}
	now := wire.Room{Warehouse: warehouse, Zone: "now"}
	for _, room := range []wire.Room{before, now} {
		Subscribe(t, b, room)
		publish(t, b, broker.Publication{Room: room})
		r.WantExactly(room, 1, 1)
	}
	b.Unsubscribe(before)
	b.Unsubscribe(never) // has no effect
	const n = 50
	for range n {
		publish(t, b, broker.Publication{Room: never})
		publish(t, b, broker.Publication{Room: before})
		publish(t, b, broker.Publication{Room: now})
	}
	r.WantExactly(now, 1, 1+n)
	r.WantExactly(before, 1, 1)
	if got := r.Messages(never); len(got) > 0 {
		t.Errorf("a room that nobody subscribed to was delivered: %s", offsets(got))
	}
	s, err := b.Subscribe(t.Context(), before)
	if err != nil || s.Offset.N != 1+n {
		t.Fatalf("subscribing again: %s %v, want number %d", s.Offset, err, 1+n)
	}
	publish(t, b, broker.Publication{Room: before})
	wantRange(t, r.Wait(before, 2+n)[1:], 2+n, 2+n)
}

func emptyRoom(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	s := Subscribe(t, b, room)
	if s.Offset.Epoch == "" || s.Offset.N != 0 || len(s.Retained) > 0 {
		t.Errorf("the snapshot of an empty room is %+v", s)
	}
	if page := history(t, b, room, s.Offset, 10); page.Gap != nil || len(page.Messages) > 0 {
		t.Errorf("the history of an empty room is %+v", page)
	}
	if got, want := publish(t, b, broker.Publication{Room: room}), s.Offset.Next(); got != want {
		t.Errorf("the first message got the offset %s, want %s", got, want)
	}
	r.WantExactly(room, 1, 1)
	page := history(t, b, room, s.Offset, 10)
	if page.Gap != nil {
		t.Errorf("gap %+v although nothing was missed", page.Gap)
	}
	wantRange(t, page.Messages, 1, 1)
}

// emptyRoomEpoch: whoever saw a room at 0 has missed nothing when it comes back to it at 0, or with
// the first message kept.
func emptyRoomEpoch(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	var first wire.Offset
	for i := range 3 {
		s := Subscribe(t, b, room)
		b.Unsubscribe(room)
		if i == 0 {
			first = s.Offset
		}
		if s.Offset != first {
			t.Fatalf("nothing was published, yet the room went from %s to %s", first, s.Offset)
		}
		if page := history(t, b, room, first, 10); page.Gap != nil {
			t.Fatalf("nothing was published, yet there is a gap %+v", page.Gap)
		}
	}
	publish(t, b, broker.Publication{Room: room})
	page := history(t, b, room, first, 10)
	if page.Gap != nil {
		t.Errorf("gap %+v although the first message is kept", page.Gap)
	}
	wantRange(t, page.Messages, 1, 1)
}
