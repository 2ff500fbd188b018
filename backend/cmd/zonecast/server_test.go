package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// serving starts the program's server with these flags, on a free port, and ends it with the test.
func serving(t *testing.T, flags ...string) *server {
	t.Helper()
	var p program
	command, err := kong.Must(&p).Parse(append([]string{"--listen=127.0.0.1:0", "--drain-timeout=100ms", "--log-level=error"}, flags...))
	if err != nil || command.Command() != "serve" {
		t.Fatal(err)
	}
	s, err := start(t.Context(), &p.Serve.Config)
	testkit.Must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	t.Cleanup(func() {
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

func TestUpgradesAreCountedAsSuch(t *testing.T) {
	s := serving(t)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws", nil)
	testkit.Must(t, err)
	defer conn.Close()
	s.ask(t, http.MethodGet, "/ws")
	testkit.Eventually(t, "the upgrade is counted as 101, the other request as 426", func() bool {
		metrics := s.scrape(t)
		return metrics[`zonecast_http_requests_total{code="101",method="GET",route="/ws"}`] == 1 &&
			metrics[`zonecast_http_requests_total{code="426",method="GET",route="/ws"}`] == 1
	})
}
