package hub_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A rumour is the pressure between two hubs: what one tells, the other is told.
type rumour struct {
	mu   sync.Mutex
	told map[wire.Room]time.Time
}

func (r *rumour) Tell(room wire.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[room] = time.Now()
}

func (r *rumour) hasTold(room wire.Room) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.told[room]) < hub.PressureHolds
}

// mouth and ear are the two ends of it.
type mouth struct{ *rumour }

func (mouth) Told(wire.Room) bool { return false }

type ear struct{ *rumour }

func (ear) Tell(wire.Room)             {}
func (e ear) Told(room wire.Room) bool { return e.hasTold(room) }

// An instance without members of a room lets its publishers wait for those of another one, and no longer than they are behind.
func TestPublishersWaitForMembersOfOtherInstances(t *testing.T) {
	heard := &rumour{told: map[wire.Room]time.Time{}}
	h := build(t, options{bytes: 64 << 10, slow: time.Minute, limits: endless, pressure: mouth{heard}, wait: 50 * time.Millisecond})
	elsewhere := build(t, options{pressure: ear{heard}, wait: 50 * time.Millisecond})
	g := h.sleeper("g")
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	p := broker.Publication{Room: room("a"), Event: "E", Data: json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)}
	if _, err := elsewhere.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for { // until the room is pressed
		if _, err := h.Publish(t.Context(), p); err != nil {
			break
		}
	}
	for range 3 { // it is told again and again, although nothing is published any more
		time.Sleep(hub.PressureRepeats)
		if _, err := elsewhere.Publish(t.Context(), p); err == nil || wire.AsError(err).Code != wire.CodeRateLimited {
			t.Fatalf("the other instance publishes to a room that is pressed here: %v", err)
		}
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
