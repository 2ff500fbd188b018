package hub

import (
	"context"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// When publishers outrun the members of a room, the publishers wait. A member is behind when more than a quarter of its bound
// waits for it, and lags when that is for its own sake: it takes less than it gets. A room is pressed when an eighth of its members
// are behind without lagging, or a quarter of them lag. One lagging member of a small room is a quarter of it too: if it alone is
// behind, it is left to its bound. So a client that stops reading makes nobody wait, and a few that read slowly don't either. But when the
// writers of the instance are behind, or many of the clients, nobody is thrown out for it: publishers then wait until the last
// stragglers who read have caught up as well, or had time for it. Without that, whoever was held up for a moment would stay behind
// for as long as the flood lasts, and in the end be thrown out for all such moments together.

// press is a room's state of this. It is guarded by the room's mutex.
type press struct {
	backlog  outbox.Backlog // when it was last counted
	counted  time.Time      // when it was counted for a publisher that waits
	shut     bool           // publishers wait
	easing   time.Time      // since when only stragglers are behind; zero while the room is pressed
	underway int            // bytes of publications that were let in and have not been fanned out
	accepted []acceptance   // those of them that the broker has accepted, in the order of their offsets
	telling  bool           // the other instances are told that the room is pressed
}

// An acceptance is a publication on its way from the broker to the hub.
type acceptance struct {
	offset wire.Offset
	bytes  int
	until  time.Time // when it is given up, after those who wait now: the subscription may have been lost
}

const (
	pressedShare = 8 // one of so many members is behind
	laggingShare = 4 // one of so many lags
	// stragglerTime is how long publishers wait for stragglers, before they go on until the room is pressed again. One who reads
	// too slowly meets its bound after a few times.
	stragglerTime = time.Second
	// countEvery is how long a count holds for those who wait.
	countEvery = 2 * time.Millisecond
)

// Publish gives a publication to the broker, as soon as the members of its room can take it. The error is that of the broker,
// or a *wire.Error of wire.CodeRateLimited.
func (h *Hub) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	bytes := outbox.Weight(len(p.Event) + len(p.Data))
	r := h.find(p.Room)
	if err := h.admit(ctx, p.Room, r, bytes); err != nil {
		return broker.Receipt{}, err
	}
	receipt, err := h.broker.Publish(ctx, p)
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || r.offset.Epoch == receipt.Offset.Epoch && receipt.Offset.N <= r.offset.N {
			r.press.underway -= bytes
		} else {
			r.press.expect(acceptance{receipt.Offset, bytes, time.Now().Add(2 * h.opts.PublishWait)})
		}
	}
	return receipt, err
}

// admit waits until so many bytes more may be published to the room; r is nil when it has no members here.
func (h *Hub) admit(ctx context.Context, name wire.Room, r *room, bytes int) error {
	if h.tryAdmit(name, r, bytes) {
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
			if h.tryAdmit(name, r, bytes) {
				return nil
			}
		case <-patience.C:
			return &wire.Error{Code: wire.CodeRateLimited, RetryAfter: time.Second.Milliseconds(),
				Message: "the members of " + name.String() + " can't take messages at this rate: publish slower"}
		case <-ctx.Done():
			return wire.Errorf(wire.CodeUnavailable, "the request ended while it waited for the members of %s", name)
		}
	}
}

func (h *Hub) tryAdmit(name wire.Room, r *room, bytes int) bool {
	if h.opts.Pressure != nil && h.opts.Pressure.Told(name) {
		return false
	}
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if h.isShut(r, now) {
		return false
	}
	p := &r.press
	for len(p.accepted) > 0 && now.After(p.accepted[0].until) {
		p.forget(1)
	}
	if p.underway > 0 && p.underway+bytes > h.opts.Pool.Bound()/4 {
		return false
	}
	p.underway += bytes
	return true
}

// isShut is called with the room's mutex held.
func (h *Hub) isShut(r *room, now time.Time) bool {
	p, members := &r.press, len(r.queues)
	if !p.shut && !presses(p.backlog, members) {
		return false
	}
	if now.Sub(p.counted) < countEvery {
		return true
	}
	p.counted, p.backlog = now, h.opts.Pool.Backlog(r.queues)
	switch {
	case presses(p.backlog, members):
		p.shut, p.easing = true, time.Time{}
	case p.backlog.Behind == p.backlog.Asleep:
		p.shut = false
	case p.easing.IsZero():
		p.easing = now
	case now.Sub(p.easing) > stragglerTime:
		p.shut = false
	}
	return p.shut
}

// presses reports whether a room with so many members is pressed by the backlog.
func presses(b outbox.Backlog, members int) bool {
	keep := b.Behind - b.Lagging
	switch {
	case keep > 0 && keep*pressedShare >= members:
		return true
	case b.Behind == 1 && members > 1: // it lags, and alone
		return false
	}
	return b.Lagging > 0 && b.Lagging*laggingShare >= members
}

// expect notes that the message of an acceptance will arrive.
func (p *press) expect(a acceptance) {
	i := len(p.accepted)
	for i > 0 && p.accepted[i-1].offset.N > a.offset.N {
		i--
	}
	p.accepted = slices.Insert(p.accepted, i, a)
}

// arrived lets go of what has arrived with the message at this offset, or before it.
func (p *press) arrived(at wire.Offset) {
	n := 0
	for n < len(p.accepted) && (p.accepted[n].offset.N <= at.N || p.accepted[n].offset.Epoch != at.Epoch) {
		n++
	}
	p.forget(n)
}

// forget lets go of the first n.
func (p *press) forget(n int) {
	for _, a := range p.accepted[:n] {
		p.underway -= a.bytes
	}
	p.accepted = slices.Delete(p.accepted, 0, n)
}
