package transport_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
)

// Who was refused, over any transport, holds what finds the line about it.
func TestARefusalHasTheSameRequestIDInTheAnswerAndTheLog(t *testing.T) {
	file := new(logFile)
	s := transporttest.Start(t, transporttest.Options{Log: logging.New(file, "json", slog.LevelInfo), Limits: transport.Limits{Connections: 1},
		Transport: transport.WebSocket, Routes: allRoutes})
	ws := "ws" + s.URL[len("http"):] + "/ws?warehouse=w"
	first, handshake, err := websocket.DefaultDialer.Dial(ws, http.Header{requestid.Header: {"first"}})
	testkit.Must(t, err)
	defer first.Close()
	if got := handshake.Header.Get(requestid.Header); got != "first" {
		t.Errorf("the handshake was answered with %q", got)
	}
	for id, path := range map[string]string{"full-ws": "/ws?warehouse=w", "full-sse": "/sse?warehouse=w", "full-poll": "/poll?warehouse=w",
		"bad-ws": "/ws?warehouse=a:b", "bad-sse": "/sse?warehouse=a:b", "bad-poll": "/poll?warehouse=a:b"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		testkit.Must(t, err)
		r.Header = http.Header{requestid.Header: {id}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		testkit.Must(t, err)
		var p struct{ RequestID string }
		if json.Unmarshal(text, &p) != nil || p.RequestID != id || answer.Header.Get(requestid.Header) != id {
			t.Errorf("%s: %s with %q, %s", path, answer.Status, answer.Header.Get(requestid.Header), text)
		}
		lines := 0
		for _, l := range file.lines(t, "connection refused") {
			if l["request_id"] == id {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%s: %d lines, want 1", id, lines)
		}
	}
}

// The line of a connection that ended, over any transport, has the id of the request that began it.
func TestAClosedConnectionIsLoggedWithTheRequestIDOfItsBeginning(t *testing.T) {
	file := new(logFile)
	s := transporttest.Start(t, transporttest.Options{Log: logging.New(file, "json", slog.LevelDebug), Transport: transport.WebSocket, Routes: allRoutes})
	c, _, err := websocket.DefaultDialer.Dial("ws"+s.URL[len("http"):]+"/ws?warehouse=w", http.Header{requestid.Header: {"a-ws"}})
	testkit.Must(t, err)
	c.Close()
	for _, path := range []string{"/sse?warehouse=w", "/poll?warehouse=w&timeout=1"} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
		testkit.Must(t, err)
		r.Header.Set(requestid.Header, "a"+path[:4])
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		leave()
		answer.Body.Close()
	}
	for _, id := range []string{"a-ws", "a/sse", "a/pol"} {
		testkit.Eventually(t, id+" is logged", func() bool {
			return slices.ContainsFunc(file.lines(t, "connection closed"), func(l map[string]any) bool { return l["request_id"] == id })
		})
	}
}
