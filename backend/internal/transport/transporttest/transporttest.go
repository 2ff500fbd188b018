// Package transporttest has a server for the tests of transports: a real socket, the real hub, the
// memory broker.
package transporttest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Server is a transport on a real socket, with the real hub and the memory broker behind it.
type Server struct {
	Gate      *transport.Gate
	Hub       *hub.Hub
	Broker    *Fragile
	Metrics   *metrics.Metrics
	URL       string
	Handler   http.Handler // what is at URL
	t         testing.TB
	transport string
}

// Fragile is the memory broker, which can be made to refuse subscriptions, or to take its time for
// them.
type Fragile struct {
	*broker.Memory
	Broken atomic.Bool
	Pause  atomic.Int64 // ns
}

func (f *Fragile) Subscribe(ctx context.Context, room wire.Room) (broker.Snapshot, error) {
	if f.Broken.Load() {
		return broker.Snapshot{}, &wire.Error{Code: wire.CodeUnavailable, Message: "the broker is away", RetryAfter: 1000}
	}
	time.Sleep(time.Duration(f.Pause.Load()))
	return f.Memory.Subscribe(ctx, room)
}

// Options that differ from the defaults; zero values are the defaults.
type Options struct {
	// Routes registers what is tested.
	Routes    func(*echo.Echo, *transport.Gate, *outbox.Pool)
	Heartbeat time.Duration
	Pong      time.Duration // how long it may take
	Queued    int           // bytes for one connection
	Guard     auth.Options
	Limits    transport.Limits
	Origins   []string
	Proxies   []*net.IPNet
	History   int // messages of a room
	Linger    time.Duration
	Log       *slog.Logger // default: none
	// Transport is the one whose connections are counted.
	Transport string
}

// Routes are the routes of a server without operators.
func Routes(e *echo.Echo) *access.Table {
	nobody, err := operator.New(operator.Options{})
	if err != nil {
		panic(err) // it only reads a file
	}
	return access.New(e, nobody)
}

// FrameLimit is the most bytes that these servers take in one frame.
const FrameLimit = 8 << 10

// Start starts a server whose end is checked: no connection, no room and no goroutine is left.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	before := runtime.NumGoroutine()
	o.Heartbeat = cmp.Or(o.Heartbeat, time.Hour)
	o.Limits.Connections = cmp.Or(o.Limits.Connections, 1000)
	s := &Server{t: t, transport: o.Transport, Metrics: metrics.New("test")}
	pool := outbox.NewPool(outbox.Options{MaxQueuedBytes: o.Queued, Meter: s.Metrics, CloseGrace: time.Second})
	s.Hub = hub.New(hub.Options{Pool: pool, Heartbeat: o.Heartbeat, OnGap: s.Metrics.Gaps.Inc, Linger: o.Linger})
	s.Broker = &Fragile{Memory: broker.NewMemory(broker.Limits{Messages: cmp.Or(o.History, 100_000), Bytes: 1 << 30}, s.Hub)}
	s.Hub.Use(s.Broker)
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	guard, err := auth.Open(context.Background(), o.Guard)
	testkit.Must(t, err)
	s.Gate = transport.NewGate(transport.Options{Hub: s.Hub, Metrics: s.Metrics, Log: log, Node: "node-1",
		Publisher: publishing.New(publishing.Options{Hub: s.Hub, Metrics: s.Metrics, MaxFrameBytes: FrameLimit}),
		Heartbeat: o.Heartbeat, PongTimeout: o.Pong, MaxFrameBytes: FrameLimit, Guard: guard, Limits: o.Limits, Origins: o.Origins,
		Proxies: o.Proxies})
	e := echo.New()
	e.HTTPErrorHandler = api.Problem(log)
	e.Pre(requestid.Set)
	o.Routes(e, s.Gate, pool)
	s.Handler = e
	web := httptest.NewUnstartedServer(e)
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetHTTP1(true)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	s.URL = web.URL

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Hub.Run(ctx) })
	t.Cleanup(func() {
		over, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		s.Gate.Drain(over)
		if n := s.Hub.Connections(); n != 0 || s.Gate.Connections(o.Transport) != 0 {
			t.Errorf("%d connections are left", n)
		}
		testkit.Eventually(t, "no room is left", func() bool { return s.Hub.Rooms() == 0 }) // of who was about to join, neither
		web.Close()
		guard.Close()
		stop()
		running.Wait()
		s.Hub.CloseIdleRooms()
		pool.Close()
		http.DefaultClient.CloseIdleConnections()
		HTTP2.CloseIdleConnections()
		if _, fuzzing := t.(*testing.F); !fuzzing { // the fuzzer has goroutines of its own
			testkit.NoGoroutineBeyond(t, before)
		}
	})
	return s
}

// In returns the server for a test within the one that started it.
func (s *Server) In(t testing.TB) *Server {
	within := *s
	within.t = t
	return &within
}

// Zone is the room of these tests.
var Zone = wire.Room{Warehouse: "w1", Zone: "a"}

// Publish publishes to a room as a service does, past the transport.
func (s *Server) Publish(room wire.Room, event, data string) wire.Offset {
	s.t.Helper()
	return s.Send(broker.Publication{Room: room, Event: event, Data: json.RawMessage(data)})
}

// Send publishes what the broker can be given.
func (s *Server) Send(p broker.Publication) wire.Offset {
	s.t.Helper()
	receipt, err := s.Hub.Publish(context.Background(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt.Offset
}

// Get asks for a path through a client, with these names and values in the header.
func (s *Server) Get(through *http.Client, path string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return through.Do(r)
}

// Counter returns the sum of a metric over the label values that match; a match reads
// "label=value".
func (s *Server) Counter(name string, match ...string) (sum float64) {
	s.t.Helper()
	families, err := s.Metrics.Registry.Gather()
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

// WantCount fails the test unless that is what Counter returns.
func (s *Server) WantCount(want float64, name string, match ...string) {
	s.t.Helper()
	if got := s.Counter(name, match...); got != want {
		s.t.Errorf("%s of %v is %v, want %v", name, match, got, want)
	}
}

// WantClosed waits until so many connections were counted as closed with this code.
func (s *Server) WantClosed(code wire.CloseCode, n float64) {
	s.t.Helper()
	testkit.Eventually(s.t, fmt.Sprintf("%v connections are counted as closed with %s", n, code), func() bool {
		return s.Counter("zonecast_connections_closed_total", "transport="+s.transport, "code="+code.String()) == n
	})
}

// HTTP2 speaks HTTP/2 without TLS, as a proxy does to the server.
var HTTP2 = func() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}()

// Over are the ways to a server, by name.
var Over = map[string]*http.Client{"HTTP1.1": http.DefaultClient, "HTTP2": HTTP2}

// Secret signs the tokens of these tests.
const Secret = "0123456789abcdef0123456789abcdef"

// Token returns a token with these claims, and unless they have exp, of an hour.
func Token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	if _, ok := claims["exp"]; !ok {
		claims = maps.Clone(claims)
		claims["exp"] = time.Now().Add(time.Hour).Unix()
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(Secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}
