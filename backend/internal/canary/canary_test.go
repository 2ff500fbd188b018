package canary_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/canary"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/wire"
)

// A bird is a canary with the memory broker, which can be made to refuse what is published and to
// lose what is accepted.
type bird struct {
	t             testing.TB
	metrics       *metrics.Metrics
	hub           *hub.Hub
	refuses, lose atomic.Bool
	log           logged
}

// logged is what was logged.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), part)
}

type refusing struct {
	broker.Broker
	bird *bird
}

func (r refusing) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	if r.bird.refuses.Load() {
		return broker.Receipt{}, wire.Errorf(wire.CodeUnavailable, "the broker is away")
	}
	return r.Broker.Publish(ctx, p)
}

type losing struct {
	broker.Handler
	bird *bird
}

func (l losing) Message(m *broker.Message) {
	if !l.bird.lose.Load() {
		l.Handler.Message(m)
	}
}

// often is the interval of a canary under test.
const often = 5 * time.Millisecond

// fly runs a canary until the test ends, and checks then that nothing of it is left.
func fly(t testing.TB, timeout, interval time.Duration) *bird {
	b := &bird{t: t, metrics: metrics.New("test")}
	pool := outbox.NewPool(outbox.Options{Meter: canary.ClientsOnly{Meter: b.metrics}})
	b.hub = hub.New(hub.Options{Pool: pool, Heartbeat: time.Hour})
	memory := broker.NewMemory(broker.Limits{}, canary.Handler{Clients: hub.New(hub.Options{Pool: pool}), Canary: losing{b.hub, b}})
	b.hub.Use(refusing{memory, b})
	gate := transport.NewGate(transport.Options{Hub: b.hub, Metrics: metrics.New("test"), Guard: auth.New(auth.Options{}), Node: "n", Heartbeat: time.Hour,
		MaxFrameBytes: wire.InboundFrameBytes})
	e := echo.New()
	e.GET("/*", ws.New(ws.Options{Gate: gate, Pool: pool, Transport: canary.Transport}).Serve)
	c := canary.New(canary.Options{Node: "n", Interval: interval, Timeout: timeout, Hub: b.hub, WebSocket: e,
		Metrics: b.metrics.AddCanary(canary.Results()...), Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		testkit.Eventually(t, "nothing is left", func() bool { return b.hub.Connections() == 0 && b.hub.Rooms() == 0 })
		gate.Drain(context.Background())
		testkit.Must(t, memory.Close())
		pool.Close()
	})
	return b
}

// value returns a metric of the canary.
func (b *bird) value(name, result string) float64 {
	b.t.Helper()
	families, err := b.metrics.Registry.Gather()
	testkit.Must(b.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || result != "" && m.GetLabel()[0].GetValue() != result {
				continue
			}
			if h := m.GetHistogram(); h != nil {
				return float64(h.GetSampleCount())
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	b.t.Fatalf("there is no %s %s", name, result)
	return 0
}

func (b *bird) events(result string) float64 { return b.value("zonecast_canary_events_total", result) }

// more waits for n more events with a result.
func (b *bird) more(n float64, result string) {
	b.t.Helper()
	begin := b.events(result)
	testkit.Eventually(b.t, "events: "+result, func() bool { return b.events(result) >= begin+n })
}

func TestTheCanaryMeasuresTheWayToASocket(t *testing.T) {
	b := fly(t, testkit.Patience, often)
	b.more(3, canary.Arrived)
	if n := b.value("zonecast_canary_latency_seconds", ""); n < 3 {
		t.Errorf("%v latencies were measured, want 3 at least", n)
	}
	if n := b.hub.Connections(); n != 1 {
		t.Errorf("it has %d connections, want one that stays", n)
	}
	// The writers are shared with clients, whose figures it is not in.
	if n := b.metrics.Totals(); n.Delivered != 0 || n.Latency.Count != 0 {
		t.Errorf("%d messages count as delivered to clients, %d have a latency", n.Delivered, n.Latency.Count)
	}
}

// Whoever is on call is told once that it began and once that it ended, and which part it is.
func TestTheCanarySaysWhatFailsAndWhenItIsOver(t *testing.T) {
	b := fly(t, 50*time.Millisecond, often)
	b.more(1, canary.Arrived)
	for _, tt := range []struct {
		fault  *atomic.Bool
		result string
	}{{&b.refuses, canary.Refused}, {&b.lose, canary.Lost}} {
		tt.fault.Store(true)
		b.more(3, tt.result)
		tt.fault.Store(false)
		b.more(3, canary.Arrived)
	}
	for _, said := range []string{"level=WARN", "arrives again"} {
		testkit.Eventually(t, "the log says "+said, func() bool { return b.log.count(said) >= 2 })
	}
	if b.log.count("the broker is away") == 0 {
		t.Error("the log does not say why")
	}
}

// A member that nothing comes to stays one, for that is what clients do; one that was cut off comes
// back.
func TestTheCanaryConnectsAgainWhenItWasCutOff(t *testing.T) {
	b := fly(t, testkit.Patience, often)
	b.more(1, canary.Arrived)
	first := b.hub.Sessions()[0]
	first.Queue.Hangup(wire.CloseGoingAway)
	testkit.Eventually(t, "another connection", func() bool {
		all := b.hub.Sessions()
		return len(all) == 1 && all[0] != first
	})
	b.more(2, canary.Arrived)
}

func TestNobodyElseCanNameTheCanarysRoom(t *testing.T) {
	room := canary.RoomOf("node-1")
	if _, err := wire.NewRoom(room.Warehouse, room.Zone); err == nil || !canary.Owns(room.Warehouse) {
		t.Errorf("%s is a room of clients", room)
	}
	if _, err := wire.ParseRoom(room.String()); err == nil {
		t.Errorf("%s is a room of clients", room)
	}
	if canary.Owns("warehouse-1") {
		t.Error("a warehouse of clients is the canary's")
	}
}

// BenchmarkEvent is what one event of the canary takes, from its publication to the client's end;
// there is one every CANARY_INTERVAL.
func BenchmarkEvent(b *testing.B) {
	bird := fly(b, testkit.Patience, time.Nanosecond)
	bird.more(1, canary.Arrived)
	b.ResetTimer()
	bird.more(float64(b.N), canary.Arrived)
}

// What the documents call the results of an event, the metric calls them, too.
func TestTheDocumentsNameTheResults(t *testing.T) {
	documented, err := os.ReadFile("../../../docs/metrics.md")
	testkit.Must(t, err)
	_, row, _ := strings.Cut(string(documented), "zonecast_canary_events_total")
	row, _, _ = strings.Cut(row, "\n")
	for _, result := range canary.Results() {
		if !strings.Contains(row, "`"+result+"`") {
			t.Errorf("docs/metrics.md does not say what %s is", result)
		}
	}
}
