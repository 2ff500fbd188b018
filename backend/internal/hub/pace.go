package hub

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Await is the Pace of the Redis broker: it waits while the room's members are behind, as long as a publisher would. So what a
// subscription missed is handed on at the members' pace.
func (h *Hub) Await(ctx context.Context, name wire.Room) {
	patience := time.NewTimer(h.opts.PublishWait)
	defer patience.Stop()
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		r := h.find(name)
		if r == nil {
			return
		}
		r.mu.Lock()
		pressed := len(r.parked.arrivals) > 0 || h.isShut(r, time.Now())
		r.mu.Unlock()
		if !pressed {
			return
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
