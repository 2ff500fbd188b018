//go:build linux

package swarm

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/zonecast/zonecast/loadtest/internal/eventstream"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

func (l *Loop) subscribe(c *Conn) {
	t := c.target
	c.out = http1.AppendRequest(c.out, &http1.Request{Method: "GET", Host: t.Host, Target: l.options.Dialect.Target(t.Path, t.Query, c.seat),
		Token: t.Token, Accept: "text/event-stream"})
}

// takeStream handles the head of the answer, and all events that p completes. What an event lacks is kept without its
// chunks, so the rest that p begins with has none.
func (l *Loop) takeStream(c *Conn, p []byte) (used int, err error) {
	text := l.text[:0]
	if c.state == opening {
		head, n, err := http1.ParseHead(p)
		switch {
		case err != nil || n == 0:
			return 0, err
		case head.Status != 200:
			return l.refused(p)
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
	read, err := l.events(c, text)
	if err != nil {
		return used, err
	}
	if len(text)-read > eventstream.MaxEvent {
		return used, &ProtocolError{"an event that is too long"}
	}
	// The caller keeps what is not used: the text of the event that is not complete takes the place of the chunks.
	left := text[read:]
	used = len(p) - len(left)
	copy(p[used:], left)
	if c.body.Ended() {
		return used, io.ErrUnexpectedEOF
	}
	return used, nil
}

// events hands on all events of a text and says how many bytes they have.
func (l *Loop) events(c *Conn, text []byte) (read int, err error) {
	now := Now()
	for c.state != closed {
		e, n := eventstream.Next(text[read:])
		if n == 0 {
			break
		}
		read += n
		switch {
		case string(e.Name) == "close":
			closed := &Closed{}
			if err := json.Unmarshal(e.Data, closed); err != nil {
				return read, &ProtocolError{fmt.Sprintf("the event close: %v", err)}
			}
			return read, closed
		case e.Data != nil:
			l.heed(c, e.Data, now)
		}
	}
	return read, nil
}
