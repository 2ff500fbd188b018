package ws_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
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
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// patience bounds every wait. Nothing waits that long when all is well.
const patience = 10 * time.Second

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
	*ws.Handler
	t       testing.TB
	hub     *hub.Hub
	broker  *fragile
	metrics *metrics.Metrics
	address string // host:port
}

// fragile is the memory broker, which can be made to refuse subscriptions.
type fragile struct {
	*broker.Memory
	broken atomic.Bool
}

func (f *fragile) Subscribe(ctx context.Context, room wire.Room) (broker.Snapshot, error) {
	if f.broken.Load() {
		return broker.Snapshot{}, wire.Errorf(wire.CodeUnavailable, "the broker is away")
	}
	return f.Memory.Subscribe(ctx, room)
}

// options that differ from the protocol's defaults; zero values are the defaults.
type options struct {
	heartbeat   time.Duration
	queued      int
	connections int
	guard       auth.Options
	limits      transport.Limits
	origins     []string
	deflate     int // from how many bytes on; 0 for never
}

// frameLimit is the most bytes that these servers take in one frame.
const frameLimit = 8 << 10

// start starts a server whose end is checked: no connection, no room and no goroutine is left.
func start(t testing.TB, o options) *server {
	t.Helper()
	before := runtime.NumGoroutine()
	if o.heartbeat == 0 {
		o.heartbeat = time.Hour
	}
	o.limits.Connections = cmp.Or(o.connections, 1000)
	s := &server{t: t, metrics: metrics.New("test", transport.Names()...)}
	pool := outbox.NewPool(outbox.Options{MaxBytes: o.queued, Meter: s.metrics, CloseGrace: time.Second})
	s.hub = hub.New(hub.Options{Pool: pool, Heartbeat: o.heartbeat, OnGap: s.metrics.Gaps.Inc})
	s.broker = &fragile{Memory: broker.NewMemory(broker.Limits{Messages: 100}, s.hub)}
	s.hub.Use(s.broker)
	log := slog.New(slog.DiscardHandler)
	gate := transport.NewGate(transport.Options{Hub: s.hub, Metrics: s.metrics, Log: log, Node: "node-1",
		Heartbeat: o.heartbeat, MaxFrameBytes: frameLimit, Guard: auth.New(o.guard), Limits: o.limits, Origins: o.origins})
	s.Handler = ws.New(ws.Options{Gate: gate, Pool: pool, DeflateFrom: o.deflate})
	e := echo.New()
	e.HTTPErrorHandler = api.Problem(log)
	e.GET("/ws", s.Serve)
	web := httptest.NewServer(e)
	s.address = strings.TrimPrefix(web.URL, "http://")

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.hub.Run(ctx) })
	t.Cleanup(func() {
		over, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		s.Drain(over)
		if n, rooms := s.hub.Connections(), s.hub.Rooms(); n != 0 || rooms != 0 {
			t.Errorf("%d connections and %d rooms are left", n, rooms)
		}
		web.Close()
		stop()
		running.Wait()
		pool.Close()
		if _, fuzzing := t.(*testing.F); !fuzzing { // the fuzzer has goroutines of its own
			eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
		}
	})
	return s
}

// in returns the server for a test within the one that started it.
func (s *server) in(t testing.TB) *server {
	within := *s
	within.t = t
	return &within
}

var zone = wire.Room{Warehouse: "w1", Zone: "a"}

// publish publishes to a room as a service does, past the transport.
func (s *server) publish(room wire.Room, event, data string) wire.Offset {
	s.t.Helper()
	receipt, err := s.broker.Publish(context.Background(), broker.Publication{Room: room, Event: event, Data: json.RawMessage(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt.Offset
}

// counter returns the sum of a metric over all label values that match; a match reads "label=value".
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
			if containsAll(labels, match) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func containsAll(all, wanted []string) bool {
	joined := " " + strings.Join(all, " ") + " "
	for _, w := range wanted {
		if !strings.Contains(joined, " "+w+" ") {
			return false
		}
	}
	return true
}

// wantClosed waits until so many connections were counted as closed with this code.
func (s *server) wantClosed(code wire.CloseCode, n float64) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%v connections are counted as closed with %s", n, code), func() bool {
		return s.counter("zonecast_connections_closed_total", "transport=websocket", "code="+code.String()) == n
	})
}
