package outbox

import "time"

// A Press says what a queue's backlog means for those who publish to its client.
type Press uint8

const (
	// Light: at most a quarter of the bound waits, or the client has taken nothing for so long that nobody waits for it.
	Light Press = iota
	// Heavy: more waits, because the client fell behind only just now, or the writers did.
	Heavy
	// Crowded: the same, and more than three eighths wait in a queue that is fed by many.
	Crowded
	// Lagging: more than a quarter waits, and it is for this client: it counts as slow, or has taken nothing for a moment.
	Lagging
	// Asleep: the same, and it has taken nothing for more than a moment.
	Asleep
)

// A Backlog counts the queues for which more than a quarter of the bound waits.
type Backlog struct {
	Behind  int // all of them
	Crowded int
	Lagging int // or Asleep
	Asleep  int
}

func (b *Backlog) add(p Press) {
	if p == Light {
		return
	}
	b.Behind++
	switch p {
	case Crowded:
		b.Crowded++
	case Lagging:
		b.Lagging++
	case Asleep:
		b.Lagging++
		b.Asleep++
	}
}

// Backlog returns how much waits for the queues.
func (p *Pool) Backlog(queues []*Queue) (b Backlog) {
	now := p.now()
	for _, q := range queues {
		q.mu.Lock()
		b.add(q.pressLocked(now))
		q.mu.Unlock()
	}
	return b
}

const (
	// stillAfter is when a client that takes nothing counts as lagging. A packet that is lost takes TCP 200 ms to send again, when
	// nothing tells it earlier.
	stillAfter = 250 * time.Millisecond
	// asleepAfter is when it counts as asleep.
	asleepAfter = 600 * time.Millisecond
	// goneAfter, or Options.SlowAfter if that is longer, is when it is not waited for any more.
	goneAfter = time.Second
	// lookEvery is how often the socket of a stalled queue is looked at.
	lookEvery = 20 * time.Millisecond
)

func (q *Queue) pressLocked(now moment) Press {
	if q.closing || q.waiting <= q.pool.opts.MaxBytes/4 {
		return Light
	}
	if q.state == stalled {
		q.lookLocked(now)
		switch d := now.since(q.still.since); {
		case d > max(goneAfter, q.pool.opts.SlowAfter):
			return Light
		case d > asleepAfter:
			return Asleep
		case d > stillAfter, q.slow:
			return Lagging
		}
	}
	if q.many && q.waiting > q.pool.opts.MaxBytes/8*3 {
		return Crowded
	}
	return Heavy
}

// A stillness is since when the peer of a stalled queue has taken nothing. A socket with a large buffer lets more in only when
// a third of it is free, which may take seconds with a slow reader: so what is left in it is looked at as well.
type stillness struct {
	since  moment
	looked moment
	unsent int // bytes that were left in the socket then; 0 before the first look
}

func (q *Queue) lookLocked(now moment) {
	if s := &q.still; now.since(s.since) >= lookEvery && now.since(s.looked) >= lookEvery {
		s.look(now, unsent(q.sink))
	}
}

// look takes how many bytes are left in the socket now; negative when that can't be known.
func (s *stillness) look(now moment, unsent int) {
	if unsent == 0 || unsent > 0 && unsent < s.unsent {
		s.since = now
	}
	s.looked, s.unsent = now, max(unsent, 0)
}

// moved tells that the socket took something.
func (q *Queue) moved() {
	now := q.pool.now()
	q.mu.Lock()
	q.still = stillness{since: now, looked: now}
	q.mu.Unlock()
}
