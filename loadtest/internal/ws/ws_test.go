package ws

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

const hello = `{"event":"connected","data":{"connectionId":"c-1","rooms":[{"room":"zone:w1:a","offset":"e1-7"}],"heartbeat":30000,"node":"n1"}}`

var room = wire.Room{Warehouse: "w1", Zone: "a"}

// serve starts a server whose connections are in the hands of script, and returns its address. The connection is cut when
// script returns.
func serve(t *testing.T, script func(c *websocket.Conn)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		script(c)
	}))
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func write(c *websocket.Conn, frames ...string) {
	for _, f := range frames {
		_ = c.WriteMessage(websocket.TextMessage, []byte(f))
	}
}

// wait keeps a connection open until the client closes it.
func wait(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

func dial(t *testing.T, url string) *Conn {
	t.Helper()
	c, _, err := NewDialer("t0").Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestDialSaysWhatTheServerSaid(t *testing.T) {
	url := serve(t, func(c *websocket.Conn) { write(c, hello); wait(c) })
	c, got, err := NewDialer("t0").Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got.ConnectionID != "c-1" || got.Node != "n1" || !slices.Equal(got.Rooms, []wire.Position{{Room: "zone:w1:a", Offset: "e1-7"}}) {
		t.Errorf("connected %+v", got)
	}
}

func TestDialFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		token  string
		script func(c *websocket.Conn)
		want   string
	}{
		{"no token", "", wait, "the server answered HTTP 401 Unauthorized: no token"},
		{"another frame first", "t0", func(c *websocket.Conn) { write(c, `{"event":"heartbeat"}`); wait(c) },
			`the server does not speak Zonecast's protocol: its first frame is "heartbeat" and not "connected"`},
		{"no JSON", "t0", func(c *websocket.Conn) { write(c, `hello`); wait(c) }, "instead of the frame connected: "},
		{"data of another shape", "t0", func(c *websocket.Conn) { write(c, `{"event":"connected","data":[]}`); wait(c) },
			"the server does not speak Zonecast's protocol: the frame connected: "},
		{"the connection ends", "t0", func(*websocket.Conn) {}, "wait for the frame connected: unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := NewDialer(tt.token).Dial(t.Context(), serve(t, tt.script))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(c *websocket.Conn) { cancel(); wait(c) })
	if _, _, err := NewDialer("t0").Dial(ctx, url); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSubscribe(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  wire.Offset
		answer []string
		asked  string
		want   wire.Offset
		err    string
	}{
		{name: "from an offset", after: wire.Offset{Epoch: "e1", N: 7},
			answer: []string{`{"event":"heartbeat","data":{}}`, `{"event":"ack","id":-1,"data":{"room":"zone:w1:a","offset":"e1-9"}}`},
			asked:  `{"event":"subscribe","id":-1,"data":{"warehouse":"w1","zone":"a","offset":"e1-7"}}`,
			want:   wire.Offset{Epoch: "e1", N: 9}},
		{name: "from now on", answer: []string{`{"event":"ack","id":-1,"data":{"room":"zone:w1:a","offset":""}}`},
			asked: `{"event":"subscribe","id":-1,"data":{"warehouse":"w1","zone":"a"}}`},
		{name: "refused", answer: []string{`{"event":"error","id":-1,"data":{"code":"forbidden","message":"no"}}`},
			asked: `{"event":"subscribe","id":-1,"data":{"warehouse":"w1","zone":"a"}}`,
			err:   "the server refused subscribe with forbidden: no"},
		{name: "an event before the answer", answer: []string{`{"event":"ALERT","room":"zone:w1:a","offset":"e1-8","data":1}`},
			asked: `{"event":"subscribe","id":-1,"data":{"warehouse":"w1","zone":"a"}}`,
			err:   "the server does not speak Zonecast's protocol: an event of zone:w1:a before the answer to subscribe"},
		{name: "an answer of another shape", answer: []string{`{"event":"ack","id":-1,"data":[]}`},
			asked: `{"event":"subscribe","id":-1,"data":{"warehouse":"w1","zone":"a"}}`,
			err:   "the answer to subscribe: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan string, 1)
			c := dial(t, serve(t, func(c *websocket.Conn) {
				write(c, hello)
				_, p, _ := c.ReadMessage()
				asked <- string(p)
				write(c, tt.answer...)
				wait(c)
			}))
			got, err := c.Subscribe(t.Context(), room, tt.after)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("offset %v, error %v; want %v, %q", got, err, tt.want, tt.err)
			}
			if asked := <-asked; asked != tt.asked {
				t.Errorf("asked\n     %s\nwant %s", asked, tt.asked)
			}
		})
	}
}

func TestReadUntilTheEnd(t *testing.T) {
	long := `"` + strings.Repeat("x", 100_000) + `"`
	for _, tt := range []struct {
		name string
		end  func(c *websocket.Conn)
		want string
	}{
		{"closed", func(c *websocket.Conn) {
			bye := websocket.FormatCloseMessage(int(wire.CloseSlowConsumer), "too slow")
			_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		}, "the server closed with 4408 slow_consumer: too slow"},
		{"closed with another code", func(c *websocket.Conn) {
			bye := websocket.FormatCloseMessage(3999, "")
			_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		}, "the server closed with 3999"},
		{"cut", func(*websocket.Conn) {}, io.ErrUnexpectedEOF.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, serve(t, func(c *websocket.Conn) {
				write(c, hello, "1", long, "2")
				tt.end(c)
			}))
			var got []string
			err := c.Read(func(p []byte) { got = append(got, string(p)) })
			if err == nil || err.Error() != tt.want || !slices.Equal(got, []string{"1", long, "2"}) {
				t.Errorf("%d frames, then %v; want 3, then %s", len(got), err, tt.want)
			}
		})
	}
}

func TestSendAndClose(t *testing.T) {
	got := make(chan string, 2)
	c := dial(t, serve(t, func(c *websocket.Conn) {
		write(c, hello)
		_, p, _ := c.ReadMessage()
		got <- string(p)
		_, _, err := c.ReadMessage()
		got <- err.Error()
	}))
	if err := c.Send([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if sent, end := <-got, <-got; sent != "hi" || end != "websocket: close 1000 (normal)" {
		t.Errorf("the server received %q, %q", sent, end)
	}
}
