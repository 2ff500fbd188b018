package brokertest

import (
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
)

// conflateNames: what a message is the newest state of reaches whoever gets it live.
func conflateNames(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	names := []string{"", "zone-a", "", "zone-b.temp_1:x", "zone-a"}
	for _, name := range names {
		publish(t, b, broker.Publication{Room: room, Event: "E", Conflate: name})
	}
	for i, m := range r.WantExactly(room, 1, uint64(len(names))) {
		if m.Conflate != names[i] {
			t.Errorf("message %d arrived with the name %q, want %q", i+1, m.Conflate, names[i])
		}
	}
}
