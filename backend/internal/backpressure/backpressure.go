// Package backpressure decides when the publishers to a room wait for its members. It is the only
// place that does.
//
//	hub.Publish ── Reserve ────▶ Load ◀── Move, Took ── outbox: a member's queue passed a watermark
//	hub.Message ── Delivered ──▶  │
//	                              ├── Decide, a pure function of counts
//	hub, deferred ◀── WaitOpen ───┤
//	                              └── Signal: to and from the publishers of other instances
//
// The clock is bytes: queued for a member, taken by it, delivered in its room. Time enters as
// [Control.PublishWait], and as [Control.StallTimeout] for peers that take nothing at all.
//
// Waiters are woken when a member's queue falls to its low watermark or a message is delivered; no
// list of members is ever searched.
package backpressure

import (
	"context"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// HighWatermark returns above how many bytes a write queue is behind. A publisher is let in while
// less is in flight in its room: what is, with one publication more, fits above it in a queue.
func HighWatermark(maxQueuedBytes int) int { return maxQueuedBytes / 4 }

// LowWatermark returns at how many bytes a queue that was behind is ready again.
func LowWatermark(maxQueuedBytes int) int { return maxQueuedBytes / 8 }

// graceDivisor is which part of PublishWait a room may wait for a few outliers while it moves on by
// the bound of one connection: publishers are not refused because of them.
const graceDivisor = 2

// Control is what all rooms of an instance share. All fields are static.
type Control struct {
	// MaxQueuedBytes is the most that waits for one connection.
	MaxQueuedBytes int
	// PublishWait is how long a publisher waits at most; then it is refused.
	PublishWait time.Duration
	// StallTimeout is how long publishers wait for members of which none takes anything.
	StallTimeout time.Duration
	// OnWait, if not nil, is told of each publication that has to wait.
	OnWait func()
	// Signal, if not nil, is the line to other instances.
	Signal Signal
}

// A Signal carries between the instances which rooms are overloaded, so that publishers wait
// wherever they are: an instance without members of a room does not see their queues. Its methods
// may be called by several goroutines.
type Signal interface {
	// Announce tells the other instances. It must not block; what can't be sent may be dropped,
	// since it is announced again each SignalInterval while it lasts.
	Announce(room wire.Room)
	// OverloadedUntil returns until when the announcement of another instance counts; a time in the
	// past when there is none. It answers at once, from memory.
	OverloadedUntil(room wire.Room) time.Time
}

const (
	// SignalTTL is how long an announcement counts.
	SignalTTL = 300 * time.Millisecond
	// SignalInterval is how often it is repeated.
	SignalInterval = 100 * time.Millisecond
)

func (c *Control) grace() time.Duration { return c.PublishWait / graceDivisor }

// A Reservation is a publication's part of what a room may have in flight: from before the broker
// gets it until it is in the members' queues. The zero value reserves nothing.
type Reservation struct {
	room  *Load
	bytes int
}

// Reserve waits until so many bytes may be published to a room, at most PublishWait. r has the
// room's members on this instance; nil when there are none. The error is a *wire.Error of
// wire.CodeRateLimited, or of wire.CodeUnavailable when ctx ends. Without an error, Accepted or
// Release has to follow.
func (c *Control) Reserve(ctx context.Context, name wire.Room, r *Load, bytes int) (Reservation, error) {
	changed, again, ok := c.tryReserve(name, r, bytes)
	if ok {
		return Reservation{r, bytes}, nil
	}
	if c.OnWait != nil {
		c.OnWait()
	}
	waiting, cancel := context.WithTimeout(ctx, c.PublishWait)
	defer cancel()
	for !ok && pause(waiting, changed, again) {
		changed, again, ok = c.tryReserve(name, r, bytes)
	}
	switch {
	case ok:
		return Reservation{r, bytes}, nil
	case ctx.Err() != nil:
		return Reservation{}, wire.Errorf(wire.CodeUnavailable, "the request ended while it waited for the members of %s", name)
	}
	return Reservation{}, &wire.Error{Code: wire.CodeRateLimited, RetryAfter: time.Second.Milliseconds(),
		Message: "messages for " + name.String() + " can't be delivered at this rate: publish slower"}
}

// tryReserve reserves, or returns what to wait for.
func (c *Control) tryReserve(name wire.Room, r *Load, bytes int) (changed <-chan struct{}, again time.Time, ok bool) {
	now := time.Now()
	if c.Signal != nil {
		if until := c.Signal.OverloadedUntil(name); now.Before(until) {
			return nil, until, false
		}
	}
	if r == nil {
		return nil, time.Time{}, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	open, again := r.isOpen(now)
	space := !r.deferring && r.inFlight < HighWatermark(c.MaxQueuedBytes)
	if open && (space || r.count() == 0) { // without members nothing is queued, nor delivered
		r.inFlight += bytes
		return nil, time.Time{}, true
	}
	return r.wait(), again, false
}

// wait returns what is closed when the room may have opened. It is called with r.mu held.
func (r *Load) wait() <-chan struct{} {
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// pause waits for a change, or until it is time to look again, and reports whether ctx goes on.
func pause(ctx context.Context, changed <-chan struct{}, again time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		t := time.NewTimer(time.Until(again))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
	case <-timer:
	case <-ctx.Done():
		return false
	}
	return true
}

// WaitOpen waits until the members can take more, and reports whether they can before ctx ends.
func (r *Load) WaitOpen(ctx context.Context) bool {
	for {
		r.mu.Lock()
		open, again := r.isOpen(time.Now())
		var changed <-chan struct{}
		if !open {
			changed = r.wait()
		}
		r.mu.Unlock()
		if open {
			return true
		}
		if !pause(ctx, changed, again) {
			return false
		}
	}
}

// Accepted notes that the broker has the message at an offset: it stays in flight until the room
// delivers it.
func (v Reservation) Accepted(at wire.Offset) {
	r := v.room
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isDelivered(at) {
		v.releaseLocked()
		return
	}
	i := len(r.accepted)
	for i > 0 && r.accepted[i-1].offset.N > at.N {
		i--
	}
	r.accepted = slices.Insert(r.accepted, i, acceptance{at, v.bytes})
}

// Release gives the reservation back: the message will not come.
func (v Reservation) Release() {
	if v.room == nil {
		return
	}
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	v.releaseLocked()
}

func (v Reservation) releaseLocked() {
	v.room.inFlight -= v.bytes
	v.room.wake()
}
