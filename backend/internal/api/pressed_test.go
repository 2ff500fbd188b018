package api_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// When the members of a room take nothing, whoever publishes to it over HTTP waits, is told then to
// come back later, and is counted; once they take it again, publishing works again.
func TestPublishingToAPressedRoomIsRefusedForAWhile(t *testing.T) {
	const members = 2
	s := startWith(t, auth.Options{}, nil, 64<<10, 50*time.Millisecond, "")
	room := wire.Room{Warehouse: "w1", Zone: "pressed"}
	var clients []net.Conn
	for range members {
		server, client := net.Pipe() // which holds nothing: what the client does not read waits in its queue
		m := s.hub.Open("", "", s.pool.NewQueue(server, lines, nil), nil)
		t.Cleanup(func() { m.Close(); m.Queue.Hangup(wire.CloseGoingAway) })
		testkit.Must(t, m.Join(t.Context(), []hub.Join{{Room: room}}, func(wire.Cursor) {}))
		clients = append(clients, client)
	}
	publish := func() *http.Response {
		return s.do(request{path: "/api/v1/warehouses/w1/zones/pressed/broadcast", body: `{"event":"E","data":"` + strings.Repeat("x", 1000) + `"}`})
	}
	accepted, answer := 0, publish()
	for ; answer.StatusCode == http.StatusOK && accepted < 1000; answer = publish() {
		accepted++
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", answer.Header.Get("Retry-After"))
	}
	wantProblem(t, answer, http.StatusTooManyRequests, wire.CodeRateLimited, "publish slower")
	for result, want := range map[string]int{"ok": accepted, string(wire.CodeRateLimited): 1} {
		if n := s.counted("zonecast_publishes_total", "result="+result, "via=http"); n != float64(want) {
			t.Errorf("%v publications are counted as %s, want %d", n, result, want)
		}
	}
	if n := s.counted("zonecast_publish_waits_total"); n != 1 {
		t.Errorf("%v publications are counted as having waited, want the one that was refused", n)
	}
	for _, h := range s.hub.Sessions() {
		if code := h.Queue.Code(); code != 0 {
			t.Errorf("a member was closed with %s", code)
		}
	}
	var reading sync.WaitGroup
	t.Cleanup(reading.Wait)
	for _, c := range clients {
		reading.Go(func() { io.Copy(io.Discard, c) })
		t.Cleanup(func() { c.Close() })
	}
	testkit.Eventually(t, "publishing works again, since the members read", func() bool {
		return publish().StatusCode == http.StatusOK
	})
}
