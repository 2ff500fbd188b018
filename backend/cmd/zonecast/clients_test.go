package main

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// form posts what the page's form would.
func (s *server) form(t *testing.T, path string, values url.Values) (*http.Response, string) {
	t.Helper()
	return s.act(t, http.MethodPost, path, values.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// An operator finds clients, disconnects them with a reason, once, and reads afterwards who left
// and why.
func TestTheDashboardDisconnectsWhomItShows(t *testing.T) {
	s := serving(t, "--operator-password="+operatorPassword)
	_, first := s.connectTo(t, "warehouse=w&zone=zone-c&userId=anna")
	_, second := s.connectTo(t, "warehouse=w&zone=zone-c&userId=anna")
	s.connectTo(t, "warehouse=w&zone=zone-d&userId=bert")

	response, page := s.act(t, http.MethodGet, "/ui/clients?search=ANNA", "")
	if response.StatusCode != http.StatusOK || !strings.Contains(page, first) || !strings.Contains(page, second) || strings.Contains(page, "bert") {
		t.Fatalf("the list is %s %s", response.Status, page)
	}
	if _, page = s.act(t, http.MethodGet, "/ui/clients/"+first, ""); !strings.Contains(page, "127.0.0.1") || !strings.Contains(page, "zone-c") || !strings.Contains(page, "Go-http-client") {
		t.Errorf("the client's page is %s", page)
	}
	response, page = s.act(t, http.MethodGet, "/ui/disconnect?user=anna", "")
	if response.StatusCode != http.StatusOK || !strings.Contains(page, "Disconnect 2 clients?") {
		t.Fatalf("asked %s %s", response.Status, page)
	}
	sent := url.Values{"filter": {"user=anna"}, "before": {strconv.FormatInt(time.Now().UnixMilli(), 10)}, "reason": {"ticket 4711"}}
	time.Sleep(2 * time.Millisecond)
	_, later := s.connectTo(t, "warehouse=w&zone=zone-c&userId=anna") // who comes after the question is not meant
	for _, want := range []string{"/ui/clients?done=2&user=anna", "/ui/clients?done=0&user=anna"} {
		testkit.Eventually(t, "the form is answered with "+want, func() bool {
			response, _ := s.form(t, "/ui/disconnect", sent)
			return response.StatusCode == http.StatusSeeOther && response.Header.Get("Location") == want
		})
	}
	if _, page = s.act(t, http.MethodGet, "/ui/clients?user=anna", ""); !strings.Contains(page, later) || strings.Contains(page, first) {
		t.Errorf("left are %s", page)
	}
	entries := s.recorded(t, audit.Disconnect)
	if e := entries[len(entries)-1]; e.Reason != "ticket 4711" || e.Detail != "2 disconnected" || e.Target != `clients with user="anna"` {
		t.Errorf("recorded %+v", e)
	}
	testkit.Eventually(t, "both are among those that left", func() bool {
		_, page = s.act(t, http.MethodGet, "/ui/closed?search="+first, "")
		return strings.Contains(page, "disconnected by an operator")
	})
	for _, values := range []url.Values{{}, {"before": sent["before"]}, {"filter": {"user=anna"}}, {"filter": {"%zz"}, "before": sent["before"]}} {
		if response, _ := s.form(t, "/ui/disconnect", values); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%v is answered %s", values, response.Status)
		}
	}
}

// Lists can be taken along as files, in which no client's name is a formula.
func TestListsAreExported(t *testing.T) {
	s := serving(t, "--operator-password="+operatorPassword)
	_, id := s.connectTo(t, "warehouse=w&zone=zone-c&userId=%3D1%2B1")
	response, file := s.act(t, http.MethodGet, "/ui/clients.export?format=csv&warehouse=w", "")
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][0] != "connectionId" || strings.Join(rows[1][:5], " ") != id+" '=1+1 w zone-c websocket" {
		t.Errorf("%s %v %v", response.Status, rows, err)
	}
	if _, file = s.act(t, http.MethodGet, "/ui/clients.export?format=json&warehouse=w", ""); strings.Count(file, "\n") != 1 || !strings.Contains(file, `"userId":"=1+1"`) {
		t.Errorf("as JSON %s", file)
	}
	testkit.Eventually(t, "the start is among the events", func() bool {
		_, file = s.act(t, http.MethodGet, "/ui/log.export?format=csv&kind=started", "")
		return strings.HasPrefix(file, "time,kind,node,detail") && strings.Contains(file, ",started,")
	})
	if _, file = s.act(t, http.MethodGet, "/ui/log.export?format=json", ""); !strings.Contains(file, `"kind":"started"`) {
		t.Errorf("the events are %s", file)
	}
	for _, path := range []string{"/ui/clients.export?format=xls", "/ui/log.export", "/ui/clients.export?format=csv&after=x"} {
		if response, _ := s.act(t, http.MethodGet, path, ""); path != "/ui/clients.export?format=csv&after=x" && response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s is answered %s", path, response.Status)
		}
	}
}

// Who is limited to a warehouse sees and disconnects what is there alone; viewers disconnect
// nobody.
func TestThePagesOfClientsHoldRolesAndWarehouses(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator@w1", "eve:viewer"})
	_, here := s.connectTo(t, "warehouse=w1&zone=a&userId=anna")
	_, there := s.connectTo(t, "warehouse=w2&zone=a&userId=anna")
	ann, eve := s.browser(t), s.browser(t)
	for name, b := range map[string]*browser{"ann": ann, "eve": eve} {
		b.signIn(name)
		b.header.Set("Sec-Fetch-Mode", "cors")
	}
	if _, page := ann.get("/ui/clients?user=anna"); !strings.Contains(page, here) || strings.Contains(page, there) || strings.Contains(page, "w2") {
		t.Errorf("ann sees %s", page)
	}
	if answer, page := ann.get("/ui/clients/" + there); answer.StatusCode != http.StatusNotFound || strings.Contains(page, "anna") {
		t.Errorf("a client elsewhere: %s %s", answer.Status, page)
	}
	if _, file := ann.get("/ui/clients.export?format=json"); strings.Count(file, "\n") != 1 || !strings.Contains(file, here) {
		t.Errorf("the file has %s", file)
	}
	sent := url.Values{"id": {here, there}, "before": {strconv.FormatInt(time.Now().UnixMilli(), 10)}}
	if answer, _ := eve.send(http.MethodPost, "/ui/disconnect", sent); answer.StatusCode != http.StatusForbidden {
		t.Errorf("eve's form is answered %s", answer.Status)
	}
	if answer, page := eve.get("/ui/disconnect?id=" + here); answer.StatusCode != http.StatusForbidden || !strings.Contains(page, "Your role only lets you look") {
		t.Errorf("eve is asked %s", answer.Status)
	}
	if answer, _ := ann.send(http.MethodPost, "/ui/disconnect", sent); answer.Header.Get("Location") != "/ui/clients?done=1" {
		t.Errorf("ann's form leads %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	testkit.Eventually(t, "the one here is gone", func() bool {
		_, page := eve.get("/ui/closed?search=anna")
		return strings.Contains(page, here)
	})
	if _, page := eve.get("/ui/clients?user=anna"); !strings.Contains(page, there) || strings.Contains(page, here) {
		t.Errorf("eve sees %s", page)
	}
}
