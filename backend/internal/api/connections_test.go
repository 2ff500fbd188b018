package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

type listing struct {
	Node        string `json:"node"`
	Total       int    `json:"total"`
	Next        string `json:"next"`
	Connections []struct {
		ID       string   `json:"connectionId"`
		Rooms    []string `json:"rooms"`
		Received uint64   `json:"framesReceived"`
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
	if l := s.list(""); l.Total != 0 || l.Connections == nil {
		t.Errorf("of an empty instance: %+v", l)
	}
	zone := wire.Room{Warehouse: "w1", Zone: "a"}
	var ids []string
	for range 5 {
		m := s.member(zone)
		m.Received()
		ids = append(ids, m.ID)
	}
	s.member(wire.Room{Warehouse: "w2"})
	slices.Sort(ids)
	var got []string
	for after, pages := "", 0; ; pages++ {
		l := s.list("?warehouse=w1&zone=a&limit=2&after=" + after)
		for _, c := range l.Connections {
			got = append(got, c.ID)
			if c.Received != 1 || c.Duration == nil || c.Queued == nil || c.Slow == nil || !slices.Equal(c.Rooms, []string{zone.String()}) {
				t.Errorf("account %+v", c)
			}
		}
		if after = l.Next; after == "" || pages == 5 {
			break
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("pages have %v, want %v", got, ids)
	}
	if l := s.list("?slow=true"); l.Total != 0 {
		t.Errorf("%d are slow", l.Total)
	}
	if l := s.list("?userId=nobody"); l.Total != 0 {
		t.Errorf("%d of nobody", l.Total)
	}
}

func TestConnectionsRefuseWrongQueriesAndStrangers(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?slow=perhaps", "?zone=a", "?warehouse=%00"} {
		if answer := s.get("/api/v1/connections" + query); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s, want 400", query, answer.Status)
		}
	}
	s = start(t, auth.Options{OperatorPassword: "a long password"}, nil)
	if answer := s.get("/api/v1/connections"); answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a stranger: %s", answer.Status)
	}
	request := httptest.NewRequest(http.MethodGet, "/api/v1/connections", nil)
	request.SetBasicAuth(auth.OperatorUser, "a long password")
	answer := httptest.NewRecorder()
	s.echo.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Errorf("an operator: %d %s", answer.Code, answer.Body)
	}
}
