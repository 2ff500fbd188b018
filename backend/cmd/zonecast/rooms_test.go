package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// The page of a zone says who is in it, what it keeps and where its members stand; an admin sends a
// test, once, which marks itself as one, and removes what is retained.
func TestThePageOfAZoneShowsWhatItKeepsAndSendsATest(t *testing.T) {
	s := serving(t, "--operator-password="+operatorPassword)
	client, _ := s.connectTo(t, "warehouse=w&zone=zone-c&userId=anna")
	if answer, p := s.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/zone-c/broadcast", `{"event":"NOTE","data":{"x":"<b>"},"retain":true}`); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", answer.Status, p)
	}
	const at = "/ui/warehouses/w/zones/zone-c"
	testkit.Eventually(t, "the page shows the message, and that the members have it", func() bool {
		_, page := s.act(t, http.MethodGet, at, "")
		return strings.Contains(page, "anna") && strings.Count(page, "NOTE") > 1 && strings.Contains(page, "up to date") && strings.Contains(page, "&lt;b&gt;")
	})
	if _, page := s.act(t, http.MethodGet, "/ui/test?warehouse=w&zone=zone-c", ""); !strings.Contains(page, "Send the test to 1 client") {
		t.Errorf("asked %s", page)
	}
	sent := url.Values{"warehouse": {"w"}, "zone": {"zone-c"}, "text": {"Is this seen?"}, "key": {"form-1"}, "reason": {"ticket 4711"}}
	answer, _ := s.form(t, "/ui/test", sent)
	to := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, at+"?sent=") {
		t.Fatalf("the form leads %s to %s", answer.Status, to)
	}
	again, _ := s.form(t, "/ui/test", sent)
	if to := again.Header.Get("Location"); again.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, at) {
		t.Errorf("a second time it leads %s to %s", again.Status, to)
	}
	testkit.Eventually(t, "the page says who passed it on", func() bool {
		_, page := s.act(t, http.MethodGet, to, "")
		return strings.Contains(page, "1 of 1 instance with clients of it passed it on")
	})
	got := 0
	for range 2 { // the note, and the test
		var frame struct {
			Event string
			Data  struct {
				Title string
				Test  bool
			}
		}
		testkit.Must(t, client.ReadJSON(&frame))
		if frame.Event == "ALERT" && frame.Data.Test && frame.Data.Title == "TEST: Is this seen?" {
			got++
		}
	}
	if _, newest := s.hub.Standing(wire.Room{Warehouse: "w", Zone: "zone-c"}); got != 1 || newest.N != 2 {
		t.Errorf("the client got %d tests, and the room stands at %s", got, newest)
	}
	all := s.recorded(t, audit.SendTest)
	if len(all) != 2 || all[1].Reason != "ticket 4711" || all[1].Target != "zone:w:zone-c" || all[1].Detail == "" || all[0].Detail == "" {
		t.Errorf("recorded %+v", all)
	}

	if _, page := s.act(t, http.MethodGet, "/ui/retained?warehouse=w&zone=zone-c&event=NOTE", ""); !strings.Contains(page, "Remove 1 retained message of NOTE?") {
		t.Errorf("asked %s", page)
	}
	if answer, _ := s.form(t, "/ui/retained", url.Values{"warehouse": {"w"}, "zone": {"zone-c"}, "event": {"NOTE"}}); answer.Header.Get("Location") != at {
		t.Errorf("removing is answered %s", answer.Status)
	}
	if e := s.recorded(t, audit.DeleteRetained); len(e) != 1 || e[0].Target != "zone:w:zone-c NOTE" {
		t.Errorf("recorded %+v", e)
	}
	if answer, _ := s.act(t, http.MethodGet, "/ui/retained?warehouse=w&zone=zone-c&event=NOTE", ""); answer.StatusCode != http.StatusNotFound {
		t.Errorf("it is still retained: %s", answer.Status)
	}
	if _, page := s.act(t, http.MethodGet, "/ui/warehouses/w", ""); !strings.Contains(page, `href="`+at+`"`) {
		t.Errorf("the warehouse does not name its zone: %s", page)
	}
	if answer, page := s.act(t, http.MethodGet, "/ui/warehouses/w/zones/zone-x", ""); answer.StatusCode != http.StatusNotFound || !strings.Contains(page, `href="`+at+`"`) {
		t.Errorf("an unknown zone: %s %s", answer.Status, page)
	}
	for _, values := range []url.Values{{}, {"warehouse": {"w"}, "text": {"x"}}, {"warehouse": {"w"}, "key": {"k"}}, {"warehouse": {"a b"}, "text": {"x"}, "key": {"k"}}} {
		if answer, _ := s.form(t, "/ui/test", values); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%v is answered %s", values, answer.Status)
		}
	}
}

// Who is limited to a warehouse sees no other; only its admins send to it and remove from it.
func TestThePagesOfRoomsHoldRolesAndWarehouses(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator@w1", "bob:admin@w1"})
	s.connectTo(t, "warehouse=w1&zone=a")
	s.connectTo(t, "warehouse=w2&zone=a&userId=secret")
	ann, bob := s.browser(t), s.browser(t)
	for name, b := range map[string]*browser{"ann": ann, "bob": bob} {
		b.signIn(name)
		b.header.Set("Sec-Fetch-Mode", "cors")
	}
	for path, want := range map[string]int{"/ui/warehouses/w1": http.StatusOK, "/ui/warehouses/w1/zones/a": http.StatusOK, "/ui/test?warehouse=w1": http.StatusForbidden,
		"/ui/warehouses/w2": http.StatusForbidden, "/ui/warehouses/w2/events": http.StatusForbidden, "/ui/warehouses/w2/zones/a/events": http.StatusForbidden,
		"/ui/retained?warehouse=w2&event=X": http.StatusForbidden} {
		if answer, page := ann.get(path); answer.StatusCode != want || strings.Contains(page, "secret") || strings.Contains(page, "Send a test…") {
			t.Errorf("%s is answered %s: %s", path, answer.Status, page)
		}
	}
	if _, page := ann.get("/ui/warehouses/w1"); !strings.Contains(page, "QUOTA_HISTORY_BYTES") {
		t.Error("the page of a warehouse does not show its quotas")
	}
	for _, path := range []string{"/ui/test", "/ui/retained"} {
		form := func(warehouse string) url.Values {
			return url.Values{"warehouse": {warehouse}, "text": {"x"}, "key": {"k"}, "event": {"X"}}
		}
		if answer, _ := ann.send(http.MethodPost, path, form("w1")); answer.StatusCode != http.StatusForbidden {
			t.Errorf("ann's %s is answered %s", path, answer.Status)
		}
		if answer, _ := bob.send(http.MethodPost, path, form("w2")); answer.StatusCode != http.StatusForbidden {
			t.Errorf("bob's %s elsewhere is answered %s", path, answer.Status)
		}
		if answer, _ := bob.send(http.MethodPost, path, form("w1")); answer.StatusCode != http.StatusSeeOther {
			t.Errorf("bob's %s is answered %s", path, answer.Status)
		}
	}
}
