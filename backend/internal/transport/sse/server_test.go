package sse_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A server has the transport under test.
type server struct {
	*transporttest.Server
	t testing.TB
}

func start(t testing.TB, o transporttest.Options) *server {
	t.Helper()
	o.Transport = transport.SSE
	o.Routes = func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
		gate.Register(e, "/sse", transport.SSE, sse.New(gate, pool).Serve)
	}
	return &server{transporttest.Start(t, o), t}
}

var zone = transporttest.Zone

// An event is one Server-Sent Event as EventSource dispatches it.
type event struct {
	name, id, data, retry string
	frame                 wire.ServerFrame // data, decoded
}

// A client reads a stream.
type client struct {
	t      testing.TB
	answer *http.Response
	in     *bufio.Reader
	id     string // of the last event, as a client keeps it for Last-Event-ID
}

func (s *server) get(through *http.Client, query string, header ...string) *client {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+"/sse?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := through.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { answer.Body.Close() })
	return &client{t: s.t, answer: answer, in: bufio.NewReader(answer.Body)}
}

// open opens a stream, which must be one, and reads connected.
func (s *server) open(through *http.Client, query string, header ...string) *client {
	s.t.Helper()
	c := s.get(through, query, header...)
	if c.answer.StatusCode != http.StatusOK || c.answer.Header.Get("Content-Type") != "text/event-stream" {
		p, _ := io.ReadAll(c.answer.Body)
		s.t.Fatalf("answered %s %s: %s", c.answer.Status, c.answer.Header, p)
	}
	if e := c.next(); e.frame.Event != wire.EventConnected || e.name != "" {
		s.t.Fatalf("the first event is %+v", e)
	}
	return c
}

func (c *client) close() { c.answer.Body.Close() }

// read reads the next event, or why there is none: io.EOF at the end of the body.
func (c *client) read() (e event, err error) {
	data, hasData := []string(nil), false
	id := c.id
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		text = strings.TrimSuffix(text, "\n")
		if text == "" {
			break
		}
		field, value, _ := strings.Cut(text, ": ")
		switch field {
		case "event":
			e.name = value
		case "id":
			id, e.id = value, value
		case "retry":
			e.retry = value
		case "data":
			data, hasData = append(data, value), true
		default:
			c.t.Errorf("a line of no field: %q", text)
		}
	}
	c.id = id
	e.data = strings.Join(data, "\n")
	if hasData && e.name != "close" {
		if e.frame, err = wire.DecodeServer([]byte(e.data)); err != nil {
			c.t.Errorf("data %q: %v", e.data, err)
		}
	}
	return e, nil
}

func (c *client) next() event {
	c.t.Helper()
	e, err := c.read()
	if err != nil {
		c.t.Fatalf("the stream ended: %v", err)
	}
	return e
}

// wantEnd reads up to the event close, which must have this code and be the last one.
func (c *client) wantEnd(code wire.CloseCode) {
	c.t.Helper()
	for {
		e, err := c.read()
		if err != nil {
			c.t.Fatalf("the stream ended without a reason: %v", err)
		}
		if e.name != "close" {
			continue
		}
		var why struct {
			Code   wire.CloseCode
			Reason string
		}
		if err := json.Unmarshal([]byte(e.data), &why); err != nil || why.Code != code || why.Reason == "" {
			c.t.Errorf("closed with %s, want %d", e.data, code)
		}
		if _, err := c.read(); err != io.EOF {
			c.t.Errorf("after close: %v, want the end of the body", err)
		}
		return
	}
}
