//go:build linux

package swarm

import (
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

// poll asks for what comes after the last answer. The first poll answers at once; that of a client that comes back must be
// told to, or it would not know that it missed nothing.
func (l *Loop) poll(c *Conn) {
	t := c.target
	query := t.Query
	target := ""
	switch {
	case c.cursor != "":
		target = l.options.Dialect.Target(t.Path, both(query, "cursor="+c.cursor), dialect.Seat{})
	case !c.seat.After.IsZero():
		target = l.options.Dialect.Target(t.Path, both(query, "wait=0"), c.seat)
	default:
		target = l.options.Dialect.Target(t.Path, query, c.seat)
	}
	c.asked = true
	c.out = http1.AppendRequest(c.out, &http1.Request{Method: "GET", Host: t.Host, Target: target, Token: t.Token, Accept: "application/json"})
}

func both(a, b string) string {
	if a == "" {
		return b
	}
	return a + "&" + b
}

// takeAnswers handles the answers that p holds; ended says that nothing follows it.
func (l *Loop) takeAnswers(c *Conn, p []byte, ended bool) (used int, err error) {
	for c.state != closed {
		r, n, err := http1.ParseResponse(p[used:], ended)
		if err != nil {
			return used, err
		}
		if n == 0 {
			break
		}
		used += n
		if !c.asked {
			return used, &ProtocolError{"an answer to nothing"}
		}
		c.asked = false
		if err := l.answered(c, &r); err != nil {
			return used, err
		}
		if r.Close {
			l.end(c, nil)
			return used, nil
		}
		if c.mode == Polling && c.state == open {
			l.poll(c)
		}
	}
	return used, nil
}

func (l *Loop) answered(c *Conn, r *http1.Response) error {
	now := Now()
	if c.mode == Requests {
		c.idle = now
		c.handler.Answer(c, r, now)
		return nil
	}
	if r.Status != 200 {
		return failure.NewStatus(r.Status, r.Body)
	}
	p, err := dialect.ReadPoll(r.Body)
	if err != nil {
		return &ProtocolError{err.Error()}
	}
	c.cursor = p.Cursor
	if !c.joined {
		c.joined = true
		l.seated(c, now)
	}
	for _, m := range p.Messages {
		l.heed(c, m, now)
	}
	if p.RetryAfter > 0 && c.state != closed {
		c.handler.Event(c, &dialect.Event{Kind: dialect.Drain, Wait: time.Duration(p.RetryAfter) * time.Millisecond}, now)
	}
	return nil
}

// seated tells that the first poll was answered, as the frame connected does elsewhere.
func (l *Loop) seated(c *Conn, now uint64) {
	e := dialect.Event{Kind: dialect.Ready}
	if c.seat.Room != "" {
		at := dialect.Position(c.cursor, c.seat.Room)
		if at == (wire.Offset{}) {
			e = dialect.Event{Kind: dialect.Absent, Reason: c.cursor}
		}
		e.Epoch, e.N = []byte(at.Epoch), at.N
	}
	c.handler.Event(c, &e, now)
}

// Ask sends a request on a connection of mode Requests that is idle. Host and token are the target's, if the request has
// none.
func (l *Loop) Ask(c *Conn, r *http1.Request) {
	r.Host = c.target.Host
	if r.Token == "" {
		r.Token = c.target.Token
	}
	c.asked = true
	c.out = http1.AppendRequest(c.out, r)
	l.flush(c)
}
