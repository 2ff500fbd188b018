package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Each route of operators lets in the roles that it needs, by session as by HTTP Basic, and those
// that are limited to warehouses only where it keeps to them.
func TestEveryRouteOfOperatorsHoldsRolesAndWarehouses(t *testing.T) {
	operators := []string{"viewer:viewer", "operator:operator", "admin:admin", "viewer1:viewer@w1", "operator1:operator@w1", "admin1:admin@w1"}
	s, _ := guarded(t, operators, "--metrics-auth", "--address-rate-limit-tokens=0")
	lets := map[access.Rule]string{
		access.Viewer: "viewer operator admin", access.Operator: "operator admin", access.Admin: "admin",
		access.WarehouseViewer:   "viewer operator admin viewer1 operator1 admin1",
		access.WarehouseOperator: "operator admin operator1 admin1",
		access.WarehouseAdmin:    "admin admin1",
	}
	asked := 0
	for _, line := range operators {
		name, _, _ := strings.Cut(line, ":")
		session, basic := s.browser(t), s.browser(t)
		session.signIn(name)
		session.header.Set("Sec-Fetch-Mode", "cors")
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(name, name+"'s password")
		basic.header = r.Header
		for _, route := range s.access.Routes() {
			rule, _ := s.access.Rule(route.Method, route.Path)
			allowed, ofOperators := lets[rule]
			if !ofOperators || route.Method == http.MethodHead {
				continue
			}
			asked++
			path := strings.NewReplacer(":warehouse", "w1", ":zone", "a", ":id", "c-1", "*", "nothing").Replace(route.Path)
			want := slices.Contains(strings.Fields(allowed), name)
			for how, b := range map[string]*browser{"session": session, "basic": basic} {
				answer, _ := b.send(route.Method, path, nil)
				if got := answer.StatusCode != http.StatusForbidden && answer.StatusCode != http.StatusUnauthorized; got != want {
					t.Errorf("%s %s (%s) answers %s by %s %s", route.Method, path, rule, name, how, answer.Status)
				}
			}
		}
	}
	if asked < 12*len(operators) {
		t.Errorf("only %d were asked", asked)
	}
}

// connectTo opens a connection to a room, and returns its ID.
func (s *server) connectTo(t *testing.T, query string) (*websocket.Conn, string) {
	t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?"+query, nil)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	var first struct{ Data struct{ ConnectionID string } }
	testkit.Must(t, c.ReadJSON(&first))
	return c, first.Data.ConnectionID
}

func TestAnOperatorOfAWarehouseSeesAndEndsNothingElsewhere(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator@w1", "bob:admin@w1", "eve:viewer"})
	_, in1 := s.connectTo(t, "warehouse=w1&zone=a&userId=u")
	_, in2 := s.connectTo(t, "warehouse=w2&zone=a&userId=u")
	both, inBoth := s.connectTo(t, "warehouse=w1&userId=u")
	testkit.Must(t, both.WriteJSON(map[string]any{"event": "subscribe", "id": 1, "data": map[string]string{"warehouse": "w2"}}))
	var ack map[string]any
	testkit.Must(t, both.ReadJSON(&ack))
	ann := s.browser(t)
	ann.signIn("ann")
	ann.header.Set("Sec-Fetch-Mode", "cors")

	_, body := ann.get("/api/v1/connections?userId=u")
	var list listing
	testkit.Must(t, json.Unmarshal([]byte(body), &list))
	if got := list.ids(); list.Total != 2 || !slices.Contains(got, in1) || !slices.Contains(got, inBoth) {
		t.Errorf("listed %v of %d, want %s and %s", got, list.Total, in1, inBoth)
	}
	if strings.Contains(body, "w2") {
		t.Errorf("the list names the other warehouse: %s", body)
	}
	eve := s.browser(t)
	eve.signIn("eve")
	testkit.Eventually(t, "pages list the rooms of both warehouses, to who may see them", func() bool {
		_, overview := eve.get("/ui/")
		_, screens := eve.get("/screen/")
		return strings.Contains(overview, "w2") && strings.Contains(screens, "w2")
	})
	for _, path := range []string{"/ui/", "/screen/", "/health/websocket/metrics?rooms=all"} {
		if answer, page := ann.get(path); answer.StatusCode != http.StatusOK || strings.Contains(page, "w2") || !strings.Contains(page, "w1") {
			t.Errorf("%s shows rooms of the other warehouse: %s\n%s", path, answer.Status, page)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
		ended        int
	}{
		{http.MethodGet, "/api/v1/connections?warehouse=w2", http.StatusForbidden, 0},
		{http.MethodDelete, "/api/v1/connections?warehouse=w2", http.StatusForbidden, 0},
		{http.MethodDelete, "/api/v1/connections/" + in2, http.StatusNotFound, 0},
		{http.MethodDelete, "/api/v1/connections/" + inBoth, http.StatusNotFound, 0},
		{http.MethodDelete, "/api/v1/warehouses/w1", http.StatusForbidden, 0},
		{http.MethodPost, "/api/v1/revocations", http.StatusForbidden, 0},
		{http.MethodGet, "/api/v1/revocations", http.StatusForbidden, 0},
		{http.MethodDelete, "/api/v1/connections?userId=u", http.StatusOK, 1},
	} {
		answer, body := ann.send(c.method, c.path, nil)
		var got struct{ Disconnected int }
		_ = json.Unmarshal([]byte(body), &got)
		if answer.StatusCode != c.status || got.Disconnected != c.ended {
			t.Errorf("%s %s: %s %s, want %d and %d ended", c.method, c.path, answer.Status, body, c.status, c.ended)
		}
	}
	bob := s.browser(t)
	bob.signIn("bob")
	bob.header.Set("Sec-Fetch-Mode", "cors")
	for path, want := range map[string]int{"/api/v1/warehouses/w1": http.StatusNotFound, "/api/v1/warehouses/w2": http.StatusForbidden,
		"/api/v1/warehouses/w1/zones/a": http.StatusNotFound, "/api/v1/warehouses/w%32/zones/a": http.StatusForbidden} {
		if answer, body := bob.send(http.MethodDelete, path, nil); answer.StatusCode != want {
			t.Errorf("%s: %s %s, want %d", path, answer.Status, body, want)
		}
	}
}

// A listing is a page of connections.
type listing struct {
	Total       int
	Connections []struct{ ConnectionID string }
}

func (l listing) ids() (ids []string) {
	for _, c := range l.Connections {
		ids = append(ids, c.ConnectionID)
	}
	return ids
}

func TestGrantsAreReadAsWritten(t *testing.T) {
	for _, c := range []struct{ give, want string }{
		{"ann:x:operator@", `the warehouse ""`},
		{"ann:x:operator@w1,,w2", `the warehouse ""`},
		{"ann:x:operator@w 1", `the warehouse "w 1"`},
		{"ann:x:boss@w1", `the role "boss"`},
	} {
		file := t.TempDir() + "/operators"
		name, grant, _ := strings.Cut(c.give, ":x:")
		operatorsFile(t, file, name+":"+grant)
		var out strings.Builder
		if code := run([]string{"check", "--operators-file=" + file}, &out, &out); code != 2 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", c.give, code, &out)
		}
	}
}
