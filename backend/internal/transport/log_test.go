package transport_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
)

// A logFile takes lines from several goroutines.
type logFile struct {
	mu   sync.Mutex
	text []byte
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = append(f.text, p...)
	return len(p), nil
}

// lines returns those with a message.
func (f *logFile) lines(t *testing.T, message string) (lines []map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range bytes.Lines(f.text) {
		var l map[string]any
		testkit.Must(t, json.Unmarshal(line, &l))
		if l["msg"] == message {
			lines = append(lines, l)
		}
	}
	return lines
}

// A connection that was closed or refused is a line that says whose it was and why.
func TestEachConnectionThatIsClosedOrRefusedIsALine(t *testing.T) {
	file := new(logFile)
	s := transporttest.Start(t, transporttest.Options{Transport: toyName, Log: logging.New(file, "json", slog.LevelInfo),
		Limits: transport.Limits{Connections: 1},
		Routes: func(e *echo.Echo, gate *transport.Gate, pool *outbox.Pool) {
			gate.AddRoutes(transporttest.Routes(e), "/toy", toyName, newToy(gate, pool).serve)
		}})
	one := connectToy(t, s, "warehouse=w1&zone=a&userId=anna")
	answer, err := http.Get(s.URL + "/toy?warehouse=w1")
	testkit.Must(t, err)
	answer.Body.Close()
	if refused := file.lines(t, "connection refused"); len(refused) != 1 || refused[0]["reason"] != "limit_reached" || refused[0]["error"] == "" {
		t.Errorf("refused: %v", refused)
	}
	for _, session := range s.Hub.Sessions() {
		session.Queue.Close(4408, "")
	}
	one.want("close 4408")
	testkit.Eventually(t, "the end is logged", func() bool { return len(file.lines(t, "connection closed")) > 0 })
	closed := file.lines(t, "connection closed")
	l := closed[0]
	rooms, _ := l["rooms"].([]any)
	if len(closed) != 1 || l["code"] != 4408.0 || l["reason"] != "slow_consumer" || l["user"] != "anna" || l["address"] != "127.0.0.1" ||
		!slices.Equal(rooms, []any{"warehouse:w1", "zone:w1:a"}) || l["after"] == "" || l["level"] != "INFO" {
		t.Errorf("closed: %v", closed)
	}
}
