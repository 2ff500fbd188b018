package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	r.kept = &keptNames{s.Offset, make(map[string]bool, len(s.Retained))}
	for _, m := range s.Retained {
		r.kept.names[m.RetentionOf().Name] = true
	}
	r.retained = slices.DeleteFunc(r.retained, func(f retainedFrame) bool { return r.kept.isDeleted(f.name, f.n) })
}

// keptNames is what is retained of the messages up to an offset.
type keptNames struct {
	offset wire.Offset
	names  map[string]bool
}

// wasDeleted reports whether a message that is delivered now was retained, and is not any more.
func (r *room) wasDeleted(m *broker.Message) bool {
	return r.kept != nil && r.kept.offset.Epoch == m.Offset.Epoch && r.kept.isDeleted(m.RetentionOf().Name, m.Offset.N)
}

// isDeleted reports whether a message is not among those that were retained.
func (k *keptNames) isDeleted(name string, n uint64) bool { return n <= k.offset.N && !k.names[name] }

// isExpired reports whether an event is retained for too long.
func (h *Hub) isExpired(f retainedFrame, now time.Time) bool {
	return f.expires > 0 && now.UnixMilli() >= f.expires || h.opts.RetainAge > 0 && now.Sub(time.UnixMilli(f.time)) >= h.opts.RetainAge
}

// RetainedIn returns what a room retains now, in the order of the offsets. Errors are those of
// [broker.Broker.Subscribe].
func (h *Hub) RetainedIn(ctx context.Context, name wire.Room) ([]*wire.Message, error) {
	_, all, err := h.retainedIn(ctx, name)
	return all, err
}

// retainedIn is RetainedIn with the offset of the newest message.
func (h *Hub) retainedIn(ctx context.Context, name wire.Room) (newest wire.Offset, all []*wire.Message, _ error) {
	r, err := h.acquire(ctx, name)
	if err != nil {
		return newest, nil, err
	}
	defer h.release(r)
	place, frames := h.place(r, Join{})
	for _, f := range frames {
		frame, err := wire.DecodeServer(f.JSON)
		if err != nil {
			return newest, nil, fmt.Errorf("read what is retained in %s: %w", name, err)
		}
		m := &wire.Message{Room: name, Event: frame.Event, Offset: f.Message.Offset, Time: frame.Time, Data: frame.Data}
		all = append(all, m)
	}
	return place.Offset, all, nil
}

// AlertRooms returns the rooms with members here that may have open alerts.
func (h *Hub) AlertRooms() (names []wire.Room) {
	isAbout := func(f retainedFrame) bool {
		return f.name == wire.EventShiftSnapshot || strings.HasPrefix(f.name, wire.EventAlert+" ")
	}
	for i := range h.rooms {
		s := &h.rooms[i]
		s.mu.Lock()
		rooms := slices.Collect(maps.Values(s.rooms))
		s.mu.Unlock()
		for _, r := range rooms {
			r.mu.Lock()
			if slices.ContainsFunc(r.retained, isAbout) {
				names = append(names, r.name)
			}
			r.mu.Unlock()
		}
	}
	return names
}

// DeleteRetained implements [broker.Deleter].
func (h *Hub) DeleteRetained(ctx context.Context, room wire.Room, event string) (bool, error) {
	return h.broker.DeleteRetained(ctx, room, event)
}

// DeleteRoom implements [broker.Deleter].
func (h *Hub) DeleteRoom(ctx context.Context, room wire.Room) (bool, error) {
	return h.broker.DeleteRoom(ctx, room)
}
