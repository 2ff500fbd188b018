//go:build linux

package client

import (
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

// sendPoll requests what follows the last response. The first poll is answered at once; for a
// resuming client wait=0 makes it so.
func (l *Loop) sendPoll(c *Conn) {
	t, query, subscription := c.target, c.target.Query, c.subscription
	switch {
	case c.cursor != "":
		query, subscription = query+"&cursor="+c.cursor, protocol.Subscription{}
	case !subscription.After.IsZero():
		query += "&wait=0"
	}
	target := l.options.Protocol.Target(t.Path, strings.TrimPrefix(query, "&"), subscription)
	c.requesting = true
	c.out = http1.AppendRequest(c.out, &http1.Request{
		Method: "GET", Host: t.Host, Target: target, Token: t.Token, Accept: "application/json", Header: l.options.Header,
	})
}

// handleResponses handles the answers that p holds; ended says that nothing follows it.
func (l *Loop) handleResponses(c *Conn, p []byte, ended bool) (used int, err error) {
	for c.state != closed {
		r, n, err := http1.ParseResponse(p[used:], ended)
		if err != nil {
			return used, err
		}
		if n == 0 {
			break
		}
		used += n
		if !c.requesting {
			return used, &ProtocolError{"a response without a request"}
		}
		c.requesting = false
		if err := l.handleResponse(c, &r); err != nil {
			return used, err
		}
		if r.Close {
			l.Abort(c, nil)
			return used, nil
		}
		if c.mode == Polling && c.state == open {
			l.sendPoll(c)
		}
	}
	return used, nil
}

func (l *Loop) handleResponse(c *Conn, r *http1.Response) error {
	now := Now()
	if c.mode == Requests {
		c.idle = now
		c.handler.Response(c, r, now)
		return nil
	}
	if r.Status != 200 {
		return failure.NewStatus(r.Status, r.Body)
	}
	p, err := protocol.ReadPoll(r.Body)
	if err != nil {
		return &ProtocolError{err.Error()}
	}
	c.cursor = p.Cursor
	if !c.joined {
		c.joined = true
		l.reportJoined(c, now)
	}
	for _, m := range p.Messages {
		l.handleMessage(c, m, now)
	}
	if p.RetryAfter > 0 && c.state != closed {
		c.handler.Event(c, &protocol.Event{Kind: protocol.Drain, RetryAfter: time.Duration(p.RetryAfter) * time.Millisecond}, now)
	}
	return nil
}

// reportJoined reports the response to the first poll, as the frame connected does elsewhere.
func (l *Loop) reportJoined(c *Conn, now uint64) {
	e := protocol.Event{Kind: protocol.Ready}
	if c.subscription.Room != "" {
		at := protocol.Position(c.cursor, c.subscription.Room)
		if at == (wire.Offset{}) {
			e = protocol.Event{Kind: protocol.NotInRoom, Reason: c.cursor}
		}
		e.Epoch, e.N = []byte(at.Epoch), at.N
	}
	c.handler.Event(c, &e, now)
}

// Request sends a request on a connection of mode Requests that is idle. Host and token are the
// target's, if the request has none.
func (l *Loop) Request(c *Conn, r *http1.Request) {
	r.Host, r.Header = c.target.Host, l.options.Header
	if r.Token == "" {
		r.Token = c.target.Token
	}
	c.requesting = true
	c.out = http1.AppendRequest(c.out, r)
	l.Flush(c)
}
