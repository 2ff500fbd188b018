package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// serving starts the program's server with these flags, on a free port, and ends it with the test.
func serving(t *testing.T, flags ...string) *server {
	t.Helper()
	var p program
	args := append([]string{"--listen=127.0.0.1:0", "--drain-delay=0s", "--drain-timeout=500ms", "--canary-interval=0s"}, flags...)
	if !slices.ContainsFunc(flags, func(f string) bool { return strings.HasPrefix(f, "--settings-file=") }) { // which says it itself
		args = append(args, "--log-level=error")
	}
	command, err := config.Parse(&p, args)
	if err != nil || command.Command() != "serve" {
		t.Fatal(err)
	}
	s, err := start(t.Context(), &p.Serve.Config, newReader(args))
	testkit.Must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // or the server waits for them
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request, maybe with JSON, without following redirects.
func (s *server) ask(t *testing.T, method, path string, json ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(strings.Join(json, "")))
	testkit.Must(t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer, body
}

// dial opens a WebSocket connection.
func (s *server) dial() (*websocket.Conn, *http.Response, error) {
	return websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws", nil)
}

// Probes, caches and curl -I ask for the header alone (RFC 9110 section 9.3.2).
func TestHeadAnswersWhatGetDoes(t *testing.T) {
	s := serving(t)
	for _, path := range []string{"/", "/ui", "/ui/", "/ui/nothing", "/screen", "/screen/", "/screen/w1/a", "/screen/w1", "/assets/nothing",
		"/health/websocket/metrics", "/api/v1/connections", "/livez", "/readyz", "/metrics"} {
		get, _ := s.ask(t, http.MethodGet, path)
		head, body := s.ask(t, http.MethodHead, path)
		if head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || len(body) > 0 {
			t.Errorf("%s: HEAD answers %s %s with %d bytes, GET %s %s", path, head.Status, head.Header.Get("Content-Type"), len(body),
				get.Status, get.Header.Get("Content-Type"))
		}
	}
	if head, _ := s.ask(t, http.MethodHead, "/ui/events"); head.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD of the dashboard's stream: %s %v", head.Status, head.Header)
	}
}

func TestRefusalsAreToldAndCounted(t *testing.T) {
	limited := serving(t, "--max-connections=1")
	conn, _, err := limited.dial()
	testkit.Must(t, err)
	defer conn.Close()
	_, answer, err := limited.dial()
	if err == nil || answer == nil {
		t.Fatalf("one connection too many: %v, %v", answer, err)
	}
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one connection too many: %v, %v; want 503 with Retry-After", answer, err)
	}
	if n := limited.scrape(t)[`zonecast_connections_refused_total{reason="limit_reached"}`]; n != 1 {
		t.Errorf("the refused connection is counted %v times", n)
	}

	guarded := serving(t, "--auth-token-secret="+strings.Repeat("x", 32))
	answer, _ = guarded.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E"}`)
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("published without a key: %s", answer.Status)
	}
	stranger, _, err := guarded.dial()
	testkit.Must(t, err)
	defer stranger.Close()
	for err == nil {
		_, _, err = stranger.ReadMessage()
	}
	if !websocket.IsCloseError(err, int(wire.CloseUnauthenticated)) {
		t.Errorf("without a token: closed with %v, want %d", err, wire.CloseUnauthenticated)
	}
	testkit.Eventually(t, "both are counted", func() bool {
		metrics := guarded.scrape(t)
		route := "/api/v1/warehouses/:warehouse/zones/:zone/broadcast"
		return metrics[fmt.Sprintf(`zonecast_http_requests_total{code="401",method="POST",route=%q}`, route)] == 1 &&
			metrics[`zonecast_connections_closed_total{code="unauthenticated",transport="websocket"}`] == 1
	})
}

// A proxy that speaks HTTP/2 to the instances can, for every path.
func TestHTTP2(t *testing.T) {
	s := serving(t)
	defer transporttest.HTTP2.CloseIdleConnections()
	published, err := transporttest.HTTP2.Post(s.url()+"/sse", "application/json", strings.NewReader(
		`{"event":"publish","data":{"warehouse":"w","zone":"a","event":"E","data":1},"id":1}`))
	testkit.Must(t, err)
	ready, err := transporttest.HTTP2.Get(s.url() + "/readyz")
	testkit.Must(t, err)
	for _, answer := range []*http.Response{published, ready} {
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s %s", answer.Request.URL.Path, answer.Proto, answer.Status)
		}
	}
}

func TestUpgradesAreCountedAsSuch(t *testing.T) {
	s := serving(t)
	conn, _, err := s.dial()
	testkit.Must(t, err)
	defer conn.Close()
	s.ask(t, http.MethodGet, "/ws")
	testkit.Eventually(t, "the upgrade is counted as 101, the other request as 426", func() bool {
		metrics := s.scrape(t)
		return metrics[`zonecast_http_requests_total{code="101",method="GET",route="/ws"}`] == 1 &&
			metrics[`zonecast_http_requests_total{code="426",method="GET",route="/ws"}`] == 1
	})
}

// A server whose listener fails ends, with the reason.
func TestAServerThatCantServeEnds(t *testing.T) {
	var p program
	_, err := kong.Must(&p).Parse([]string{"--listen=127.0.0.1:0", "--drain-timeout=100ms", "--log-level=error"})
	testkit.Must(t, err)
	s, err := start(t.Context(), &p.Serve.Config, nil)
	testkit.Must(t, err)
	testkit.Must(t, s.listener.Close())
	ended := make(chan error, 1)
	go func() { ended <- s.run(t.Context()) }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "serve:") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("it listens nowhere and goes on")
	}
}
