package hub

import (
	"context"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// What becomes of retained events, and of rooms, that are deleted.

// Retained implements broker.Handler: retained events of the room were deleted.
func (h *Hub) Retained(name wire.Room, s broker.Snapshot) {
	r := h.find(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.onDelivery(r, delivery{kept: &s})
}

// keepRetained forgets what was deleted. It is called with the room's mutex held.
func (r *room) keepRetained(s *broker.Snapshot) {
	r.kept = s
	r.retained = slices.DeleteFunc(r.retained, func(f retainedFrame) bool { return f.isDeleted(s) })
}

// wasDeleted reports whether a message that is delivered now was retained, and is not any more.
func (r *room) wasDeleted(m *broker.Message) bool {
	return r.kept != nil && r.kept.Offset.Epoch == m.Offset.Epoch && retainedFrame{event: m.Event, n: m.Offset.N}.isDeleted(r.kept)
}

// isDeleted reports whether an event is not among those that were retained.
func (f retainedFrame) isDeleted(s *broker.Snapshot) bool {
	return f.n <= s.Offset.N && !slices.ContainsFunc(s.Retained, func(m *broker.Message) bool { return m.Event == f.event })
}

// isExpired reports whether an event is retained for too long.
func (h *Hub) isExpired(f retainedFrame, now time.Time) bool {
	return h.opts.RetainAge > 0 && now.Sub(time.UnixMilli(f.time)) >= h.opts.RetainAge
}

// DeleteRetained implements [broker.Deleter].
func (h *Hub) DeleteRetained(ctx context.Context, room wire.Room, event string) (bool, error) {
	return h.broker.DeleteRetained(ctx, room, event)
}

// DeleteRoom implements [broker.Deleter].
func (h *Hub) DeleteRoom(ctx context.Context, room wire.Room) (bool, error) {
	return h.broker.DeleteRoom(ctx, room)
}
