package e2e_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A browser's EventSource finds the instance that has room, through nginx, and is told to come back
// when none has: with any status but 200 it would give up. Programs get the status.
func TestPromiseEventSourceFindsRoomThroughNginx(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 2, Redis: true, Nginx: true,
		Settings: map[string]string{"MAX_CONNECTIONS": "3"}})
	ask := func(accept string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Nginx.URL+"/sse?warehouse=w", nil)
		testkit.Must(t, err)
		r.Header.Set("Accept", accept)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	for i := range 6 {
		answer := ask("text/event-stream")
		line, err := bufio.NewReader(answer.Body).ReadString('\n')
		if answer.StatusCode != http.StatusOK || err != nil || !strings.HasPrefix(line, "id: ") {
			t.Fatalf("stream %d: %s, begins with %q, %v", i, answer.Status, line, err)
		}
	}
	answer := ask("text/event-stream")
	body, err := io.ReadAll(answer.Body) // which ends
	if answer.StatusCode != http.StatusOK || err != nil || !strings.HasPrefix(string(body), "retry: ") || strings.Contains(string(body), "connected") {
		t.Errorf("where no instance has room EventSource gets %s %q, %v", answer.Status, body, err)
	}
	// What is said to a program, or of a frame, passes as it is.
	posted, err := http.Post(s.Nginx.URL+"/sse", "application/json",
		strings.NewReader(`{"event":"echo","id":7,"data":"`+strings.Repeat("x", wire.InboundFrameBytes)+`"}`))
	testkit.Must(t, err)
	defer posted.Body.Close()
	if body, _ = io.ReadAll(posted.Body); posted.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), `"event":"error"`) {
		t.Errorf("a frame that is too large gets %s %s", posted.Status, body)
	}
	if answer = ask("*/*"); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a program gets %s %v", answer.Status, answer.Header)
	}
}
