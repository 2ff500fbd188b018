package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/canary"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The canary is in its own metrics, and in no other: neither as a connection nor as a message, a
// warehouse or a limit.
func TestTheCanaryCountsAsNobody(t *testing.T) {
	t.Parallel()
	s := serving(t, "--canary-interval=1s", "--max-connections=1", "--max-connections-per-address=1", "--max-rooms=1")
	arrived := `zonecast_canary_events_total{result="arrived"}`
	testkit.Eventually(t, "the canary arrives twice", func() bool { return s.scrape(t)[arrived] >= 2 })
	for name, value := range s.scrape(t) {
		counts := strings.HasPrefix(name, "zonecast_") && !strings.HasPrefix(name, "zonecast_canary_")
		for _, what := range []string{"connections", "deliver", "publish", "fanout", "joins", "rooms", "warehouse", "zone_", "refus", "http_requests"} {
			if limit := strings.HasPrefix(name, "zonecast_limit{") || strings.HasPrefix(name, "zonecast_quota_limit{"); counts && !limit && value != 0 && strings.Contains(name, what) {
				t.Errorf("%s is %v", name, value)
			}
		}
		if strings.Contains(name, canary.RoomOf(s.config.NodeName).Warehouse) {
			t.Errorf("%s names the canary's warehouse", name)
		}
	}
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	testkit.Must(t, err)
	if zones, _ := s.zones(r); len(zones) > 0 || len(s.kept()) > 0 || s.hub.Connections() > 0 {
		t.Errorf("zones: %v, warehouses that keep something: %v, connections: %d", zones, s.kept(), s.hub.Connections())
	}
	// The only place is a client's.
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w1", nil)
	testkit.Must(t, err)
	testkit.Must(t, c.Close())
}

// Nobody can join the canary's room nor publish to it, whichever way they come.
func TestStrangersCanNeitherHearNorBeTheCanary(t *testing.T) {
	t.Parallel()
	s := serving(t, "--canary-interval=1s")
	name := canary.RoomOf(s.config.NodeName).Warehouse
	body := `{"event":"CANARY","data":"x"}`
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/v1/warehouses/" + name + "/broadcast", body},
		{http.MethodGet, "/poll?warehouse=" + name, ""},
		{http.MethodGet, "/sse?room=warehouse:" + name, ""},
		{http.MethodGet, "/api/v1/warehouses/" + name + "/retained", ""},
		{http.MethodDelete, "/api/v1/warehouses/" + name, ""},
	} {
		if answer, said := s.ask(t, r.method, r.path, r.body); answer.StatusCode < 400 || answer.StatusCode >= 500 {
			t.Errorf("%s %s answers %s %s", r.method, r.path, answer.Status, said)
		}
	}
	_, said := s.ask(t, http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"`+name+`","event":"CANARY","data":"x"}]}`)
	if !strings.Contains(string(said), "invalid_room") {
		t.Errorf("a batch is answered %s", said)
	}
}

func TestNoCanaryWhereItIsOff(t *testing.T) {
	t.Parallel()
	s := serving(t, "--canary-interval=0s")
	for name := range s.scrape(t) {
		if strings.HasPrefix(name, "zonecast_canary_") {
			t.Errorf("there is %s", name)
		}
	}
}
