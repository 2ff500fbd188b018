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
//
// A member of many rooms may be the only one in each of them that is behind, since it gets what all of them do. So it alone presses
// its rooms when more than three eighths of its bound wait for it although it reads. They find out in time: a room counts anew
// when a sixteenth of the bound has been delivered since, in whichever rooms, and what is on its way in all rooms with such members
// together is at most a quarter of the bound. So it never has more than eleven sixteenths of it waiting.

// press is a room's state of this. It is guarded by the room's mutex.
type press struct {
	backlog  outbox.Backlog // when it was last counted
	seen     int64          // what the hub had delivered then
	counted  time.Time      // when it was counted for a publisher that waits
	shut     bool           // publishers wait
	easing   time.Time      // since when only stragglers are behind; zero while the room is pressed
	underway budget         // used when no member is in many rooms; else it is that of the hub
	accepted []acceptance   // what the broker has accepted and not delivered, in the order of its offsets
	telling  bool           // the other instances are told that the room is pressed
}

// An acceptance is a publication on its way from the broker to the hub.
type acceptance struct {
	offset wire.Offset
	share  *share
}

const (
	pressedShare = 8 // one of so many members is behind
	laggingShare = 4 // one of so many lags
	// stragglerTime is how long publishers wait for stragglers, before they go on until the room is pressed again. One who reads
	// too slowly meets its bound after a few times.
	stragglerTime = time.Second
	// countEvery is how long a count holds for those who wait.
	countEvery = 2 * time.Millisecond
	// manyRooms is how many rooms a member is in when what is on its way to it is bounded for all of them together.
	manyRooms = 3
)

// Publish gives a publication to the broker, as soon as the members of its room can take it. The error is that of the broker,
// or a *wire.Error of wire.CodeRateLimited.
func (h *Hub) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	r := h.find(p.Room)
	share, err := h.admit(ctx, p.Room, r, weight(len(p.Event)+len(p.Data)))
	if err != nil {
		return broker.Receipt{}, err
	}
	receipt, err := h.broker.Publish(ctx, p)
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil || r.offset.Epoch == receipt.Offset.Epoch && receipt.Offset.N <= r.offset.N {
			share.release()
		} else {
			r.press.expect(share, receipt.Offset, time.Now().Add(2*h.opts.PublishWait))
		}
	}
	return receipt, err
}

// admit waits until so many bytes more may be published to the room, and returns them as a share; r is nil when it has no members here, and
// the share then too.
func (h *Hub) admit(ctx context.Context, name wire.Room, r *room, bytes int) (*share, error) {
	if s, ok := h.tryAdmit(name, r, bytes); ok {
		return s, nil
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
			if s, ok := h.tryAdmit(name, r, bytes); ok {
				return s, nil
			}
		case <-patience.C:
			return nil, &wire.Error{Code: wire.CodeRateLimited, RetryAfter: time.Second.Milliseconds(),
				Message: "messages for " + name.String() + " can't be delivered at this rate: publish slower"}
		case <-ctx.Done():
			return nil, wire.Errorf(wire.CodeUnavailable, "the request ended while it waited for the members of %s", name)
		}
	}
}

func (h *Hub) tryAdmit(name wire.Room, r *room, bytes int) (s *share, ok bool) {
	if h.opts.Pressure != nil && h.opts.Pressure.Told(name) {
		return nil, false
	}
	if r == nil {
		return nil, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.press.giveUp(now)
	underway := &r.press.underway
	if r.wide > 0 {
		underway = &h.underway
	}
	// The share comes first: so whoever finds the members' queues short enough has been counted by all who look after him.
	if s = underway.take(bytes, h.opts.Pool.Bound()/4, now); s == nil {
		return nil, false
	}
	if len(r.parked.arrivals) > 0 || h.isShut(r, now) {
		s.release()
		return nil, false
	}
	return s, true
}

// isShut reports whether publishers have to wait for the room's members. It is called with the room's mutex held.
func (h *Hub) isShut(r *room, now time.Time) bool {
	p, members := &r.press, len(r.queues)
	if p.shut || presses(p.backlog, members) {
		if now.Sub(p.counted) < countEvery {
			return true
		}
	} else if !h.outdated(p) {
		return false
	}
	p.counted = now
	h.recount(r)
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

// outdated reports whether so much was delivered in all rooms since the members' backlog was counted that it may be another now.
func (h *Hub) outdated(p *press) bool {
	bound := h.opts.Pool.Bound()
	return h.delivered.Load()-p.seen > int64(bound/16) && h.opts.Pool.Waiting() > int64(bound/4)
}

// recount counts the backlog of the room's members.
func (h *Hub) recount(r *room) {
	r.press.seen = h.delivered.Load()
	r.press.backlog = h.opts.Pool.Backlog(r.queues)
}

// presses reports whether a room with so many members is pressed by the backlog.
func presses(b outbox.Backlog, members int) bool {
	keep := b.Behind - b.Lagging
	switch {
	case b.Crowded > 0:
		return true
	case keep > 0 && keep*pressedShare >= members:
		return true
	case b.Behind == 1 && members > 1: // it lags, and alone
		return false
	}
	return b.Lagging > 0 && b.Lagging*laggingShare >= members
}

// expect notes that the message with this offset will arrive, or be given up.
func (p *press) expect(s *share, offset wire.Offset, until time.Time) {
	s.accepted(until)
	i := len(p.accepted)
	for i > 0 && p.accepted[i-1].offset.N > offset.N {
		i--
	}
	p.accepted = slices.Insert(p.accepted, i, acceptance{offset, s})
}

// arrived lets go of what has arrived with the message at this offset, or before it.
func (p *press) arrived(at wire.Offset) {
	n := 0
	for n < len(p.accepted) && (p.accepted[n].offset.N <= at.N || p.accepted[n].offset.Epoch != at.Epoch) {
		n++
	}
	p.forget(n)
}

// giveUp lets go of what should have arrived before now.
func (p *press) giveUp(now time.Time) {
	n := 0
	for n < len(p.accepted) && now.After(p.accepted[n].share.until) {
		n++
	}
	p.forget(n)
}

// forget lets go of the first n.
func (p *press) forget(n int) {
	for _, a := range p.accepted[:n] {
		a.share.release()
	}
	p.accepted = slices.Delete(p.accepted, 0, n)
}
