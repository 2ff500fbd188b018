package hub

import (
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
)

// When a room is pressed, publishers of this instance wait at once. Those of others hear of it later, and what they have published
// until then is on its way from the broker: it may be more than the members' queues hold. So it waits in the room, where it takes
// memory once and not for each member. It goes on to them as soon as no member is behind who reads: all of it is at hand, so it would
// overrun even the few that publishers don't wait for.

// parked is what waits in a room, in order. It is guarded by the room's mutex.
type parked struct {
	arrivals []arrival
	bytes    int
	timed    bool // unpark will be called
}

const (
	// parkedBounds is how many times the bound of a connection may wait in a room.
	parkedBounds = 8
	// parkedTotal is what may wait in all rooms together.
	parkedTotal = 64 << 20
)

// weight returns about what an arrival takes in memory.
func (a arrival) weight() int {
	n := outbox.Weight(0)
	if a.message != nil {
		n += len(a.message.Event) + len(a.message.Data)
	}
	for _, m := range a.retained {
		n += outbox.Weight(len(m.Data))
	}
	return n
}

// park keeps what has arrived if the room's members can't take it now, or something waits before it, and reports whether it does. When there is
// no room for it, all goes to the members. It is called with the room's mutex held.
func (h *Hub) park(r *room, a arrival) bool {
	if h.opts.Pressure == nil { // all publishers are here
		return false
	}
	p := &r.parked
	if len(p.arrivals) == 0 && !h.isShut(r, time.Now()) {
		return false
	}
	n := a.weight()
	if p.bytes+n > parkedBounds*h.opts.Pool.Bound() || h.parked.Load()+int64(n) > parkedTotal {
		for len(p.arrivals) > 0 {
			h.arrive(r, h.unparkOne(r))
		}
		return false
	}
	p.arrivals = append(p.arrivals, a)
	p.bytes += n
	h.parked.Add(int64(n))
	h.unparkSoon(r)
	h.tell(r)
	return true
}

// unparkSoon is called with the room's mutex held.
func (h *Hub) unparkSoon(r *room) {
	if r.parked.timed {
		return
	}
	r.parked.timed = true
	time.AfterFunc(countEvery, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.parked.timed = false
		h.recount(r)
		for len(r.parked.arrivals) > 0 {
			if b := r.press.backlog; b.Behind > b.Lagging || presses(b, len(r.queues)) {
				h.unparkSoon(r)
				return
			}
			h.arrive(r, h.unparkOne(r))
		}
	})
}

// unparkOne takes the first one.
func (h *Hub) unparkOne(r *room) arrival {
	p := &r.parked
	a := p.arrivals[0]
	p.arrivals[0] = arrival{}
	if p.arrivals = p.arrivals[1:]; len(p.arrivals) == 0 {
		p.arrivals = nil
	}
	n := a.weight()
	p.bytes -= n
	h.parked.Add(-int64(n))
	return a
}

// dropParked forgets what waits, because nobody is there or all of it is known already.
func (h *Hub) dropParked(r *room) {
	h.parked.Add(-int64(r.parked.bytes))
	r.parked.arrivals, r.parked.bytes = nil, 0
}

// arrive hands an arrival on to the room's members. It is called with the room's mutex held.
func (h *Hub) arrive(r *room, a arrival) {
	if a.message != nil {
		h.message(r, a.message)
	} else {
		h.gap(r, *a.gap, a.retained)
	}
}
