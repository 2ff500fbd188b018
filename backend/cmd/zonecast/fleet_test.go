package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/walls"
)

const wallID = "0123abcd-0000-4000-8000-000000000000"

func checkInBody(connection string) string {
	return fmt.Sprintf(`{"id":%q,"name":"Dock 3","wall":"","build":"0a1b2c","loadedAt":1700000000000,"connectionId":%q}`, wallID, connection)
}

// heard returns what a screen is told next.
func heard(t *testing.T, c *websocket.Conn) walls.Command {
	t.Helper()
	for {
		var f struct {
			Event string
			Data  json.RawMessage
		}
		testkit.Must(t, c.ReadJSON(&f))
		if f.Event == "@screen" {
			var command walls.Command
			testkit.Must(t, json.Unmarshal(f.Data, &command))
			return command
		}
	}
}

// A screen is known at each instance and is told what operators want of it, whichever of them it is
// connected to, and whichever heard of it.
func TestAWallIsReachedAtAnyInstance(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	flags := []string{"--redis-url=" + redis.URL, "--operator-password=" + operatorPassword}
	a, b, c := serving(t, append(flags, "--node-name=a")...), serving(t, append(flags, "--node-name=b")...), serving(t, append(flags, "--node-name=c")...)
	awaitCluster(t, c, 3)
	screen, id := a.connectTo(t, "warehouse=w&zone=a")
	if answer, body := b.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/screens", checkInBody(id)); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", answer.Status, body)
	}
	_, body := c.act(t, http.MethodGet, "/api/v1/screens", "")
	var page walls.Page
	testkit.Must(t, json.Unmarshal([]byte(body), &page))
	if len(page.Walls) != 1 || page.Walls[0].Name != "Dock 3" || page.Walls[0].Zone != "a" || page.Walls[0].Node != "b" || page.Walls[0].Dark {
		t.Errorf("listed: %s", body)
	}
	for _, tt := range []struct{ give, want string }{
		{`{"do":"identify"}`, "{identify   }"},
		{`{"do":"reload"}`, "{reload   }"},
		{`{"do":"show","show":"w/b"}`, "{show w b }"},
		{`{"do":"show","show":"v?wall=dock"}`, "{show v  dock}"},
	} {
		if answer, body := c.act(t, http.MethodPost, "/api/v1/screens/"+wallID, tt.give); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", tt.give, answer.Status, body)
		}
		if got := fmt.Sprint(heard(t, screen)); got != tt.want {
			t.Errorf("%s tells the screen %s, want %s", tt.give, got, tt.want)
		}
	}
	entries := c.recorded(t, audit.Screen)
	if len(entries) != 4 || entries[0].Detail != "show v?wall=dock" || !strings.Contains(entries[0].Target, `"Dock 3" at zone:w:a`) {
		t.Errorf("recorded: %+v", entries)
	}
	screen.Close()
	testkit.Eventually(t, "a screen without a connection is not reached", func() bool {
		answer, _ := c.act(t, http.MethodPost, "/api/v1/screens/"+wallID, `{"do":"reload"}`)
		return answer.StatusCode == http.StatusConflict
	})
	for give, want := range map[string]int{`{"do":"burn"}`: 400, `{"do":"show","show":"w/"}`: 400, `[]`: 400} {
		if answer, body := c.act(t, http.MethodPost, "/api/v1/screens/"+wallID, give); answer.StatusCode != want {
			t.Errorf("%s: %s %s", give, answer.Status, body)
		}
	}
	if answer, _ := c.act(t, http.MethodPost, "/api/v1/screens/f"+wallID[1:], `{"do":"reload"}`); answer.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown screen: %s", answer.Status)
	}
}

// A screen says that it shows a room only where it may join that, and no service can pretend to be
// an operator.
func TestOnlyWhoMayJoinARoomIsAScreenOfIt(t *testing.T) {
	s := serving(t, "--auth-token-secret="+tokenSecret, "--operator-password="+operatorPassword)
	token := "Bearer " + tokenFor(t, "anna") // for w
	for path, want := range map[string]int{"/api/v1/warehouses/w/zones/a/screens": 204, "/api/v1/warehouses/v/screens": 403} {
		if answer, body := s.act(t, http.MethodPost, path, checkInBody(""), "Authorization", token); answer.StatusCode != want {
			t.Errorf("%s: %s %s", path, answer.Status, body)
		}
	}
	if answer, body := s.act(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"@screen","data":{"do":"reload"}}`, "Authorization", token); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("published: %s %s", answer.Status, body)
	}
}

// Operators of a warehouse see its screens alone, and move them nowhere else.
func TestAnOperatorOfAWarehouseHasItsScreensAlone(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator@w", "eve:operator@v", "bob:viewer"})
	screen, id := s.connectTo(t, "warehouse=w&zone=a")
	if answer, body := s.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/screens", checkInBody(id)); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", answer.Status, body)
	}
	form := func(do, show string) url.Values { return url.Values{"id": {wallID}, "do": {do}, "show": {show}} }
	for _, tt := range []struct {
		name   string
		give   url.Values
		listed bool
		want   int
	}{
		{"eve", form("identify", ""), false, 404},
		{"bob", form("identify", ""), true, 403},
		{"ann", form("show", "v"), true, 403},
		{"ann", form("show", "w"), true, 303},
	} {
		b := s.browser(t)
		b.signIn(tt.name)
		b.header.Set("Sec-Fetch-Mode", "cors")
		if _, list := b.get("/ui/screens"); strings.Contains(list, "Dock 3") != tt.listed {
			t.Errorf("%s sees it: %v", tt.name, !tt.listed)
		}
		if answer, body := b.send(http.MethodPost, "/ui/screens", tt.give); answer.StatusCode != tt.want {
			t.Errorf("%s %v: %s %s", tt.name, tt.give, answer.Status, body)
		}
	}
	if got := heard(t, screen); got.Do != walls.Show || got.Warehouse != "w" {
		t.Errorf("the screen hears first %+v", got)
	}
}
