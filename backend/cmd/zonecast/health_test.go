package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The health figures show totals and the largest rooms to everybody, or to operators alone; all
// rooms are told to operators. The five fields of the contract are always there.
func TestHealthShowsRoomsToWhoMaySeeThem(t *testing.T) {
	for _, tt := range []struct {
		settings []string
		path     string
		operator bool
		status   int
		zones    int // at least
		complete bool
	}{
		{nil, "", false, http.StatusOK, 100, false},
		{nil, "?rooms=all", false, http.StatusUnauthorized, 0, false},
		{nil, "?rooms=all", true, http.StatusOK, 500, true},
		{nil, "?rooms=some", true, http.StatusBadRequest, 0, false},
		{[]string{"--health-rooms=operators"}, "", false, http.StatusOK, 0, false},
		{[]string{"--health-rooms=operators"}, "", true, http.StatusOK, 100, false},
	} {
		t.Run(fmt.Sprint(tt.settings, tt.path, tt.operator), func(t *testing.T) {
			s := serving(t, append(tt.settings, "--operator-password=a long password")...)
			for c := range 5 {
				conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws", nil)
				testkit.Must(t, err)
				defer conn.Close()
				for z := range 100 {
					testkit.Must(t, conn.WriteMessage(websocket.TextMessage,
						fmt.Appendf(nil, `{"event":"subscribe","data":{"warehouse":"%s-%d","zone":"z-%d-%d"}}`, strings.Repeat("w", 60), c, c, z)))
				}
			}
			testkit.Eventually(t, "all have joined", func() bool { return len(s.node().Zones)+s.node().NotListed >= 500 })
			u, err := url.Parse(s.url() + "/health/websocket/metrics" + tt.path)
			testkit.Must(t, err)
			if tt.operator {
				u.User = url.UserPassword("operator", "a long password")
			}
			answer, err := http.Get(u.String())
			testkit.Must(t, err)
			defer answer.Body.Close()
			var h api.Health
			if err := json.NewDecoder(answer.Body).Decode(&h); err != nil || answer.StatusCode != tt.status {
				t.Fatalf("%s %v", answer.Status, err)
			}
			if tt.status != http.StatusOK {
				return
			}
			if h.TotalConnections != 5 || h.ConnectionsByWarehouse == nil || h.ConnectionsByZone == nil || !h.Complete ||
				len(h.ConnectionsByZone) < tt.zones || tt.zones == 0 && len(h.ConnectionsByZone)+len(h.ConnectionsByWarehouse) > 0 ||
				h.RoomsComplete != tt.complete {
				t.Errorf("%d connections, %d zones, %d not listed, rooms complete: %v", h.TotalConnections, len(h.ConnectionsByZone),
					h.RoomsNotListed, h.RoomsComplete)
			}
		})
	}
}

// Listing the largest rooms is costly where there are many: who asks beyond a budget gets what the
// one before got.
func TestWhatIsAnnouncedOfManyRoomsIsCountedWithinABudget(t *testing.T) {
	s := serving(t)
	for c := range 10 {
		rooms := url.Values{}
		for z := range 100 {
			rooms.Add("room", fmt.Sprintf("zone:w%d:z%d", c, z))
		}
		answer, err := http.Get(s.url() + "/sse?" + rooms.Encode())
		testkit.Must(t, err)
		defer answer.Body.Close()
	}
	testkit.Eventually(t, "all have joined", func() bool { return len(s.node().Zones)+s.node().NotListed == 1000 })
	testkit.Eventually(t, "two share a list", func() bool {
		for range 100 {
			if &s.node().Zones[0] == &s.node().Zones[0] {
				return true
			}
		}
		return false
	})
}
