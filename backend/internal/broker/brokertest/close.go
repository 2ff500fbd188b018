package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// canceled: a call whose context has ended is done all the same, or is refused and leaves nothing.
func canceled(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	last := publish(t, b, broker.Publication{Room: room})
	receipt, err := b.Publish(over, broker.Publication{Room: room, Event: "E", IdempotencyKey: "k", Data: json.RawMessage(`1`)})
	if err != nil {
		wantRefused(t, "Publish", err)
	} else {
		last = receipt.Offset
	}
	s, err := b.Subscribe(over, room)
	if err != nil {
		wantRefused(t, "Subscribe", err)
		publish(t, b, broker.Publication{Room: room})
		last = last.Next()
		if s, err = b.Subscribe(t.Context(), room); err != nil {
			t.Fatalf("subscribe again: %v", err)
		}
	}
	if s.Offset != last {
		t.Errorf("the snapshot stands at %s, want %s", s.Offset, last)
	}
	if page, err := b.History(over, room, last, 1); err != nil {
		wantRefused(t, "History", err)
	} else if page.Gap != nil || len(page.Messages) > 0 {
		t.Errorf("history after the last message: %+v", page)
	}
	if got := publish(t, b, broker.Publication{Room: room}); got != last.Next() {
		t.Errorf("the message after canceled calls got the offset %s, want %s", got, last.Next())
	}
	r.WantExactly(room, last.N+1, last.N+1)
	if err := b.Health(); err != nil {
		t.Errorf("canceled calls made the broker ill: %v", err)
	}
}

// wantRefused takes the error of the caller's own context as well: the caller knows what it means.
func wantRefused(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		wantUnavailable(t, call, err)
	}
}

func wantUnavailable(t *testing.T, call string, err error) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != wire.CodeUnavailable || e.Message == "" {
		t.Errorf("%s: %v, want an error for people with the code %s", call, err, wire.CodeUnavailable)
	}
}

func closed(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room, another := Room(t), Room(t)
	Subscribe(t, b, room)
	last := publish(t, b, broker.Publication{Room: room})
	r.WantExactly(room, 1, 1)
	testkit.Must(t, b.Close())
	for _, at := range []wire.Room{room, another} {
		_, err := b.Publish(t.Context(), broker.Publication{Room: at, Event: "E", Data: json.RawMessage(`1`)})
		wantUnavailable(t, "Publish", err)
		_, err = b.History(t.Context(), at, last, 1)
		wantUnavailable(t, "History", err)
		b.Unsubscribe(at) // must be harmless: sessions end after the broker does
	}
	_, err := b.Subscribe(t.Context(), another)
	wantUnavailable(t, "Subscribe", err)
	wantUnavailable(t, "Health", b.Health())
	wantRange(t, r.Messages(room), 1, 1)
}

func closeWhilePublishing(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for {
				if _, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E",
					Data: json.RawMessage(`1`)}); err != nil {
					wantUnavailable(t, "Publish", err)
					return
				}
			}
		})
	}
	r.Wait(room, 100)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	got := r.Messages(room)
	wantRange(t, got, 1, uint64(len(got)))
}
