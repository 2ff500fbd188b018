package sse_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A browser's EventSource gives up for good on any status but 200: what passes is told in a stream
// that says when to come back, over both versions of HTTP. What would be refused again keeps its
// status.
func TestAnEventSourceThatIsRefusedForAWhileIsToldWhenToComeBack(t *testing.T) {
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}})
	tests := []struct {
		name     string
		query    string
		limits   transport.Limits
		broken   bool
		draining bool
		code     wire.ErrorCode // told in a stream
		least    int            // ms until it comes back; at most twice that
		close    wire.CloseCode
		status   int // of a real refusal
	}{
		{name: "full", limits: transport.Limits{Connections: 1}, code: wire.CodeUnavailable, least: 5000, close: wire.CloseRestart},
		{name: "too many of the user", limits: transport.Limits{ConnectionsPerUser: 1}, code: wire.CodeLimitReached, least: 5000, close: wire.CloseLimit},
		{name: "too many of the address", limits: transport.Limits{ConnectionsPerAddress: 1}, code: wire.CodeLimitReached, least: 5000, close: wire.CloseLimit},
		{name: "too fast", limits: transport.Limits{UserFrames: limit.Rate{Tokens: 2, Refill: 0.001}}, code: wire.CodeRateLimited, least: 30_000, close: wire.CloseLimit},
		{name: "no broker", query: "&room=zone:w1:new", broken: true, code: wire.CodeUnavailable, least: 1000, close: wire.CloseRestart},
		{name: "draining", draining: true, code: wire.CodeUnavailable, least: 1000, close: wire.CloseRestart},
		{name: "a bad room", query: "&room=nothing", status: http.StatusBadRequest},
		{name: "a forbidden room", query: "&room=warehouse:w2", status: http.StatusForbidden},
	}
	for _, tt := range tests {
		for over, through := range transporttest.Over {
			t.Run(tt.name+" over "+over, func(t *testing.T) {
				s := start(t, transporttest.Options{Limits: tt.limits, Guard: auth.Options{TokenSecret: transporttest.Secret}})
				query := "warehouse=w1&token=" + token
				s.open(through, query)
				s.Broker.Broken.Store(tt.broken)
				if tt.draining {
					go s.Gate.Drain(t.Context())
					s.WantClosed(wire.CloseRestart, 1)
				}
				c := s.get(through, query+tt.query, "Accept", "text/event-stream")
				if tt.status != 0 {
					if c.answer.StatusCode != tt.status {
						t.Errorf("answered %s, want %d", c.answer.Status, tt.status)
					}
					return
				}
				if h := c.answer.Header; c.answer.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/event-stream" ||
					h.Get("Cache-Control") != "no-store, no-transform" {
					p, _ := io.ReadAll(c.answer.Body)
					t.Fatalf("answered %s %v: %s", c.answer.Status, h, p)
				}
				e := c.next()
				ms, _ := strconv.Atoi(e.Retry)
				if e.Name != "" || e.ID != "" || e.Frame.Event != wire.EventError || !strings.Contains(e.Data, `"code":"`+string(tt.code)+`"`) ||
					!strings.Contains(e.Data, `"retryAfter":`+e.Retry+"}") || ms < tt.least || ms >= 2*tt.least {
					t.Errorf("got %+v, want %s after %d to %d ms", e, tt.code, tt.least, 2*tt.least)
				}
				c.wantEnd(tt.close)
			})
		}
	}
}

// What is told at the end of a refusal is taken back by the next stream.
func TestAStreamSetsTheReconnectTimeOfAnEventSource(t *testing.T) {
	s := start(t, transporttest.Options{})
	e := s.get(http.DefaultClient, "").next()
	if ms, _ := strconv.Atoi(e.Retry); ms < 2000 || ms >= 4000 {
		t.Errorf("connected has retry %q, want 2000 to 4000", e.Retry)
	}
}

// Polyfills that can't set a header send the last event's id in the query; it counts as the header
// does, and what was missed comes first.
func TestAPolyfillResumesByAQueryParameter(t *testing.T) {
	for _, name := range []string{"lastEventId", "lastEventID", "Last-Event-ID", "last-event-id"} {
		s := start(t, transporttest.Options{})
		first := s.Publish(zone, "TICK", "1")
		second := s.Publish(zone, "TICK", "2")
		c := s.open(http.DefaultClient, "room=zone:w1:a&cursor=zone:w1:a@"+second.String()+"&"+name+"=zone:w1:a@"+first.String())
		if e := c.next(); string(e.Frame.Data) != "2" {
			t.Errorf("%s: got %+v, want what was missed", name, e)
		}
	}
}
