package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A redisRoom is one subscription: it turns what pub/sub delivers into messages without holes.
//
//	starting ── begin ──▶ live ── a hole, or a new confirmation ──▶ repairing ── caught up ──▶ live
//
// Only while it is live does the receiver call the handler; while it is repairing, its repair alone does. While it is
// starting nobody does, since the hub waits for Subscribe.
type redisRoom struct {
	// Static after construction.
	broker    *Redis
	name      wire.Room
	keys      keys
	confirmed chan struct{} // closed by the first confirmation

	heard atomic.Int64 // when something was published, in ns since the broker was opened

	feed *feed // where it is placed, or nil; guarded by broker.mu

	mu      sync.Mutex
	dead    bool // unsubscribed from: nothing may reach the handler any more
	state   roomState
	known   bool        // confirmed is closed
	last    wire.Offset // the handler has everything up to it
	stamp   int64       // when the message at last was accepted, in µs since 1970; 0 if that is not known
	pending []*Message  // that arrived while the room was not live, in order
	bytes   int         // of data in pending
	again   bool        // the history has to be read once more: something may be missing after what was read
}

type roomState uint8

const (
	starting roomState = iota
	live
	repairing
)

// Bounds of pending. What does not fit is read from the history.
const (
	pendingMessages = 512
	pendingBytes    = 256 << 10
)

// repairPage is how many messages a repair reads at once.
const repairPage = 200

func newRedisRoom(b *Redis, name wire.Room) *redisRoom {
	return &redisRoom{broker: b, name: name, keys: keysOf(name), confirmed: make(chan struct{})}
}

// begin ends the start: the subscriber has everything up to offset, whose message was accepted at stamp.
func (r *redisRoom) begin(offset wire.Offset, stamp int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.stamp = offset, stamp
	r.dropKnownLocked()
	if len(r.pending) == 0 && !r.again {
		r.state = live
		return
	}
	r.repairLocked()
}

// confirm is called for each confirmation of the subscription. All but the first mean that it was interrupted, and that
// messages may be missing.
func (r *redisRoom) confirm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.known:
		r.known = true
		close(r.confirmed)
	case r.state == live:
		r.again = true
		r.repairLocked()
	default:
		r.again = true
	}
}

// live takes a message that was just published.
func (r *redisRoom) live(m *Message) {
	r.heard.Store(int64(time.Since(r.broker.opened)))
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.dead:
	case r.state != live:
		r.waitLocked(m)
	case r.follows(m):
		r.passLocked(m)
	case r.isKnown(m) && !r.isAnotherLocked(m):
	default:
		r.waitLocked(m)
		r.again = true
		r.repairLocked()
	}
}

// isAnotherLocked reports whether a message has a number that was delivered already, but is another one: Redis had lost the
// first, and gives its number again.
func (r *redisRoom) isAnotherLocked(m *Message) bool {
	return r.stamp != 0 && (m.Accepted > r.stamp || m.Offset.N == r.last.N && m.Accepted != r.stamp)
}

// end takes a room that was unsubscribed from out of use. When it returns, the handler hears no more of it.
func (r *redisRoom) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

func (r *redisRoom) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// passLocked hands on the message that follows.
func (r *redisRoom) passLocked(m *Message) {
	r.last, r.stamp = m.Offset, m.Accepted
	r.broker.handler.Message(m)
}

func (r *redisRoom) follows(m *Message) bool {
	return m.Offset.Epoch == r.last.Epoch && m.Offset.N == r.last.N+1
}

func (r *redisRoom) isKnown(m *Message) bool {
	return m.Offset.Epoch == r.last.Epoch && m.Offset.N <= r.last.N
}

func (r *redisRoom) waitLocked(m *Message) {
	if len(r.pending) >= pendingMessages || r.bytes+len(m.Data) > pendingBytes {
		r.pending, r.bytes, r.again = nil, 0, true
		return
	}
	r.pending = append(r.pending, m)
	r.bytes += len(m.Data)
}

func (r *redisRoom) repairLocked() {
	r.state = repairing
	r.broker.spawn(r.repair)
}

// repair reads what is missing and hands it on, until the room is live again or unsubscribed from.
func (r *redisRoom) repair() {
	b := r.broker
	if b.opts.OnRepair != nil {
		b.opts.OnRepair()
	}
	pause := firstPause
	for {
		r.mu.Lock()
		if r.dead || r.catchUpLocked() {
			r.mu.Unlock()
			return
		}
		after, stamp := r.last, r.stamp
		r.pending, r.bytes, r.again = nil, 0, false // what arrived is in the history already
		r.mu.Unlock()

		missed, err := b.readForRepair(r.name, after, stamp)
		if err != nil {
			b.opts.Log.Warn("repair", "room", r.name, "error", err)
			r.mu.Lock()
			r.again = true
			r.mu.Unlock()
			if !pauseFor(b.ctx, pause) {
				return
			}
			pause = min(2*pause, longestPause)
			continue
		}
		pause = firstPause
		r.deliver(missed)
	}
}

// missed is a page of what did not arrive, and the retained messages when some of it is lost.
type missed struct {
	Page
	retained []*Message
}

// readForRepair reads a page, a few rooms at a time.
func (b *Redis) readForRepair(room wire.Room, after wire.Offset, stamp int64) (m missed, err error) {
	select {
	case b.reading <- struct{}{}:
		defer func() { <-b.reading }()
	case <-b.ctx.Done():
		return missed{}, errClosed()
	}
	if m.Page, err = b.history(b.ctx, room, after, stamp, repairPage); err != nil || m.Gap == nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, redisTimeout)
	defer cancel()
	s, _, err := b.position(ctx, room)
	m.retained = s.Retained
	return m, err
}

// position returns how far the room has come, and whether nothing was published for that long although it is live.
func (r *redisRoom) position(quiet time.Duration) (last wire.Offset, isQuiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.state == live && time.Since(r.broker.opened)-time.Duration(r.heard.Load()) > quiet
}

// pacedBytes is how much a repair hands on before it asks whether the room's members can take more.
const pacedBytes = 64 << 10

// deliver hands a page on, which nobody else does while the room is repairing. What is published meanwhile need not wait for it.
func (r *redisRoom) deliver(page missed) {
	if page.Gap != nil && !r.lose(*page.Gap, page.retained) {
		return
	}
	pace := r.broker.opts.Pace
	bytes := 0
	for _, m := range page.Messages {
		if bytes += len(m.Data); pace != nil && bytes > pacedBytes {
			pace(r.broker.ctx, r.name)
			bytes = 0
		}
		if !r.pass(m) {
			return
		}
	}
	if len(page.Messages) == repairPage {
		r.mu.Lock()
		r.again = true
		r.mu.Unlock()
	}
}

// lose tells of messages that are gone. It does not, and reports false, when the room is dead.
func (r *redisRoom) lose(gap Gap, retained []*Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead {
		r.last, r.stamp = gap.To, 0
		r.broker.handler.Gap(r.name, gap, retained)
	}
	return !r.dead
}

// pass hands on a message. It does not, and reports false, when the room is dead.
func (r *redisRoom) pass(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead {
		r.passLocked(m)
	}
	return !r.dead
}

// catchUpLocked hands on the pending messages that follow, and reports whether nothing is missing.
func (r *redisRoom) catchUpLocked() bool {
	r.dropKnownLocked()
	for len(r.pending) > 0 && r.follows(r.pending[0]) {
		m := r.pending[0]
		r.bytes -= len(m.Data)
		r.pending = r.pending[1:]
		r.passLocked(m)
	}
	if len(r.pending) > 0 || r.again {
		return false
	}
	r.pending, r.state = nil, live
	return true
}

func (r *redisRoom) dropKnownLocked() {
	for len(r.pending) > 0 && r.isKnown(r.pending[0]) {
		r.bytes -= len(r.pending[0].Data)
		r.pending = r.pending[1:]
	}
}
