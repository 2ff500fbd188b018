package hub

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/outbox"
)

// The publishers of this instance wait before they publish. Those of other instances hear of a room
// that is overloaded only later, and what they have published until then may be more than the
// members' queues hold. So it is deferred in the room, where it takes memory once and not for each
// member, until the members can take it.

// deferred is what waits in a room, in order. It is guarded by the room's mutex.
type deferred struct {
	deliveries []delivery
	bytes      int
	resuming   bool // a goroutine hands it on
}

const (
	// deferredPerRoom is how many times the bound of a connection may be deferred in a room.
	deferredPerRoom = 8
	// deferredTotal is how many bytes may be deferred in all rooms together.
	deferredTotal = 64 << 20
)

// weight returns about what a delivery takes in memory, in bytes.
func (a delivery) weight() int {
	n := outbox.Weight(0)
	if a.message != nil {
		n += len(a.message.Event) + len(a.message.Data)
	}
	for _, m := range a.retained {
		n += outbox.Weight(len(m.Data))
	}
	return n
}

// deferDelivery keeps what has arrived if the room's members can't take it now, or something is
// deferred before it, and reports whether it does. When there is no space for it, all goes to the
// members, who may meet their bound. It is called with the room's mutex held.
func (h *Hub) deferDelivery(r *room, a delivery) bool {
	d := &r.deferred
	if len(d.deliveries) == 0 && r.load.IsOpen() {
		return false
	}
	n := a.weight()
	for d.bytes+n > deferredPerRoom*h.control.MaxQueuedBytes || h.deferred.Load()+int64(n) > deferredTotal {
		if len(d.deliveries) == 0 {
			return false
		}
		h.deliver(r, h.takeDeferred(r))
	}
	d.deliveries = append(d.deliveries, a)
	d.bytes += n
	h.deferred.Add(int64(n))
	r.load.Defer(true)
	if !d.resuming {
		d.resuming = true
		h.resuming.Go(func() { h.resume(r) })
	}
	return true
}

// resume hands on what is deferred in a room, at the pace of its members, until nothing is. The
// publishers of other instances are told meanwhile.
func (h *Hub) resume(r *room) {
	var again time.Time // when to announce it again
	for !h.deliverDeferred(r) {
		if now := time.Now(); !now.Before(again) {
			again = now.Add(backpressure.SignalInterval)
			h.announce(r)
		}
		ctx, cancel := context.WithDeadline(context.Background(), again)
		r.load.WaitOpen(ctx)
		cancel()
	}
}

// announce tells other instances that the room's members can't take more.
func (h *Hub) announce(r *room) {
	if h.control.Signal != nil {
		h.control.Signal.Announce(r.name)
	}
}

// deliverDeferred delivers what the room's members can take, and reports whether nothing is
// deferred any more.
func (h *Hub) deliverDeferred(r *room) (done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.deferred
	for len(d.deliveries) > 0 && r.load.IsOpen() {
		h.deliver(r, h.takeDeferred(r))
	}
	d.resuming = len(d.deliveries) > 0
	return !d.resuming
}

// takeDeferred takes the first one. It is called with the room's mutex held.
func (h *Hub) takeDeferred(r *room) delivery {
	d := &r.deferred
	a := d.deliveries[0]
	d.deliveries[0] = delivery{}
	if d.deliveries = d.deliveries[1:]; len(d.deliveries) == 0 {
		d.deliveries = nil
		r.load.Defer(false)
	}
	n := a.weight()
	d.bytes -= n
	h.deferred.Add(-int64(n))
	return a
}

// dropDeferred forgets what is deferred, because nobody is there or all of it is known already. It
// is called with the room's mutex held.
func (h *Hub) dropDeferred(r *room) {
	h.deferred.Add(-int64(r.deferred.bytes))
	r.deferred.deliveries, r.deferred.bytes = nil, 0
	r.load.Defer(false)
}
