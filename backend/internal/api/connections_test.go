package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

type listing struct {
	Total       int      `json:"total"`
	Next        string   `json:"next"`
	Asked       int      `json:"nodesAsked"`
	Missing     []string `json:"nodesMissing"`
	Complete    bool     `json:"complete"`
	Connections []struct {
		ID       string   `json:"connectionId"`
		Node     string   `json:"node"`
		Via      string   `json:"transport"`
		Rooms    []string `json:"rooms"`
		Received uint64   `json:"framesReceived"`
		Bytes    uint64   `json:"bytesReceived"`
		Duration *int64   `json:"duration"`
		Queued   *int     `json:"queuedBytes"`
		Slow     *bool    `json:"slow"`
	} `json:"connections"`
}

func (s *server) list(query string) (l listing) {
	s.t.Helper()
	answer := s.get("/api/v1/connections" + query)
	p := read(s.t, answer)
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s %s", query, answer.Status, p)
	}
	if err := json.Unmarshal(p, &l); err != nil {
		s.t.Fatalf("%s: %v", p, err)
	}
	return l
}

// Operators page through the connections of an instance, each with its account.
func TestConnectionsAreListedPageByPage(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	if l := s.list(""); l.Total != 0 || l.Connections == nil || l.Asked != 1 || l.Missing == nil || !l.Complete {
		t.Errorf("of an empty instance: %+v", l)
	}
	zone := wire.Room{Warehouse: "w1", Zone: "a"}
	var ids []string
	for range 5 {
		m := s.member(zone)
		m.Received()
		m.ReceivedBytes(17)
		ids = append(ids, m.ID)
	}
	s.member(wire.Room{Warehouse: "w2"})
	slices.Sort(ids)
	l := s.list("?warehouse=w1&zone=a&limit=2&after=" + ids[0])
	if l.Total != 4 || len(l.Connections) != 2 || l.Connections[0].ID != ids[1] || l.Next != ids[2] {
		t.Errorf("the page is %+v, want those after the first of %v", l, ids)
	}
	for _, c := range l.Connections {
		if c.Node != "node-1" || c.Via != "websocket" || c.Received != 1 || c.Bytes != 17 || c.Duration == nil ||
			c.Queued == nil || c.Slow == nil || !slices.Equal(c.Rooms, []string{zone.String()}) {
			t.Errorf("account %+v", c)
		}
	}
	if l := s.list("?slow=true"); l.Total != 0 {
		t.Errorf("%d are slow", l.Total)
	}
	for _, query := range []string{"?userId=nobody", "?node=node-2"} {
		if l := s.list(query); l.Total != 0 {
			t.Errorf("%s: %d", query, l.Total)
		}
	}
}

func TestConnectionsRefuseWrongQueriesAndStrangers(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?slow=perhaps", "?zone=a", "?warehouse=%00", "?timeout=0", "?timeout=x", "?timeout=10001"} {
		if answer := s.get("/api/v1/connections" + query); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", query, answer.Status)
		}
	}
	s = startLocked(t, "a long password")
	if answer := s.get("/api/v1/connections"); answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a stranger: %s", answer.Status)
	}
	request := httptest.NewRequest(http.MethodGet, "/api/v1/connections", nil)
	request.SetBasicAuth(operator.DefaultName, "a long password")
	answer := httptest.NewRecorder()
	s.echo.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Errorf("an operator: %d %s", answer.Code, answer.Body)
	}
}

// Operators end one connection, all of a zone, or all of a user; not all of them by mistake.
func TestConnectionsAreEnded(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	zone, other := wire.Room{Warehouse: "w1", Zone: "a"}, wire.Room{Warehouse: "w1", Zone: "b"}
	one, two, three := s.member(zone), s.member(zone), s.member(other)
	end := func(path string, status, want int) {
		t.Helper()
		answer := s.do(request{method: http.MethodDelete, path: "/api/v1/connections" + path})
		var got struct{ Disconnected, NodesAnswered int }
		p := read(t, answer)
		if err := json.Unmarshal(p, &got); err != nil || answer.StatusCode != status || got.Disconnected != want {
			t.Errorf("%s: %s %s, want %d and %d connections", path, answer.Status, p, status, want)
		}
	}
	end("", http.StatusBadRequest, 0)
	end("?ban=perhaps&zone=a&warehouse=w1", http.StatusBadRequest, 0)
	end("/c-unknown", http.StatusNotFound, 0)
	end("/"+one.ID+"?ban=true", http.StatusOK, 1)
	end("?warehouse=w1&zone=a&userId=nobody", http.StatusOK, 0)
	if code := two.Queue.Code(); code != 0 {
		t.Errorf("one that was not meant: %s", code)
	}
	two.Close() // one that has gone is not there to be ended
	end("?warehouse=w1&zone=a", http.StatusOK, 1)
	end("?warehouse=w1&zone=b", http.StatusOK, 1)
	if code := one.Queue.Code(); code != wire.CloseForbidden {
		t.Errorf("banned: %s, want %s", code, wire.CloseForbidden)
	}
	if code := three.Queue.Code(); code != wire.CloseRestart {
		t.Errorf("ended: %s, want %s", code, wire.CloseRestart)
	}

	s = startLocked(t, "a long password")
	for _, path := range []string{"?warehouse=w1", "/c-1"} {
		if answer := s.do(request{method: http.MethodDelete, path: "/api/v1/connections" + path}); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("a stranger at %s: %s", path, answer.Status)
		}
	}
}

func TestTheLogSaysWhichOperatorEndedWhat(t *testing.T) {
	s := startLocked(t, "a long password")
	r := httptest.NewRequest(http.MethodDelete, "/api/v1/connections?warehouse=w1", nil)
	r.SetBasicAuth(operator.DefaultName, "a long password")
	s.echo.ServeHTTP(httptest.NewRecorder(), r)
	for _, part := range []string{"who=operator", "action=disconnect", `target="/api/v1/connections?warehouse=w1"`, "result=done", "address=192.0.2.1"} {
		if !strings.Contains(s.log.String(), part) {
			t.Errorf("%s does not mention %s", s.log, part)
		}
	}
}
