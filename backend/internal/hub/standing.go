package hub

import (
	"context"
	"fmt"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// Standing returns how many members a room has here, and the offset of the last message that was
// handed to them; zero for a room that nobody is in here.
func (h *Hub) Standing(name wire.Room) (members int, newest wire.Offset) {
	r := h.find(name)
	if r == nil {
		return 0, wire.Offset{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queues), r.offset
}

// A Content is what a room keeps.
type Content struct {
	// Offset is that of the newest message. Its number is 0 in a room that nothing was published
	// to.
	Offset   wire.Offset
	Latest   []*broker.Message // oldest first
	Retained []*wire.Message   // in the order of their offsets
}

// ContentOf returns what a room keeps, with at most limit of its latest messages. Errors are those
// of [broker.Broker.Subscribe] and [broker.Broker.History].
func (h *Hub) ContentOf(ctx context.Context, name wire.Room, limit int) (c Content, err error) {
	if c.Offset, c.Retained, err = h.retainedIn(ctx, name); err != nil || c.Offset.N == 0 {
		return c, err
	}
	after := wire.Offset{Epoch: c.Offset.Epoch, N: c.Offset.N - min(c.Offset.N, uint64(limit))}
	page, err := h.broker.History(ctx, name, after, limit)
	if err != nil {
		return Content{}, fmt.Errorf("read the latest messages of %s: %w", name, err)
	}
	c.Latest = page.Messages
	return c, nil
}
