//go:build linux

package swarm

import (
	"fmt"

	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/frame"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

// maskKey masks all frames: what masking protects from, a hostile proxy, is not here.
var maskKey = [4]byte{0x5a, 0x6f, 0x6e, 0x65}

func (l *Loop) upgrade(c *Conn) {
	t := c.target
	c.out = frame.AppendRequest(c.out, t.Host, l.options.Dialect.Target(t.Path, t.Query, c.seat), t.Token, l.options.Deflate)
}

// takeFrames handles the handshake and all frames that p holds.
func (l *Loop) takeFrames(c *Conn, p []byte) (used int, err error) {
	if c.state == opening {
		if used, err = l.upgraded(c, p); used == 0 || err != nil {
			return used, err
		}
	}
	now := Now()
	for c.state != closed {
		m, n, err := c.reader.Next(p[used:])
		if err != nil {
			return used, fmt.Errorf("a broken frame: %w", err)
		}
		if n == 0 {
			break
		}
		used += n
		if err := l.message(c, m, now); err != nil {
			return used, err
		}
	}
	return used, nil
}

// upgraded reads the answer to the handshake.
func (l *Loop) upgraded(c *Conn, p []byte) (used int, err error) {
	head, n, err := http1.ParseHead(p)
	switch {
	case err != nil || n == 0:
		return 0, err
	case head.Status != 101:
		return l.refused(p)
	}
	deflate, n, err := frame.ParseResponse(p)
	switch {
	case err != nil || n == 0:
		return 0, err
	case l.options.Deflate && !deflate:
		return 0, errDeflate
	}
	c.state = open
	if greeting := l.options.Dialect.Greet(c.seat); greeting != nil {
		l.send(c, frame.Text, greeting)
	}
	return n, nil
}

// refused reads an answer that is not the one hoped for; the error says what it is, once it is all there.
func (l *Loop) refused(p []byte) (used int, err error) {
	r, n, err := http1.ParseResponse(p, false)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, failure.NewStatus(r.Status, r.Body)
}

// message handles a message, or a control frame.
func (l *Loop) message(c *Conn, m frame.Message, now uint64) (err error) {
	switch m.Op {
	case frame.Ping:
		l.send(c, frame.Pong, m.Payload)
	case frame.Close:
		code, reason := frame.CloseReason(m.Payload)
		if c.state != leaving {
			return &Closed{Code: code, Reason: reason}
		}
	case frame.Text, frame.Binary:
		text := m.Payload
		if m.Deflated {
			if text, err = l.inflater.Inflate(text); err != nil {
				return err
			}
		}
		l.heed(c, text, now)
	}
	return nil
}

// send puts a frame into the connection's output, which flush writes.
func (l *Loop) send(c *Conn, op frame.Op, p []byte) {
	if c.mode == WebSocket {
		c.out = frame.Append(c.out, op, frame.FromClient, maskKey, p)
	}
}

// Say sends a message of the dialect. It is written before Say returns, as far as there is room.
func (l *Loop) Say(c *Conn, text []byte) {
	l.send(c, frame.Text, text)
	l.flush(c)
}

// Put prepares a message of the dialect that is written with the next one that Say sends, or by Flush.
func (l *Loop) Put(c *Conn, text []byte) { l.send(c, frame.Text, text) }

// Flush writes what was put.
func (l *Loop) Flush(c *Conn) { l.flush(c) }
