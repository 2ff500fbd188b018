package main

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// recentZones is how many zones a [recent] remembers.
const recentZones = 12

// A recent publishes for services, and remembers the zones that were published to last, so that the dashboard can point to
// their screens while nobody is connected.
type recent struct {
	hub *hub.Hub

	mu    sync.Mutex
	rooms []wire.Room // the newest last
}

// Publish implements api.Publisher.
func (r *recent) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	receipt, err := r.hub.Publish(ctx, p)
	if err == nil && p.Room.Zone != "" {
		r.note(p.Room)
	}
	return receipt, err
}

func (r *recent) note(room wire.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.rooms, room)
	switch {
	case i >= 0:
		r.rooms = slices.Delete(r.rooms, i, i+1)
	case len(r.rooms) == recentZones:
		r.rooms = slices.Delete(r.rooms, 0, 1)
	}
	r.rooms = append(r.rooms, room)
}

// zones returns them in the order of their names, which does not change with each message.
func (r *recent) zones() []wire.Room {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(slices.Values(r.rooms), func(a, b wire.Room) int {
		return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
	})
}
