package hub_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// announced is the line between two hubs: what one announces, the other hears.
type announced struct {
	mu    sync.Mutex
	until map[wire.Room]time.Time
}

func (a *announced) OverloadedUntil(room wire.Room) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until[room]
}

// An announcer is its one end.
type announcer struct{ to *announced }

func newAnnouncer() announcer { return announcer{&announced{until: map[wire.Room]time.Time{}}} }

func (a announcer) Announce(room wire.Room) {
	a.to.mu.Lock()
	defer a.to.mu.Unlock()
	a.to.until[room] = time.Now().Add(backpressure.SignalTTL)
}

func (announcer) OverloadedUntil(wire.Room) time.Time { return time.Time{} }

// A listener is the other.
type listener struct{ *announced }

func (listener) Announce(wire.Room) {}

// An instance without members of a room lets its publishers wait for those of another one, and no longer than they are behind.
func TestPublishersWaitForMembersOfOtherInstances(t *testing.T) {
	line := newAnnouncer()
	h := build(t, options{bytes: 64 << 10, stall: time.Minute, limits: endless, signal: line, wait: 50 * time.Millisecond})
	elsewhere := build(t, options{signal: listener{line.to}, wait: 50 * time.Millisecond})
	g := h.sleeper("g")
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	p := broker.Publication{Room: room("a"), Event: "E", Data: json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)}
	if _, err := elsewhere.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for { // until the member is behind for good
		if _, err := h.Publish(t.Context(), p); err != nil {
			break
		}
	}
	h.abroad(room("a"), 1)
	eventually(t, "it is announced", func() bool { return !line.to.OverloadedUntil(room("a")).IsZero() })
	for range 3 { // it is announced again and again, although nothing is published any more
		time.Sleep(backpressure.SignalInterval)
		eventually(t, "the other instance refuses publications", func() bool {
			_, err := elsewhere.Publish(t.Context(), p)
			return err != nil && wire.AsError(err).Code == wire.CodeRateLimited
		})
	}
	p.Room = room("b")
	if _, err := elsewhere.Publish(t.Context(), p); err != nil {
		t.Errorf("another room: %v", err)
	}
	g.wake()
	p.Room = room("a")
	eventually(t, "the other instance publishes again", func() bool {
		_, err := elsewhere.Publish(t.Context(), p)
		return err == nil
	})
}
