package hub_test

import (
	"context"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A session may end at any moment of its joining; nothing of it may stay.
func TestCloseDuringJoin(t *testing.T) {
	tests := []struct {
		name string
		// arm makes the joining stop somewhere until the session is closed by end.
		arm func(h *house, end func()) (during func())
	}{
		{name: "in the subscription", arm: func(h *house, end func()) func() {
			h.broker.on(func(context.Context, wire.Room) error { end(); return nil }, nil)
			return nil
		}},
		{name: "in the announcement", arm: func(_ *house, end func()) func() { return end }},
		{name: "in the history", arm: func(h *house, end func()) func() {
			h.broker.on(nil, func(context.Context, wire.Room) error { end(); return nil })
			return nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := build(t, options{})
			after := h.publish(room("a"), 10)
			after.N = 2
			g := h.guest("g")
			during := tt.arm(h, g.Close)
			err := g.joinThen(t.Context(), during, hub.Join{Room: room("b")}, hub.Join{Room: room("a"), After: after})
			if err == nil {
				t.Error("a session that ended meanwhile could join")
			}
			g.wantNowhere(h)
			if n := h.Connections(); n != 0 {
				t.Errorf("%d connections, want none", n)
			}
		})
	}
}

func TestCloseWhileMessagesFlow(t *testing.T) {
	h := build(t, options{limits: endless})
	stop := h.flood(room("a"), 2)
	for range 20 {
		g := h.member("g", room("a"))
		eventually(t, "messages come", func() bool { return g.got() > 5 })
		g.end()
		wantUnbroken(t, g.seen())
	}
	stop()
	if h.Rooms() != 0 || h.Connections() != 0 {
		t.Errorf("%d rooms, %d connections, want none", h.Rooms(), h.Connections())
	}
}

// The transport ends the queue of a client that is too slow; until it closes the session, the room
// goes on without it.
func TestAClosedQueueHoldsUpNobody(t *testing.T) {
	h := build(t, options{bytes: 4 << 10, overPipe: true})
	slow, quick := h.sleeper("slow"), h.member("quick", room("a"))
	slow.enter(room("a"))
	for n := 2; slow.Queue.Code() == 0; n++ {
		h.publish(room("a"), 1)
		eventually(t, "the quick one gets it", func() bool { return quick.got() == n })
	}
	if code := slow.Queue.Code(); code != wire.CloseSlowConsumer {
		t.Errorf("the slow one was closed with %s", code)
	}
	h.publish(room("a"), 10)
	wantUnbroken(t, quick.flush())
	if quick.Queue.Code() != 0 {
		t.Errorf("the quick one was closed with %s", quick.Queue.Code())
	}
}
