package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// abroad publishes as another instance does: without asking whether the members here can take it.
func (h *house) abroad(name wire.Room, n int) {
	h.t.Helper()
	data := json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)
	for range n {
		if _, err := h.broker.Publish(h.t.Context(), broker.Publication{Room: name, Event: "E", Data: data}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// What other instances have published before they hear of it may be far more than the members' queues hold: nobody is thrown out.
func TestWhatIsOnItsWayFromOtherInstancesThrowsNobodyOut(t *testing.T) {
	const members, messages = 40, 400
	line := newAnnouncer()
	h := build(t, options{bytes: 256 << 10, limits: endless, signal: line, stall: time.Minute})
	h.dial = narrow
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.sleeper(fmt.Sprint("guest-", i))
		if err := guests[i].join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
	}
	h.abroad(room("a"), messages)
	if h.Deferred() == 0 {
		t.Error("nothing waits in the room: this was no flood")
	}
	eventually(t, "it is announced", func() bool { return !line.to.OverloadedUntil(room("a")).IsZero() })
	h.abroad(room("b"), 1) // another room goes on
	for _, g := range guests {
		g.wake()
	}
	late := h.guest("late") // who comes meanwhile finds all of it in its order
	if err := late.join(hub.Join{Room: room("a"), After: wire.Offset{}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all that was deferred has gone to the members", func() bool { return h.Deferred() == 0 })
	for _, g := range guests {
		if n := wantUnbroken(t, g.flush())[room("a").String()]; n != messages || g.Queue.Code() != 0 {
			t.Fatalf("%s got %d of %d messages, closed with %s", g.ID, n, messages, g.Queue.Code())
		}
	}
	wantUnbroken(t, late.flush())
}

// A room holds back so much and no more, and in their order; members who never read meet their bound.
func TestWhatIsDeferredInARoomIsBounded(t *testing.T) {
	line := newAnnouncer()
	h := build(t, options{bytes: 64 << 10, limits: endless, signal: line, stall: time.Minute})
	h.dial = narrow
	g := h.sleeper("g")
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	most := 0
	for range 1000 {
		h.abroad(room("a"), 1)
		most = max(most, h.Deferred())
	}
	if most == 0 || most > 8*64<<10 {
		t.Errorf("%d bytes waited in the room, want some, and at most eight times the bound of a connection", most)
	}
	if code := g.Queue.Code(); code != wire.CloseSlowConsumer {
		t.Errorf("closed with %s, want %s", code, wire.CloseSlowConsumer)
	}
	g.end()
	eventually(t, "nothing is kept for nobody", func() bool { return h.Deferred() == 0 })
}
