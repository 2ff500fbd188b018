package main

import (
	"fmt"
	"net/http"
	"testing"
)

// A publisher whose alerts were always delivered is not refused because more are open than are
// kept: only who asks to retain one is.
func TestAnAlertIsDeliveredWhereNoMoreAreKept(t *testing.T) {
	s := serving(t, "--alerts-per-room=4")
	for i := range 12 {
		answer, p := s.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", fmt.Sprintf(`{"event":"ALERT","data":{"id":"a-%d","severity":"warning","title":"Jam"}}`, i))
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("alert %d: %s %s", i, answer.Status, p)
		}
	}
	answer, p := s.act(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"ALERT","data":{"id":"one more","severity":"warning","title":"Jam"},"retain":true}`)
	if answer.StatusCode != http.StatusTooManyRequests {
		t.Errorf("with retain: %s %s", answer.Status, p)
	}
}
