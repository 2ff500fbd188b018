package transport

import (
	"context"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// Publish does what a publish frame asks for, and returns the answer to it. via is the transport that it came over.
func (g *Gate) Publish(ctx context.Context, via string, who *auth.Identity, f wire.ClientFrame) (position wire.Position, err error) {
	result := "ok"
	defer func() {
		if err != nil {
			result = string(wire.AsError(err).Code)
		}
		g.Metrics.Publishes.WithLabelValues(via, result).Inc()
	}()
	var p wire.Publish
	if err := wire.DecodeRequest(f.Data, &p); err != nil {
		return position, err
	}
	room, err := p.Room()
	if err != nil {
		return position, err
	}
	if err := who.MayPublish(room); err != nil {
		return position, err
	}
	if err := wire.CheckEvent(p.Event); err != nil {
		return position, err
	}
	if err := wire.CheckConflate(p.Conflate); err != nil {
		return position, err
	}
	if err := wire.CheckIdempotencyKey(p.IdempotencyKey); err != nil {
		return position, err
	}
	began := time.Now()
	receipt, err := g.Hub.Publish(ctx, broker.Publication{Room: room, Event: p.Event, Data: slices.Clone(p.Data),
		Conflate: p.Conflate, IdempotencyKey: p.IdempotencyKey})
	if err != nil {
		return position, err
	}
	if receipt.Duplicate {
		result = "duplicate"
	}
	g.Metrics.Accepting.Observe(time.Since(began).Seconds())
	return wire.PositionOf(room, receipt.Offset), nil
}
