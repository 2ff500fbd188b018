//go:build linux

package worker

import (
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

const (
	// RequestTimeout is how long one request may take.
	RequestTimeout = 10 * time.Second
	// longestIdle is how long a connection is used again after its last answer: shorter than
	// servers wait, or a rare message would meet a connection that is just being closed.
	longestIdle = 20 * time.Second
)

// A httpConn makes requests, one after the other, over one keep-alive connection at a time. No
// request is made twice, so that each stands for what its user wanted to say exactly once.
type httpConn struct {
	w       *Worker
	target  *client.Target
	user    requester
	conn    *client.Conn
	busy    bool
	sent    bool
	started uint64
	timer   *client.Timer
}

// A requester makes the requests of an httpConn.
type requester interface {
	// request returns the request that was begun. Its body may be the worker's text.
	request() *http1.Request
	// handleResponse is called once for each request that was begun, with an answer or an error.
	// The next one may be begun from it.
	handleResponse(a *http1.Response, err error, now uint64)
}

var _ client.Handler = (*httpConn)(nil)

// start makes a request, on a new connection if there is none that is fresh.
func (x *httpConn) start(now uint64) {
	x.busy, x.sent, x.started = true, false, now
	x.timer = x.w.loop.At(now+uint64(RequestTimeout), func(uint64) { x.timeOut() })
	if x.conn != nil {
		if since, idle := x.conn.Idle(); idle && time.Duration(now-since) < longestIdle {
			x.send()
			return
		}
		x.closeConn()
	}
	conn, err := x.w.loop.Dial(client.Requests, x.target, protocol.Subscription{}, x)
	if err != nil {
		x.finish(nil, err, now)
		return
	}
	x.conn = conn
}

func (x *httpConn) send() {
	x.sent = true
	x.w.loop.Request(x.conn, x.user.request())
}

// timeOut gives a request up that takes too long.
func (x *httpConn) timeOut() {
	x.closeConn()
	x.finish(nil, client.ErrTimeout, client.Now())
}

func (x *httpConn) closeConn() {
	if x.conn != nil {
		x.w.loop.Reset(x.conn)
		x.conn = nil
	}
}

func (x *httpConn) finish(a *http1.Response, err error, now uint64) {
	x.timer.Stop()
	x.busy = false
	x.user.handleResponse(a, err, now)
}

// Event implements [client.Handler]: the connection is there.
func (x *httpConn) Event(_ *client.Conn, e *protocol.Event, _ uint64) {
	if e.Kind == protocol.Ready && x.busy && !x.sent {
		x.send()
	}
}

func (x *httpConn) Response(_ *client.Conn, a *http1.Response, now uint64) {
	if !x.busy {
		return
	}
	if a.Close {
		x.closeConn()
	}
	x.finish(a, nil, now)
}

func (x *httpConn) Closed(_ *client.Conn, why error, now uint64) {
	x.conn = nil
	if x.busy {
		x.finish(nil, why, now)
	}
}
