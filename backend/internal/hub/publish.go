package hub

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// When publishers outrun the members of a room, the publishers wait. A member is pressed when more than a quarter of its bound
// waits for it although it is not slow; a room is pressed when an eighth of its members are. So a single client that
// stops reading makes nobody wait: it counts as slow after a second, and is closed at its bound. But when the writers of the
// instance are behind, or most of the clients, nobody is thrown out for it.

// press is a room's state of this. It is guarded by the room's mutex.
type press struct {
	members  int       // pressed ones, when they were last counted
	counted  time.Time // when they were counted for a publisher that waits
	underway int       // bytes of publications that were let in and have not been fanned out
}

const (
	pressedShare = 8 // one of so many members
	// countEvery is how long a count holds for those who wait.
	countEvery = 2 * time.Millisecond
)

// Publish gives a publication to the broker, as soon as the local members of its room can take it. The error is that of the
// broker, or a *wire.Error of wire.CodeRateLimited.
func (h *Hub) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	r := h.find(p.Room)
	if r == nil {
		return h.broker.Publish(ctx, p)
	}
	if err := h.admit(ctx, r, len(p.Data)); err != nil {
		return broker.Receipt{}, err
	}
	defer func() {
		r.mu.Lock()
		r.press.underway -= len(p.Data)
		r.mu.Unlock()
	}()
	return h.broker.Publish(ctx, p)
}

// admit waits until n more bytes may be published to the room.
func (h *Hub) admit(ctx context.Context, r *room, n int) error {
	if h.tryAdmit(r, n) {
		return nil
	}
	if h.opts.OnWait != nil {
		h.opts.OnWait()
	}
	patience := time.NewTimer(h.opts.PublishWait)
	defer patience.Stop()
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if h.tryAdmit(r, n) {
				return nil
			}
		case <-patience.C:
			return &wire.Error{Code: wire.CodeRateLimited, RetryAfter: time.Second.Milliseconds(),
				Message: "the members of " + r.name.String() + " can't take messages at this rate: publish slower"}
		case <-ctx.Done():
			return wire.Errorf(wire.CodeUnavailable, "the request ended while it waited for the members of %s", r.name)
		}
	}
}

func (h *Hub) tryAdmit(r *room, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isPressed(time.Now()) {
		return false
	}
	if r.press.underway > 0 && r.press.underway+n > h.opts.Pool.Bound()/4 {
		return false
	}
	r.press.underway += n
	return true
}

// isPressed is called with the room's mutex held.
func (r *room) isPressed(now time.Time) bool {
	p := &r.press
	if p.members == 0 || p.members*pressedShare < len(r.queues) {
		return false
	}
	if now.Sub(p.counted) < countEvery {
		return true
	}
	p.counted, p.members = now, 0
	for _, q := range r.queues {
		if q.Pressed() {
			p.members++
		}
	}
	return p.members > 0 && p.members*pressedShare >= len(r.queues)
}
