//go:build linux

package client

import (
	"fmt"

	"github.com/zonecast/zonecast/backend/wsframe"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

// maskKey masks all frames: what masking protects from, a hostile proxy, is not here.
var maskKey = [4]byte{0x5a, 0x6f, 0x6e, 0x65}

func (l *Loop) sendUpgrade(c *Conn) {
	t := c.target
	c.out = wsframe.AppendRequest(c.out, t.Host, l.options.Protocol.Target(t.Path, t.Query, c.subscription), t.Token, l.options.Deflate)
	c.out = append(append(c.out[:len(c.out)-len("\r\n")], l.options.Header...), "\r\n"...)
}

func (l *Loop) handleFrames(c *Conn, p []byte) (used int, err error) {
	if c.state == opening {
		if used, err = l.readUpgrade(c, p); used == 0 || err != nil {
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
		if err := l.handleFrame(c, m, now); err != nil {
			return used, err
		}
	}
	return used, nil
}

func (l *Loop) readUpgrade(c *Conn, p []byte) (used int, err error) {
	head, n, err := http1.ParseHead(p)
	switch {
	case err != nil || n == 0:
		return 0, err
	case head.Status != 101:
		return l.readRefusal(p)
	}
	deflate, n, err := wsframe.ParseResponse(p)
	switch {
	case err != nil || n == 0:
		return 0, err
	case l.options.Deflate && !deflate:
		return 0, errDeflate
	}
	c.state = open
	if greeting := l.options.Protocol.Hello(c.subscription); greeting != nil {
		l.appendFrame(c, wsframe.Text, greeting)
	}
	return n, nil
}

// readRefusal turns a complete response other than the expected one into an error.
func (l *Loop) readRefusal(p []byte) (used int, err error) {
	r, n, err := http1.ParseResponse(p, false)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, failure.NewStatus(r.Status, r.Body)
}

func (l *Loop) handleFrame(c *Conn, m wsframe.Message, now uint64) (err error) {
	switch m.Op {
	case wsframe.Ping:
		l.appendFrame(c, wsframe.Pong, m.Payload)
	case wsframe.Close:
		code, reason := wsframe.CloseReason(m.Payload)
		if c.state != closing {
			return &CloseError{Code: code, Reason: reason}
		}
	case wsframe.Text, wsframe.Binary:
		text := m.Payload
		if m.Deflated {
			if text, err = l.inflater.Inflate(text); err != nil {
				return err
			}
		}
		l.handleMessage(c, text, now)
	}
	return nil
}

// appendFrame puts a frame into the connection's output, which Flush writes.
func (l *Loop) appendFrame(c *Conn, op wsframe.Op, p []byte) {
	if c.mode == WebSocket {
		c.out = wsframe.AppendMasked(c.out, op, maskKey, p)
	}
}

// Send sends a text message. It is written before Send returns, as far as the socket has room.
func (l *Loop) Send(c *Conn, text []byte) {
	l.appendFrame(c, wsframe.Text, text)
	l.Flush(c)
}

// Queue prepares a text message that is written with the next Send, or by Flush.
func (l *Loop) Queue(c *Conn, text []byte) { l.appendFrame(c, wsframe.Text, text) }
