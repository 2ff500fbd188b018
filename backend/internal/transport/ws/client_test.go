package ws_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

// A client is at the other end of a connection and reads all that comes.
type client struct {
	t    testing.TB
	conn *websocket.Conn
	done chan struct{} // closed when reading has ended, with err

	mu     sync.Mutex
	texts  []string
	frames []wire.ServerFrame
	err    error
}

// dial connects with this query and waits for connected.
func (s *server) dial(query string) *client {
	s.t.Helper()
	c := s.dialWith(query, nil)
	c.wait("connected", func(f wire.ServerFrame) bool { return f.Event == wire.EventConnected })
	return c
}

// dialWith connects with this query and header; what comes first may be anything.
func (s *server) dialWith(query string, header http.Header) *client {
	s.t.Helper()
	conn, answer, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws?"+query, header)
	if err != nil {
		detail := ""
		if answer != nil {
			p, _ := io.ReadAll(answer.Body)
			detail = answer.Status + " " + string(p)
		}
		s.t.Fatalf("dial: %v %s", err, detail)
	}
	c := &client{t: s.t, conn: conn, done: make(chan struct{})}
	go c.read()
	s.t.Cleanup(c.hangUp)
	return c
}

// hangUp ends the connection without a word.
func (c *client) hangUp() {
	c.conn.Close()
	<-c.done
}

func (c *client) read() {
	defer close(c.done)
	defer c.conn.Close()
	for {
		kind, p, err := c.conn.ReadMessage()
		var f wire.ServerFrame
		if err == nil && kind != websocket.TextMessage {
			err = fmt.Errorf("a frame of kind %d", kind)
		}
		if err == nil {
			f, err = wire.DecodeServer(p)
		}
		c.mu.Lock()
		if c.err = err; err == nil {
			c.texts, c.frames = append(c.texts, string(p)), append(c.frames, f)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// seen returns all frames so far.
func (c *client) seen() []wire.ServerFrame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// of returns the frames of this event so far.
func (c *client) of(event string) []wire.ServerFrame {
	return slices.DeleteFunc(c.seen(), func(f wire.ServerFrame) bool { return f.Event != event })
}

// wait waits for the first frame that is the wanted one.
func (c *client) wait(what string, is func(wire.ServerFrame) bool) (found wire.ServerFrame) {
	c.t.Helper()
	_, found = c.find(what, is)
	return found
}

func (c *client) find(what string, is func(wire.ServerFrame) bool) (text string, found wire.ServerFrame) {
	c.t.Helper()
	looked := 0
	eventually(c.t, what+" arrives", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for ; looked < len(c.frames); looked++ {
			if is(c.frames[looked]) {
				text, found = c.texts[looked], c.frames[looked]
				return true
			}
		}
		if c.err != nil {
			c.t.Fatalf("the connection ended before %s: %v; %d frames: %q", what, c.err, len(c.texts), c.texts)
		}
		return false
	})
	return text, found
}

// send sends a text frame. A connection that the server has ended takes none.
func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Logf("send %.80q: %v", text, err)
	}
}

// ask sends a request and returns the answer with its id.
func (c *client) ask(event string, id int64, data string) wire.ServerFrame {
	c.t.Helper()
	c.send(fmt.Sprintf(`{"event":%q,"id":%d,"data":%s}`, event, id, data))
	return c.wait(fmt.Sprintf("the answer to %s %d", event, id), func(f wire.ServerFrame) bool {
		return f.ID == id && (f.Event == wire.EventAck || f.Event == wire.EventError)
	})
}

// acked sends a request that must be granted and decodes the data of its ack into T.
func acked[T any](c *client, event string, id int64, data string) (v T) {
	c.t.Helper()
	f := c.ask(event, id, data)
	if f.Event != wire.EventAck {
		c.t.Fatalf("%s %s: %s %s", event, data, f.Event, f.Data)
	}
	return decode[T](c.t, f.Data)
}

func decode[T any](t testing.TB, p []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(p)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return v
}

// wantAlive fails unless the connection still answers.
func (c *client) wantAlive() {
	c.t.Helper()
	c.mu.Lock()
	id := int64(1_000_000 + len(c.frames))
	c.mu.Unlock()
	if f := c.ask(wire.EventEcho, id, `"alive"`); string(f.Data) != `"alive"` {
		c.t.Fatalf("echo: %s %s", f.Event, f.Data)
	}
}

// wantClosed waits for the end, which must be the server's close frame with this code.
func (c *client) wantClosed(code wire.CloseCode) {
	c.t.Helper()
	eventually(c.t, "the connection ends", func() bool {
		select {
		case <-c.done:
			return true
		default:
			return false
		}
	})
	var closed *websocket.CloseError
	if !errors.As(c.err, &closed) || closed.Code != int(code) {
		c.t.Errorf("the connection ended with %v, want %d %s", c.err, code, code)
	} else if closed.Text == "" {
		c.t.Errorf("the close frame with %s gives no reason", code)
	}
}
