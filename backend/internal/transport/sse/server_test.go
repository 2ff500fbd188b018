package sse_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
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
		gate.AddRoutes(transporttest.Routes(e), "/sse", transport.SSE, sse.New(gate, pool).Serve)
	}
	return &server{transporttest.Start(t, o), t}
}

var zone = transporttest.Zone

// A client reads a stream.
type client struct {
	t      testing.TB
	answer *http.Response
	events *transporttest.Events
}

func (s *server) get(through *http.Client, query string, header ...string) *client {
	s.t.Helper()
	answer, err := s.Get(through, "/sse?"+query, header...)
	testkit.Must(s.t, err)
	s.t.Cleanup(func() { answer.Body.Close() })
	return &client{s.t, answer, transporttest.ReadEvents(answer.Body)}
}

// open opens a stream, which must be one, and reads connected.
func (s *server) open(through *http.Client, query string, header ...string) *client {
	s.t.Helper()
	c := s.get(through, query, header...)
	if c.answer.StatusCode != http.StatusOK || c.answer.Header.Get("Content-Type") != "text/event-stream" {
		p, _ := io.ReadAll(c.answer.Body)
		s.t.Fatalf("answered %s %s: %s", c.answer.Status, c.answer.Header, p)
	}
	if e := c.next(); e.Frame.Event != wire.EventConnected || e.Name != "" || !strings.Contains(string(e.Frame.Data), `"protocol":1`) {
		s.t.Fatalf("the first event is %+v", e)
	}
	return c
}

func (c *client) close() { c.answer.Body.Close() }

func (c *client) next() transporttest.Event {
	c.t.Helper()
	e, err := c.events.Next()
	if err != nil {
		c.t.Fatalf("the stream ended: %v", err)
	}
	return e
}

// wantEnd reads up to the event close, which must have this code and be the last one.
func (c *client) wantEnd(code wire.CloseCode) {
	c.t.Helper()
	for {
		e, err := c.events.Next()
		if err != nil {
			c.t.Fatalf("the stream ended without a reason: %v", err)
		}
		if e.Name != "close" {
			continue
		}
		var why struct {
			Code   wire.CloseCode
			Reason string
		}
		if err := json.Unmarshal([]byte(e.Data), &why); err != nil || why.Code != code || why.Reason == "" {
			c.t.Errorf("closed with %s, want %d", e.Data, code)
		}
		if _, err := c.events.Next(); err != io.EOF {
			c.t.Errorf("after close: %v, want the end of the body", err)
		}
		return
	}
}
