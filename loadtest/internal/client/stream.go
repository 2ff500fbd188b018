//go:build linux

package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

func (l *Loop) sendStreamRequest(c *Conn) {
	t := c.target
	c.out = http1.AppendRequest(c.out, &http1.Request{Method: "GET", Host: t.Host, Target: l.options.Protocol.Target(t.Path, t.Query, c.subscription),
		Token: t.Token, Header: l.options.Header})
}

// handleStream handles the head of the answer, and all events that p completes. What an event lacks
// is kept without its chunks, so the rest that p begins with has none.
func (l *Loop) handleStream(c *Conn, p []byte) (used int, err error) {
	text := l.text[:0]
	if c.state == opening {
		head, n, err := http1.ParseHead(p)
		switch {
		case err != nil || n == 0:
			return 0, err
		case head.Status != 200:
			return l.readRefusal(p)
		case !strings.HasPrefix(head.ContentType, "text/event-stream"):
			return 0, &ProtocolError{fmt.Sprintf("the answer is %q, not an event stream", head.ContentType)}
		}
		c.state, c.body, used = open, http1.NewBody(head), n
	} else {
		text = append(text, c.rest...)
		used = len(c.rest)
	}
	for used < len(p) && !c.body.Ended() {
		data, n, err := c.body.Next(p[used:])
		if err != nil {
			return used, err
		}
		text = append(text, data...)
		used += n
	}
	l.text = text
	read, err := l.handleEvents(c, text)
	if err != nil {
		return used, err
	}
	if len(text)-read > maxEvent {
		return used, &ProtocolError{"the event is too long"}
	}
	// The caller keeps what is not used: an incomplete event's text takes its chunks' place.
	left := text[read:]
	used = len(p) - len(left)
	copy(p[used:], left)
	if c.body.Ended() {
		return used, io.ErrUnexpectedEOF
	}
	return used, nil
}

// handleEvents hands on all events of a text and says how many bytes they have.
func (l *Loop) handleEvents(c *Conn, text []byte) (read int, err error) {
	now := Now()
	for c.state != closed {
		e, n := nextEvent(text[read:])
		if n == 0 {
			break
		}
		read += n
		switch {
		case string(e.name) == "close":
			closed := &CloseError{}
			if err := json.Unmarshal(e.data, closed); err != nil {
				return read, &ProtocolError{fmt.Sprintf("the event close: %v", err)}
			}
			return read, closed
		case e.data != nil:
			l.handleMessage(c, e.data, now)
		}
	}
	return read, nil
}

const maxEvent = 2 << 20

// An sseEvent is one Server-Sent Event: parts of what was read, but for data of several lines.
type sseEvent struct{ name, data []byte }

// nextEvent reads the Server-Sent Event (HTML standard, section 9.2.6) that p begins with and says
// how many bytes it has: 0 when its end is not there yet. Comments, ids and retry times are passed
// over; an event without data has nil data.
func nextEvent(p []byte) (e sseEvent, n int) {
	lines := 0
	for n < len(p) {
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			return sseEvent{}, 0
		}
		line := bytes.TrimSuffix(p[n:n+end], []byte("\r"))
		n += end + 1
		if len(line) == 0 {
			return e, n
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if lines++; lines == 1 {
				e.data = value[:len(value):len(value)]
			} else {
				e.data = append(append(e.data, '\n'), value...)
			}
		case "event":
			e.name = value
		}
	}
	return sseEvent{}, 0
}
