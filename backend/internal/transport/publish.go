package transport

import (
	"context"
	"slices"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
)

// Publish does what a publish frame asks for, and returns the answer to it. via is the transport
// that it came over.
func (g *Gate) Publish(ctx context.Context, via string, who *auth.Identity, f wire.ClientFrame) (wire.Position, error) {
	var p wire.Publish
	if err := wire.DecodeRequest(f.Data, &p); err != nil {
		return wire.Position{}, g.Publisher.Reject(via, err)
	}
	return g.Publisher.Publish(ctx, via, who, publishing.Request{Warehouse: p.Warehouse, Zone: p.Zone, Event: p.Event,
		Data: slices.Clone(p.Data), Conflate: p.Conflate, IdempotencyKey: p.IdempotencyKey})
}
