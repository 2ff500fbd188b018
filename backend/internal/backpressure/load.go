package backpressure

import (
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Level says how a member's write queue stands between its watermarks.
type Level uint8

const (
	Ready     Level = iota // not behind
	Unwritten              // behind; its socket is not full
	Blocked                // behind; its socket is full and has taken next to nothing since
	Reading                // behind; its socket is full and has taken something since
	levels
)

// A Load says how far the members of one room are behind, and what is in flight to them. Its
// methods may be called by several goroutines, and with the lock of the hub's room or of a write
// queue held: they call nobody.
type Load struct {
	control *Control
	name    wire.Room

	mu      sync.Mutex
	members [levels]int   // by level
	givenUp int           // of those behind
	round   uint          // how often some were given up
	taken   time.Time     // when a full socket took something, or became full
	verdict Verdict       // the latest one
	since   time.Time     // when it was reached
	grace   time.Duration // left then
	moved   int           // bytes delivered since the grace was full

	inFlight  int          // bytes that publishers have reserved and the room has not delivered
	accepted  []acceptance // of those, what the broker has accepted; in the order of its offsets
	delivered wire.Offset
	deferring bool // messages are deferred: they come before what is published now

	changed chan struct{} // closed when the room may have opened; nil while nobody waits
}

// An acceptance is a publication on its way from the broker to the hub.
type acceptance struct {
	offset wire.Offset
	bytes  int
}

// NewLoad returns that of a room without members.
func (c *Control) NewLoad(name wire.Room) *Load {
	return &Load{control: c, name: name, grace: c.grace()}
}

// A Member is what a room notes of one of its members: the round of giving up that it has answered.
type Member struct{ round uint }

// Join counts a member in.
func (r *Load) Join(m *Member, l Level) { r.change(func() { r.enter(m, l) }) }

// Leave counts a member out.
func (r *Load) Leave(m *Member, l Level) { r.change(func() { r.exit(m, l) }) }

// Move takes a member from one level to another.
func (r *Load) Move(m *Member, from, to Level) {
	r.change(func() {
		r.exit(m, from)
		r.enter(m, to)
	})
}

func (r *Load) enter(m *Member, l Level) {
	if l == Blocked || l == Reading {
		r.taken = time.Now()
	}
	m.round = r.round
	r.members[l]++
}

func (r *Load) exit(m *Member, l Level) {
	if (l == Blocked || l == Reading) && m.round != r.round {
		r.givenUp--
	}
	r.members[l]--
}

// Took notes that a member that is behind took something, which is never a few bytes: a full socket
// is writable again when a good part of its buffer is free.
func (r *Load) Took(m *Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = time.Now()
	if m.round != r.round { // it was given up, and is back
		m.round = r.round
		r.givenUp--
	}
}

// change wakes whoever waits when a change leads to another verdict, or nobody is left.
func (r *Load) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	if r.changed == nil && r.verdict == Open {
		return
	}
	before := r.verdict
	if r.isOpen(time.Now()); r.verdict != before || r.count() == 0 {
		r.wake()
	}
}

// behind returns how many members are behind, without those that were given up.
func (r *Load) behind() int { return r.count() - r.members[Ready] - r.givenUp }

func (r *Load) count() (n int) {
	for _, m := range r.members {
		n += m
	}
	return n
}

// isOpen reports whether the members can take more, or else when to look again although nothing has
// changed. It is called with r.mu held.
func (r *Load) isOpen(now time.Time) (open bool, again time.Time) {
	s := Sample{Members: r.count(), Behind: r.behind(), Unwritten: r.members[Unwritten],
		Reading: r.members[Reading], Waiting: r.verdict != Open, Grace: r.graceLeft(now),
		Stalled: now.Sub(r.taken), StallTimeout: r.control.StallTimeout}
	v := Decide(s)
	if v == GiveUp {
		r.givenUp += s.Behind // which are all whose sockets are full
		r.round++
		v = Open
	}
	if v != r.verdict {
		r.verdict, r.since, r.grace = v, now, s.Grace
	}
	if v == Open {
		return true, time.Time{}
	}
	if s.Unwritten == 0 {
		again = r.taken.Add(s.StallTimeout)
	}
	if end := now.Add(s.Grace); v == WaitForFew && (again.IsZero() || end.Before(again)) {
		again = end
	}
	return false, again
}

// graceLeft returns for how long the room may still wait for a few. Waiting for them spends it;
// waiting for the many earns it, since where these are slow, a few need longer, too.
func (r *Load) graceLeft(now time.Time) time.Duration {
	switch r.verdict {
	case WaitForFew:
		return max(r.grace-now.Sub(r.since), 0)
	case WaitForMany:
		return min(r.grace+now.Sub(r.since), r.control.grace())
	}
	return r.grace
}

// Counts returns how many members there are, and how many bytes are in flight.
func (r *Load) Counts() (members, inFlight int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count(), r.inFlight
}

// IsOpen reports whether the members can take more.
func (r *Load) IsOpen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, _ := r.isOpen(time.Now())
	return open
}

// Delivered notes that the room's members have everything up to an offset, of which so many bytes
// are new, in their queues.
func (r *Load) Delivered(at wire.Offset, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delivered = at
	if r.moved += bytes; r.moved >= r.control.MaxQueuedBytes {
		r.moved, r.grace, r.since = 0, r.control.grace(), time.Now()
	}
	n := 0
	for n < len(r.accepted) && r.isDelivered(r.accepted[n].offset) {
		r.inFlight -= r.accepted[n].bytes
		n++
	}
	if n == 0 {
		return
	}
	r.accepted = r.accepted[n:]
	r.wake()
}

// isDelivered reports whether the message at an offset was delivered, or never will be.
func (r *Load) isDelivered(o wire.Offset) bool {
	return o.Epoch != r.delivered.Epoch || o.N <= r.delivered.N
}

// Defer notes whether messages are deferred in the room, which go before whatever is published.
func (r *Load) Defer(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deferring = on; !on {
		r.wake()
	}
}

// wake is called with r.mu held.
func (r *Load) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}
