package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/walls"
)

// A pairingSaid is what a screen is told.
type pairingSaid struct {
	Code, Ticket, Address, Token string
	QR                           *struct{ Size int }
	RenewAfter, Interval         int64
	Name, Warehouse              string
	Zones                        []string
}

// come is what a screen does every few seconds.
func (s *server) come(t *testing.T, ticket string) (said pairingSaid) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"ticket": ticket, "name": "TV", "place": "w/a"})
	testkit.Must(t, err)
	answer, p := s.ask(t, http.MethodPost, "/api/v1/pairings", string(body))
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %s", answer.Status, p)
	}
	testkit.Must(t, json.Unmarshal(p, &said))
	return said
}

// A screen opens a code at one instance, an operator of another confirms it, and a third gives the
// token; what ends it ends it at all of them.
func TestAScreenIsPairedAndUnpairedOverInstances(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	flags := []string{"--redis-url=" + redis.URL, "--operator-password=" + operatorPassword, "--auth-token-secret=" + tokenSecret}
	a, b, c := serving(t, append(flags, "--node-name=a")...), serving(t, append(flags, "--node-name=b")...), serving(t, append(flags, "--node-name=c")...)
	awaitCluster(t, b, 3)
	opened := a.come(t, "")
	if opened.Token != "" || opened.QR == nil || opened.Address != a.url()+"/ui/screens" || opened.Interval == 0 {
		t.Fatalf("opened: %+v", opened)
	}
	if again := c.come(t, opened.Ticket); again.Code != opened.Code || again.QR != nil {
		t.Errorf("at another instance: %+v", again)
	}
	answer, body := b.act(t, http.MethodPost, "/api/v1/pairings/"+opened.Code, `{"name":"Dock 3","warehouse":"w","zones":["a"]}`)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("confirmed: %s %s", answer.Status, body)
	}
	paired := c.come(t, opened.Ticket)
	if paired.Token == "" || paired.Name != "Dock 3" || paired.Warehouse != "w" || len(paired.Zones) != 1 || paired.RenewAfter == 0 {
		t.Fatalf("paired: %+v", paired)
	}
	bearer := []string{"Authorization", "Bearer " + paired.Token}
	answer, body = b.act(t, http.MethodPost, "/api/v1/pairings/renew", "", bearer...)
	var renewed pairingSaid
	if testkit.Must(t, json.Unmarshal([]byte(body), &renewed)); answer.StatusCode != http.StatusOK || renewed.Token == "" {
		t.Fatalf("renewed: %s %s", answer.Status, body)
	}
	if answer, body := c.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E","data":1}`, bearer...); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a screen publishes: %s %s", answer.Status, body)
	}
	if answer, body := a.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/screens", checkInBody(""), bearer...); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("checks in: %s %s", answer.Status, body)
	}
	_, body = b.act(t, http.MethodGet, "/api/v1/screens", "")
	var page walls.Page
	if testkit.Must(t, json.Unmarshal([]byte(body), &page)); len(page.Walls) != 1 || !strings.HasPrefix(page.Walls[0].TokenID, "screen-") {
		t.Fatalf("listed: %s", body)
	}
	if answer, body := b.act(t, http.MethodPost, "/api/v1/screens/"+wallID, `{"do":"unpair"}`); answer.StatusCode != http.StatusOK {
		t.Fatalf("unpaired: %s %s", answer.Status, body)
	}
	for _, s := range []*server{a, b, c} {
		for _, token := range []string{paired.Token, renewed.Token} {
			if answer, body := s.act(t, http.MethodPost, "/api/v1/pairings/renew", "", "Authorization", "Bearer "+token); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("renewed after it was unpaired: %s %s", answer.Status, body)
			}
		}
	}
	id := page.Walls[0].TokenID
	if e := b.recorded(t, audit.Pair); len(e) != 1 || e[0].Target != "screen Dock 3 of w" || e[0].Detail != "token "+id+", asked for from 127.0.0.1" {
		t.Errorf("recorded: %+v", e)
	}
	if e := b.recorded(t, audit.Screen); len(e) != 1 || !strings.HasPrefix(e[0].Detail, "unpair token "+id+", r-") {
		t.Errorf("recorded: %+v", e)
	}
	figures := c.scrape(t)
	for result, want := range map[string]float64{"fetched": 1, "refused": 2, "opened": 0} {
		if got := figures[`zonecast_screen_pairings_total{result="`+result+`"}`]; got != want {
			t.Errorf("%s: counted %v, want %v", result, got, want)
		}
	}
}

// Only operators confirm, for their warehouses alone; what is refused leaves the code open, and the
// form what was typed.
func TestOnlyOperatorsOfAWarehousePairItsScreens(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator@w", "bob:viewer", "cat:admin"}, "--auth-token-secret="+tokenSecret)
	opened := s.come(t, "")
	if answer, body := s.ask(t, http.MethodPost, "/api/v1/pairings/"+opened.Code, `{"name":"n","warehouse":"w"}`); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger: %s %s", answer.Status, body)
	}
	form := func(code, warehouse string) url.Values {
		return url.Values{"code": {code}, "name": {"Dock <3>"}, "warehouse": {warehouse}, "zones": {"a, b"}}
	}
	for _, tt := range []struct {
		name  string
		sees  bool
		give  url.Values
		want  int
		shows string
	}{
		{"bob", false, form(opened.Code, "w"), 403, "needs the role operator"},
		{"ann", true, form(opened.Code, "v"), 403, "Dock &lt;3&gt;"},
		{"ann", true, form("ZZZZ-ZZZZ", "w"), 400, "no screen shows the code ZZZZ-ZZZZ"},
		{"cat", true, form(opened.Code, "*"), 400, "a, b"},
		{"ann", true, form(opened.Code, "w"), 303, ""},
	} {
		b := s.browser(t)
		b.signIn(tt.name)
		b.header.Set("Sec-Fetch-Mode", "cors")
		_, page := b.get("/ui/screens?code=" + opened.Code)
		if sees := strings.Contains(page, "asked for from 127.0.0.1") && strings.Contains(page, "Pair it"); sees != tt.sees {
			t.Errorf("%s sees the screen that shows the code: %v", tt.name, sees)
		}
		if tt.want != 303 && s.come(t, opened.Ticket).Token != "" {
			t.Fatalf("%s has paired it already", tt.name)
		}
		answer, body := b.send(http.MethodPost, "/ui/screens/pair", tt.give)
		if answer.StatusCode != tt.want || !strings.Contains(body, tt.shows) {
			t.Errorf("%s %v: %s %s", tt.name, tt.give, answer.Status, body)
		}
	}
	if got := s.come(t, opened.Ticket); got.Token == "" || got.Warehouse != "w" || len(got.Zones) != 2 {
		t.Errorf("paired: %+v", got)
	}
}

// A screen whose token is one of its address is not unpaired, and what a screen says of itself is
// checked.
func TestWhatAScreenSaysIsCheckedBeforeItIsPaired(t *testing.T) {
	s := serving(t, "--auth-token-secret="+tokenSecret, "--operator-password="+operatorPassword)
	for _, body := range []string{`[]`, `{"ticket":1}`, `{"place":"w/a/b c"}`, `{"place":"*"}`, `{"name":"` + strings.Repeat("x", 65) + `"}`, `{"name":"a\u0000"}`, `{"other":1}`} {
		if answer, p := s.ask(t, http.MethodPost, "/api/v1/pairings", body); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", body, answer.Status, p)
		}
	}
	token := []string{"Authorization", "Bearer " + tokenFor(t, "anna")}
	if answer, body := s.act(t, http.MethodPost, "/api/v1/pairings/renew", "", token...); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a client's token is renewed: %s %s", answer.Status, body)
	}
	if answer, body := s.act(t, http.MethodPost, "/api/v1/warehouses/w/screens", checkInBody(""), token...); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %s", answer.Status, body)
	}
	if answer, body := s.act(t, http.MethodPost, "/api/v1/screens/"+wallID, `{"do":"unpair"}`); answer.StatusCode != http.StatusConflict || !strings.Contains(body, "was not paired") {
		t.Errorf("unpaired: %s %s", answer.Status, body)
	}
}

// Where no screen can be paired it is said why, to the screen and to operators, in one sentence.
func TestPairingSaysWhyItIsNotPossible(t *testing.T) {
	publicKey, _, _ := testkit.NewAuthority(t).IssueFiles(t, t.TempDir())
	password := "--operator-password=" + operatorPassword
	for _, tt := range []struct {
		flags []string
		want  string
		shown bool // to operators
	}{
		{[]string{password}, "screens need no token here", false},
		{[]string{password, "--auth-public-key-file=" + publicKey}, "by public keys alone", true},
		{[]string{"--auth-token-secret=" + tokenSecret}, "who could pair a screen", false},
	} {
		s := serving(t, tt.flags...)
		if answer, body := s.ask(t, http.MethodPost, "/api/v1/pairings", `{}`); answer.StatusCode != http.StatusConflict || !strings.Contains(string(body), tt.want) {
			t.Errorf("%v: %s %s", tt.flags, answer.Status, body)
		}
		if _, page := s.ask(t, http.MethodGet, "/screen/w/a"); strings.Contains(string(page), "data-pairing") {
			t.Errorf("%v: the page of a screen says that it can be paired", tt.flags)
		}
		if _, page := s.act(t, http.MethodGet, "/ui/screens", ""); strings.Contains(page, tt.want) != tt.shown {
			t.Errorf("%v: operators are told so: %v", tt.flags, !tt.shown)
		}
	}
}
