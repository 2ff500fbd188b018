package sse_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/wire"
)

// patience bounds every wait. Nothing waits that long when all is well.
const patience = 20 * time.Second

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// A server is the transport on a real socket, with the real hub and the memory broker behind it.
type server struct {
	t       testing.TB
	gate    *transport.Gate
	hub     *hub.Hub
	broker  *fragile
	metrics *metrics.Metrics
	url     string
}

// fragile is the memory broker, which can be made to refuse subscriptions.
type fragile struct {
	*broker.Memory
	broken atomic.Bool
}

func (f *fragile) Subscribe(ctx context.Context, room wire.Room) (broker.Snapshot, error) {
	if f.broken.Load() {
		return broker.Snapshot{}, &wire.Error{Code: wire.CodeUnavailable, Message: "the broker is away", RetryAfter: 1000}
	}
	return f.Memory.Subscribe(ctx, room)
}

// options that differ from the defaults; zero values are the defaults.
type options struct {
	heartbeat time.Duration
	queued    int
	guard     auth.Options
	limits    transport.Limits
	origins   []string
}

// frameLimit is the most bytes that these servers take in one frame.
const frameLimit = 8 << 10

// start starts a server whose end is checked: no connection, no room and no goroutine is left.
func start(t testing.TB, o options) *server {
	t.Helper()
	before := runtime.NumGoroutine()
	o.heartbeat = cmp.Or(o.heartbeat, time.Hour)
	o.limits.Connections = cmp.Or(o.limits.Connections, 1000)
	s := &server{t: t, metrics: metrics.New("test", transport.Names()...)}
	pool := outbox.NewPool(outbox.Options{MaxBytes: o.queued, Meter: s.metrics, CloseGrace: time.Second})
	s.hub = hub.New(hub.Options{Pool: pool, Heartbeat: o.heartbeat, OnGap: s.metrics.Gaps.Inc})
	s.broker = &fragile{Memory: broker.NewMemory(broker.Limits{Messages: 100_000, Bytes: 1 << 30}, s.hub)}
	s.hub.Use(s.broker)
	log := slog.New(slog.DiscardHandler)
	s.gate = transport.NewGate(transport.Options{Hub: s.hub, Metrics: s.metrics, Log: log, Node: "node-1",
		Heartbeat: o.heartbeat, MaxFrameBytes: frameLimit, Guard: auth.New(o.guard), Limits: o.limits, Origins: o.origins})
	e := echo.New()
	e.HTTPErrorHandler = api.Problem(log)
	e.GET("/sse", sse.New(s.gate, pool).Serve, s.gate.CrossOrigin)
	e.POST("/sse", s.gate.Act(transport.SSE), s.gate.CrossOrigin)
	e.OPTIONS("/sse", transport.Preflight, s.gate.CrossOrigin)
	web := httptest.NewUnstartedServer(e)
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetHTTP1(true)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	s.url = web.URL

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.hub.Run(ctx) })
	t.Cleanup(func() {
		over, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		s.gate.Drain(over)
		if n, rooms := s.hub.Connections(), s.hub.Rooms(); n != 0 || rooms != 0 || s.gate.Connections(transport.SSE) != 0 {
			t.Errorf("%d connections and %d rooms are left", n, rooms)
		}
		web.Close()
		stop()
		running.Wait()
		pool.Close()
		http.DefaultClient.CloseIdleConnections()
		two.CloseIdleConnections()
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

var zone = wire.Room{Warehouse: "w1", Zone: "a"}

// publish publishes to a room as a service does, past the transport.
func (s *server) publish(room wire.Room, event, data string) wire.Offset {
	s.t.Helper()
	return s.send(broker.Publication{Room: room, Event: event, Data: json.RawMessage(data)})
}

func (s *server) send(p broker.Publication) wire.Offset {
	s.t.Helper()
	receipt, err := s.hub.Publish(context.Background(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt.Offset
}

// counter returns the sum of a metric over the label values that match; a match reads "label=value".
func (s *server) counter(name string, match ...string) (sum float64) {
	s.t.Helper()
	families, err := s.metrics.Registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			if !slices.ContainsFunc(match, func(w string) bool { return !slices.Contains(labels, w) }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// wantClosed waits until so many connections were counted as closed with this code.
func (s *server) wantClosed(code wire.CloseCode, n float64) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%v connections are counted as closed with %s", n, code), func() bool {
		return s.counter("zonecast_connections_closed_total", "transport=sse", "code="+code.String()) == n
	})
}

// two speaks HTTP/2 without TLS, as a proxy does to the server.
var two = func() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}()

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

// over are the ways to a stream, by name.
var over = map[string]*http.Client{"HTTP1.1": http.DefaultClient, "HTTP2": two}

func (s *server) get(through *http.Client, query string, header ...string) *client {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/sse?"+query, nil)
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
