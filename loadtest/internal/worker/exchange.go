//go:build linux

package worker

import (
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

const (
	// RequestTimeout is how long one request may take.
	RequestTimeout = 10 * time.Second
	// longestIdle is how long a connection is used again after its last answer: shorter than servers wait, or a rare message
	// would meet a connection that is just being closed.
	longestIdle = 20 * time.Second
)

// An exchange makes requests, one after the other, over one keep-alive connection at a time. No request is made twice, so that
// each stands for what its user wanted to say exactly once.
type exchange struct {
	w      *Worker
	target *swarm.Target
	user   asker
	conn   *swarm.Conn
	busy   bool
	sent   bool
	began  uint64
	timer  *swarm.Timer
}

// An asker is who uses an exchange.
type asker interface {
	// request returns the request that was begun. Its body may be the worker's text.
	request() *http1.Request
	// answered is called once for each request that was begun, with an answer or an error. The next one may be begun from it.
	answered(a *http1.Response, err error, now uint64)
}

var _ swarm.Handler = (*exchange)(nil)

// begin makes a request, on a new connection if there is none that is fresh.
func (x *exchange) begin(now uint64) {
	x.busy, x.sent, x.began = true, false, now
	x.timer = x.w.loop.At(now+uint64(RequestTimeout), func(uint64) { x.expire() })
	if x.conn != nil {
		if since, idle := x.conn.Idle(); idle && time.Duration(now-since) < longestIdle {
			x.send()
			return
		}
		x.hangUp()
	}
	conn, err := x.w.loop.Dial(swarm.Requests, x.target, dialect.Seat{}, x, nil)
	if err != nil {
		x.done(nil, err, now)
		return
	}
	x.conn = conn
}

func (x *exchange) send() {
	x.sent = true
	x.w.loop.Ask(x.conn, x.user.request())
}

// expire gives a request up that takes too long.
func (x *exchange) expire() {
	x.hangUp()
	x.done(nil, swarm.ErrTimeout, swarm.Now())
}

func (x *exchange) hangUp() {
	if x.conn != nil {
		x.w.loop.Drop(x.conn)
		x.conn = nil
	}
}

func (x *exchange) done(a *http1.Response, err error, now uint64) {
	x.timer.Stop()
	x.busy = false
	x.user.answered(a, err, now)
}

// Event implements [swarm.Handler]: the connection is there.
func (x *exchange) Event(_ *swarm.Conn, e *dialect.Event, _ uint64) {
	if e.Kind == dialect.Ready && x.busy && !x.sent {
		x.send()
	}
}

// Answer implements [swarm.Handler].
func (x *exchange) Answer(_ *swarm.Conn, a *http1.Response, now uint64) {
	if !x.busy {
		return
	}
	if a.Close {
		x.hangUp()
	}
	x.done(a, nil, now)
}

// Ended implements [swarm.Handler].
func (x *exchange) Ended(_ *swarm.Conn, why error, now uint64) {
	x.conn = nil
	if x.busy {
		if why == nil {
			why = errEnded
		}
		x.done(nil, why, now)
	}
}
