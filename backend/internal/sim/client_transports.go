package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// What a client reads over each of the transports, as far as whole frames.

func (c *client) receiveWS() {
	if !c.head {
		_, n, err := wsframe.ParseResponse(c.buf)
		if err != nil {
			c.logf("is refused: %.60s", c.buf)
			c.leave()
			return
		}
		if n == 0 {
			return
		}
		c.head, c.buf = true, c.buf[n:]
	}
	for c.peer != nil {
		m, n, err := c.frames.Next(c.buf)
		if err != nil {
			c.w.failf("%s: broken frame: %v", c.name, err)
			c.leave()
			return
		}
		if n == 0 {
			return
		}
		payload := slices.Clone(m.Payload)
		c.buf = c.buf[n:]
		switch m.Op {
		case wsframe.Text:
			c.frame(payload)
			c.dropAtRandom()
		case wsframe.Ping:
			c.peer.send(wsframe.AppendMasked(nil, wsframe.Pong, [4]byte{}, payload))
		case wsframe.Close:
			code, reason := wsframe.CloseReason(payload)
			c.closed(code, reason)
		}
	}
}

// receiveSSE reads the head, then the chunks of the body, then their lines.
func (c *client) receiveSSE() {
	if !c.head {
		end := bytes.Index(c.buf, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(c.buf, []byte("HTTP/1.1 200")) {
			c.logf("is refused: %.30s", c.buf)
			c.leave()
			return
		}
		c.head, c.buf = true, c.buf[end+4:]
	}
	for {
		line := bytes.Index(c.buf, []byte("\r\n"))
		if line < 0 {
			break
		}
		size := 0
		if _, err := fmt.Sscanf(string(c.buf[:line]), "%x", &size); err != nil {
			c.w.failf("%s: broken chunk: %q", c.name, c.buf[:line])
			c.leave()
			return
		}
		if len(c.buf) < line+2+size+2 {
			break
		}
		c.body = append(c.body, c.buf[line+2:line+2+size]...)
		c.buf = c.buf[line+2+size+2:]
	}
	for c.peer != nil {
		line, rest, ok := bytes.Cut(c.body, []byte("\n"))
		if !ok {
			return
		}
		c.body = rest
		c.line(string(line))
	}
}

func (c *client) line(line string) {
	name, value, _ := strings.Cut(line, ": ")
	e := &c.sse
	switch name {
	case "id":
		e.id = value
	case "event":
		e.event = value
	case "data":
		e.data = append(e.data, value)
	case "":
		event, id, data := e.event, e.id, strings.Join(e.data, "\n")
		e.id, e.event, e.data = "", "", nil
		switch {
		case event == "close":
			var d struct {
				Code   int
				Reason string
			}
			c.decode(json.RawMessage(data), &d)
			c.closed(d.Code, d.Reason)
		case data != "":
			c.frame([]byte(data))
			if id != "" {
				c.moveTo(id)
			}
			c.dropAtRandom()
		}
	}
}

// moveTo takes the server's cursor, as clients over SSE and polls do.
func (c *client) moveTo(cursor string) {
	for part := range strings.SplitSeq(cursor, ",") {
		room, at, _ := strings.Cut(part, "@")
		c.at[room], c.owed[room] = strings.CutSuffix(at, owesRetained)
	}
}

func (c *client) receivePoll() {
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.buf)), nil)
	if err != nil {
		return // not all of it yet
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // of bytes
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	if answer.StatusCode != http.StatusOK {
		c.logf("is refused with %d", answer.StatusCode)
		c.leave()
		return
	}
	if c.dropAtRandom(); c.peer == nil {
		return // it never had the answer
	}
	var d struct {
		Cursor     string
		Messages   []json.RawMessage
		RetryAfter int64
	}
	c.decode(body, &d)
	c.tries = 0
	now, err := wire.ParseCursor(d.Cursor)
	if err != nil {
		c.w.failf("%s: cursor %q: %v", c.name, d.Cursor, err)
	}
	first := map[string]string{}
	for _, p := range d.Messages {
		f, err := wire.DecodeServer(p)
		if err == nil && f.Room != "" && !f.Retained && first[f.Room] == "" {
			o, _ := wire.ParseOffset(f.Offset)
			first[f.Room] = wire.Offset{Epoch: o.Epoch, N: o.N - 1}.String()
		}
	}
	for _, p := range now {
		room := p.Room.String()
		at := p.Offset.String()
		if first[room] != "" {
			at = first[room]
		}
		c.joined(room, at, c.asked[room])
	}
	for _, p := range d.Messages {
		c.frame(p)
	}
	c.moveTo(d.Cursor)
	p := c.peer
	c.peer = nil
	p.cut()
	c.away(max(time.Duration(d.RetryAfter)*time.Millisecond, time.Duration(c.rand.Int64N(int64(30*time.Millisecond)))+1))
}
