package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

func TestTheDashboardLearnsWhatIsPublishedToNobody(t *testing.T) {
	s := serving(t)
	for _, path := range []string{"/w2/zones/a", "/w1/zones/b", "/w1", "/w2/zones/a"} {
		answer, err := http.Post(s.url()+"/api/v1/warehouses"+path+"/broadcast", "application/json", strings.NewReader(`{"event":"E"}`))
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
		answer.Body.Close()
	}
	snapshot, err := (*figures)(s).Snapshot(t.Context())
	if want := []dashboard.Zone{{Warehouse: "w1", Name: "b"}, {Warehouse: "w2", Name: "a"}}; err != nil || fmt.Sprint(snapshot.Recent) != fmt.Sprint(want) {
		t.Errorf("got %v %v, want %v", snapshot.Recent, err, want)
	}
}

func TestOnlySoManyZonesAreRemembered(t *testing.T) {
	var r recent
	for i := range 100 {
		r.note(wire.Room{Warehouse: "w", Zone: fmt.Sprintf("z%02d", i)})
	}
	if zones := r.zones(); len(zones) != recentZones || zones[0].Zone != "z88" {
		t.Errorf("remembered %v", zones)
	}
}
