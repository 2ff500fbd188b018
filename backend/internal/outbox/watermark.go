package outbox

import (
	"github.com/zonecast/zonecast/backend/internal/backpressure"
)

// The publishers to a room wait by how its members' queues stand between their watermarks. A queue
// tells each room that feeds it when that changes.

// A watcher is one room that feeds a queue.
type watcher struct {
	room   *backpressure.Load
	member backpressure.Member
	next   *watcher
}

// Watch tells a room, from now on, how far its member is behind.
func (q *Queue) Watch(r *backpressure.Load) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watchers = &watcher{room: r, next: q.watchers}
	r.Join(&q.watchers.member, q.level)
}

// Unwatch ends it.
func (q *Queue) Unwatch(r *backpressure.Load) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at := &q.watchers; *at != nil; at = &(*at).next {
		if (*at).room == r {
			r.Leave(&(*at).member, q.level)
			*at = (*at).next
			return
		}
	}
}

// AtLowWatermark returns a channel that is closed when the queue is at its low watermark, or takes
// no more. A replay waits for it, so that it never trips the slow-consumer limit.
func (q *Queue) AtLowWatermark() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing || q.isLowLocked() {
		return closed
	}
	if q.atLow == nil {
		q.atLow = make(chan struct{})
	}
	return q.atLow
}

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// levelLocked follows a change of what the queue is charged.
func (q *Queue) levelLocked() {
	switch ready := q.level == backpressure.Ready; {
	case ready && q.queuedBytes > backpressure.HighWatermark(q.pool.opts.MaxQueuedBytes) && !q.closing:
		q.moveLocked(q.behindLocked())
	case !ready && (q.isLowLocked() || q.closing):
		q.moveLocked(backpressure.Ready)
	}
	if q.atLow != nil && (q.closing || q.isLowLocked()) {
		close(q.atLow)
		q.atLow = nil
	}
}

func (q *Queue) isLowLocked() bool {
	return q.queuedBytes <= backpressure.LowWatermark(q.pool.opts.MaxQueuedBytes)
}

func (q *Queue) moveLocked(to backpressure.Level) {
	for w := q.watchers; w != nil; w = w.next {
		w.room.Move(&w.member, q.level, to)
	}
	q.level = to
}

// behindLocked returns how a queue is behind. A room can't blame a member of many rooms that it has
// not read: what fills its queue may be of all the others.
func (q *Queue) behindLocked() backpressure.Level {
	inMany := q.watchers != nil && q.watchers.next != nil && q.watchers.next.next != nil
	switch {
	case q.state != stalled:
		return backpressure.Unwritten
	case q.taken, inMany:
		return backpressure.Reading
	}
	return backpressure.Blocked
}

// stalledLocked follows that the socket is full now.
func (q *Queue) stalledLocked() {
	q.taken = false
	if q.level != backpressure.Ready {
		q.moveLocked(q.behindLocked())
	}
}

// tookLocked follows that a full socket took something.
func (q *Queue) tookLocked() {
	q.taken = true
	if q.level == backpressure.Ready {
		return
	}
	if q.level == backpressure.Blocked {
		q.moveLocked(backpressure.Reading)
	}
	for w := q.watchers; w != nil; w = w.next {
		w.room.Took(&w.member)
	}
}
