package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Collecting asks Redis nothing: with one that is frozen, and while the instance leaves, a scrape
// answers in less than a second, where a command to Redis waits for three.
func TestAScrapeWaitsForNobody(t *testing.T) {
	t.Parallel()
	redis := stacktest.Redis(t, stack.Single).Redis
	s := serving(t, "--redis-url="+redis.URL)
	s.connectTo(t, "warehouse=w&zone=a")
	s.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E","data":1}`)
	pid := redis.PID()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	answers := func(when string) {
		t.Helper()
		least := time.Hour
		for range 5 { // the least, since other work on this machine is nobody's fault
			began := time.Now()
			if s.scrape(t)["zonecast_cluster_nodes"] == 0 {
				t.Errorf("%s: a scrape lacks what instances there are", when)
			}
			least = min(least, time.Since(began))
		}
		if least >= time.Second {
			t.Errorf("%s: a scrape takes %v", when, least)
		}
	}
	answers("when Redis has just stopped to answer")
	testkit.Eventually(t, "Redis is found to be away", func() bool { return s.scrape(t)[`zonecast_broker_up{broker="redis"}`] == 0 })
	answers("while Redis is away")
	s.readiness.Leave()
	s.gate.Drain(context.Background())
	answers("while the instance leaves")
}

// A noSink is a connection that takes everything.
type noSink struct{}

func (noSink) Write(p []byte) (int, error)    { return len(p), nil }
func (noSink) TryWrite(p []byte) (int, error) { return len(p), nil }
func (noSink) SetDeadline(time.Time) error    { return nil }
func (noSink) Close() error                   { return nil }

// BenchmarkScrape is what /metrics costs with 10,000 connections in 100 zones.
func BenchmarkScrape(b *testing.B) {
	s := benchServer(b)
	form := &outbox.Encoding{Transport: "websocket", Append: func(dst []byte, f *outbox.Frame) []byte { return append(dst, f.JSON...) },
		Closing: func(wire.CloseCode, string) []byte { return nil }}
	for i := range 10_000 {
		session := s.hub.Open(fmt.Sprint("c-", i), "", s.pool.NewQueue(noSink{}, form, nil), nil)
		room, err := wire.NewRoom("w", fmt.Sprint("zone-", i%100))
		testkit.Must(b, err)
		testkit.Must(b, session.Join(b.Context(), []hub.Join{{Room: room}}, func(wire.Cursor) {}))
	}
	for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0"} {
		b.Run(accept[:strings.IndexByte(accept+";", ';')], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				s.metrics.Handler().ServeHTTP(w, r) // a new one has its budget
				b.ReportMetric(float64(w.Body.Len())/1024, "KiB")
			}
		})
	}
}

func benchServer(b *testing.B) *server {
	b.Helper()
	var p program
	_, err := config.Parse(&p, []string{"--listen=127.0.0.1:0", "--log-level=error", "--canary-interval=0s"})
	testkit.Must(b, err)
	s, err := start(b.Context(), &p.Serve.Config, nil)
	testkit.Must(b, err)
	return s
}
