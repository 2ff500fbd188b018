package hub

import (
	"context"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// Publish gives a publication to the broker, as soon as the members of its room can take it. The
// error is that of the broker, or that of [backpressure.Control.Reserve].
func (h *Hub) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	reserved, err := h.control.Reserve(ctx, p.Room, h.load(p.Room), outbox.Weight(len(p.Event)+len(p.Data)))
	if err != nil {
		return broker.Receipt{}, err
	}
	receipt, err := h.broker.Publish(ctx, p)
	if err != nil || receipt.Duplicate { // it will not come
		reserved.Release()
	} else {
		reserved.Accepted(receipt.Offset)
	}
	return receipt, err
}

// load returns what publishers to a room wait by; nil when it has no members here.
func (h *Hub) load(name wire.Room) *backpressure.Load {
	if r := h.find(name); r != nil {
		return r.load
	}
	return nil
}

// WaitForCapacity waits while the members of a room are behind, as long as a publisher would. So
// what a subscription missed is handed on at the members' pace.
func (h *Hub) WaitForCapacity(ctx context.Context, name wire.Room) {
	if load := h.load(name); load != nil {
		ctx, cancel := context.WithTimeout(ctx, h.control.PublishWait)
		defer cancel()
		load.WaitOpen(ctx)
	}
}
