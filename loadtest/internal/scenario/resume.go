package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/ws"
)

// The pauses of a member between two attempts to come back: the first, doubled each time, up to the longest.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
)

// backoff returns how long to wait before attempt n = 1, 2 …: between half of the pause and all of it, so that a thousand
// members don't come at the same moment.
func backoff(n int) time.Duration {
	pause := min(firstPause<<min(n-1, 10), longestPause)
	return pause/2 + rand.N(pause/2)
}

// comeBack reconnects a member whose connection ended with why, and lets it go on from its last offset. It gives up after
// the plan's reconnect time, at once when the server does not want the member back, and silently when the run is over.
func (r *Run) comeBack(m *member, why error) {
	if r.plan.Reconnect == 0 || !mayReturn(why) {
		r.giveUp(m)
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.closing, r.plan.Reconnect)
	defer cancel()
	m.mu.Lock()
	pause := m.pause
	m.pause = 0
	m.mu.Unlock()
	if pause == 0 {
		pause = backoff(1)
	}
	for n := 1; sleep(ctx, pause); n++ {
		err := r.resume(ctx, m, n)
		switch {
		case err == nil:
			r.offline.Lane(0).Record(time.Since(began))
			return
		case ctx.Err() == nil: // or the error says only that the time is up
			why = err
		}
		pause = backoff(n + 1)
	}
	if r.closing.Err() == nil {
		r.failures.Add("reconnect", why)
		r.giveUp(m)
	}
}

// mayReturn reports whether a connection that ended with err may be replaced: not when its close code says that the next
// one would meet the same end.
func mayReturn(err error) bool {
	var closed *ws.Closed
	if !errors.As(err, &closed) {
		return true
	}
	code := wire.CloseCode(closed.Code)
	return code.Reconnect() || code.String() == "unknown"
}

// resume is the nth attempt to replace a member's connection. Members go from instance to instance, as a load balancer
// would send them: the one that they came from may be gone.
func (r *Run) resume(ctx context.Context, m *member, n int) error {
	select {
	case r.dialling <- struct{}{}:
		defer func() { <-r.dialling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, _, err := r.dialer.Dial(ctx, r.plan.ResumeURLs[(m.home+n)%len(r.plan.ResumeURLs)])
	if err != nil {
		return err
	}
	m.mu.Lock()
	last := m.ledger.Position()
	m.mu.Unlock()
	at, err := conn.Subscribe(ctx, r.plan.Room, last)
	if err != nil {
		conn.Close()
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if r.over.Load() {
		conn.Close()
		return context.Canceled
	}
	if last.IsZero() {
		m.ledger.Join(at)
	}
	m.conn = conn
	r.live.Add(1)
	r.resumed.Add(1)
	r.errands.Go(func() { r.read(m, conn) })
	return nil
}

// giveUp lets a member stay away for good.
func (r *Run) giveUp(m *member) {
	m.mu.Lock()
	m.gone = true
	m.mu.Unlock()
	r.oneLess()
}

// oneLess counts a member out for good, be it one that never joined.
func (r *Run) oneLess() {
	if r.staying.Add(-1) == 0 {
		close(r.deserted)
	}
}

// sleep waits for d and reports whether ctx did not end meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
