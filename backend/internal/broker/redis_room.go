package broker

import (
	"context"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A redisRoom is one subscription: it turns what pub/sub delivers into messages without holes.
//
//	starting ── start ──▶ live ── a hole, or a new confirmation ──▶ repairing ── caught up ──▶ live
//
// Only while it is live does the receiver call the handler; while it is repairing, its repair alone
// does. While it is starting nobody does, since the hub waits for Subscribe.
type redisRoom struct {
	// Static after construction.
	broker    *Redis
	name      wire.Room
	keys      keys
	confirmed chan struct{} // closed by the first confirmation

	conn *pubsubConn // nil before the first attempt to subscribe; guarded by broker.mu

	mu            sync.Mutex
	closed        bool // unsubscribed from: nothing may reach the handler any more
	state         roomState
	confirmedOnce bool
	lastMessage   time.Time   // when pub/sub delivered something; zero for never
	last          wire.Offset // the handler has everything up to it
	lastAccepted  wire.Micros // of the message at last; 0 if unknown
	deleted       string      // how often retained events were deleted, of which the handler knows
	pending       []*Message  // arrived while the room was not live, in order
	pendingBytes  int         // of data
	// reread says that the history has to be read again: something may be missing after that.
	reread bool
}

type roomState uint8

const (
	stateStarting roomState = iota
	stateLive
	stateRepairing
)

// Bounds of pending. What does not fit is read from the history.
const (
	maxPendingMessages = 512
	maxPendingBytes    = 256 << 10
)

const (
	// repairPage is how many messages a repair reads at once.
	repairPage = 200
	// pacedBytes is how much a repair delivers before it waits for RedisOptions.Pace.
	pacedBytes = 64 << 10
)

func newRedisRoom(b *Redis, name wire.Room) *redisRoom {
	return &redisRoom{broker: b, name: name, keys: b.keysOf(name), confirmed: make(chan struct{})}
}

// goLive makes the room live: the subscriber has everything up to this state.
func (r *redisRoom) goLive(s storedRoom) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.lastAccepted, r.deleted = s.Offset, s.accepted, s.deleted
	r.dropDeliveredLocked()
	if len(r.pending) == 0 && !r.reread {
		r.state = stateLive
		return
	}
	r.startRepairLocked()
}

// handleConfirmation handles a confirmation of the subscription. All but the first mean that it was
// interrupted, and that messages may be missing.
func (r *redisRoom) handleConfirmation() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.confirmedOnce {
		r.confirmedOnce = true
		close(r.confirmed)
		return
	}
	r.recheckLocked()
}

// recheck looks at the history again: something was deleted.
func (r *redisRoom) recheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recheckLocked()
}

func (r *redisRoom) recheckLocked() {
	r.reread = true
	if r.state == stateLive && !r.closed {
		r.startRepairLocked()
	}
}

// handleLive takes a message that was just published.
func (r *redisRoom) handleLive(m *Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastMessage = time.Now()
	switch {
	case r.closed:
	case r.state != stateLive:
		r.bufferLocked(m)
	case r.isNext(m):
		r.deliverLocked(m)
	case r.isDelivered(m) && !r.reusesOffsetLocked(m):
	default:
		r.bufferLocked(m)
		r.reread = true
		r.startRepairLocked()
	}
}

// reusesOffsetLocked reports whether a message has an offset that was delivered already, but is
// another one: Redis had lost the first, and gives its number again.
func (r *redisRoom) reusesOffsetLocked(m *Message) bool {
	return r.lastAccepted != 0 &&
		(m.Accepted > r.lastAccepted || m.Offset.N == r.last.N && m.Accepted != r.lastAccepted)
}

// close ends the deliveries. When it returns, the handler hears no more of the room.
func (r *redisRoom) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *redisRoom) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *redisRoom) deliverLocked(m *Message) {
	r.last, r.lastAccepted = m.Offset, m.Accepted
	r.broker.handler.Message(m)
}

func (r *redisRoom) isNext(m *Message) bool {
	return m.Offset.Epoch == r.last.Epoch && m.Offset.N == r.last.N+1
}

func (r *redisRoom) isDelivered(m *Message) bool {
	return m.Offset.Epoch == r.last.Epoch && m.Offset.N <= r.last.N
}

func (r *redisRoom) bufferLocked(m *Message) {
	if len(r.pending) >= maxPendingMessages || r.pendingBytes+len(m.Data) > maxPendingBytes {
		r.pending, r.pendingBytes, r.reread = nil, 0, true
		return
	}
	r.pending = append(r.pending, m)
	r.pendingBytes += len(m.Data)
}

func (r *redisRoom) startRepairLocked() {
	r.state = stateRepairing
	r.broker.spawn(r.repair)
}

// repair reads what is missing and delivers it, until the room is live again or closed.
func (r *redisRoom) repair() {
	b := r.broker
	if b.opts.OnRepair != nil {
		b.opts.OnRepair()
	}
	pause := firstPause
	for {
		r.mu.Lock()
		if r.closed || r.deliverPendingLocked() {
			r.mu.Unlock()
			return
		}
		after, accepted, deleted := r.last, r.lastAccepted, r.deleted
		// What arrived is in the history already.
		r.pending, r.pendingBytes, r.reread = nil, 0, false
		r.mu.Unlock()

		err := b.checkLeft(b.ctx, r.name)
		var page missedPage
		if err == nil {
			page, err = b.readMissed(r.name, after, accepted, deleted)
		}
		if err != nil {
			b.opts.Log.Warn("room resynchronisation failed", "room", r.name, "error", err)
			r.setReread()
			if !pauseFor(b.ctx, pause) {
				return
			}
			pause = min(2*pause, b.opts.Timings.Backoff)
			continue
		}
		pause = firstPause
		r.deliverPage(page)
	}
}

func (r *redisRoom) setReread() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reread = true
}

// A missedPage is what did not arrive, and how the room stands when some of it is lost, or retained
// events were deleted.
type missedPage struct {
	Page
	now *storedRoom
}

// readMissed reads a page, of a few rooms at a time. deleted is how often retained events were
// deleted, as the room knows it.
func (b *Redis) readMissed(room wire.Room, after wire.Offset, accepted wire.Micros, deleted string) (p missedPage, err error) {
	select {
	case b.repairSlots <- struct{}{}:
		defer func() { <-b.repairSlots }()
	case <-b.ctx.Done():
		return missedPage{}, errClosed()
	}
	page, now, err := b.history(b.ctx, room, after, accepted, repairPage)
	if p.Page = page; err != nil || p.Gap == nil && now == deleted {
		return p, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.opts.Timings.Command)
	defer cancel()
	s, err := b.readState(ctx, room)
	p.now = &s
	return p, err
}

// lastDelivered returns the last message that was delivered, and whether the room is live and idle.
func (r *redisRoom) lastDelivered() (last delivered, idle bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return delivered{r.last, r.lastAccepted}, r.state == stateLive && time.Since(r.lastMessage) > idleAfter
}

// deliverPage delivers a page, which nobody else does while the room is repairing. What is
// published meanwhile need not wait for it.
func (r *redisRoom) deliverPage(page missedPage) {
	if page.now != nil && !r.deliverState(page.Gap, page.now) {
		return
	}
	pace := r.broker.opts.Pace
	bytes := 0
	for _, m := range page.Messages {
		if bytes += len(m.Data); pace != nil && bytes > pacedBytes {
			pace(r.broker.ctx, r.name)
			bytes = 0
		}
		if !r.deliver(m) {
			return
		}
	}
	if len(page.Messages) == repairPage {
		r.setReread()
	}
}

// deliverState tells of lost messages or, without a gap, of retained events that were deleted.
// When the room is closed it does nothing and reports false.
func (r *redisRoom) deliverState(gap *Gap, now *storedRoom) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
	case gap != nil:
		if gap.To.Epoch != gap.From.Epoch && now.deleted == r.deleted {
			r.broker.warnOnceASecond("Redis lost the history of a room: its members are told a gap", "room", r.name, "had", gap.From, "now", gap.To)
		}
		r.last, r.lastAccepted, r.deleted = gap.To, 0, now.deleted
		r.broker.handler.Gap(r.name, *gap, now.Retained)
	default:
		r.deleted = now.deleted
		r.broker.handler.Retained(r.name, now.Snapshot)
	}
	return !r.closed
}

// deliver delivers a message. It does not, and reports false, when the room is closed.
func (r *redisRoom) deliver(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.deliverLocked(m)
	}
	return !r.closed
}

// deliverPendingLocked delivers the pending messages that follow, and makes the room live when
// nothing is missing, which it reports. Before the history is read again none of them does: what
// has the next number may follow something else than what was delivered.
func (r *redisRoom) deliverPendingLocked() bool {
	if r.reread {
		return false
	}
	r.dropDeliveredLocked()
	for len(r.pending) > 0 && r.isNext(r.pending[0]) {
		r.deliverLocked(r.dropFirstLocked())
	}
	if len(r.pending) > 0 {
		return false
	}
	r.pending, r.state = nil, stateLive
	return true
}

func (r *redisRoom) dropDeliveredLocked() {
	for len(r.pending) > 0 && r.isDelivered(r.pending[0]) {
		r.dropFirstLocked()
	}
}

func (r *redisRoom) dropFirstLocked() *Message {
	m := r.pending[0]
	r.pending = r.pending[1:]
	r.pendingBytes -= len(m.Data)
	return m
}
