package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
)

// What rooms keep for those who join in the next moment is bounded for all rooms together, and none of it outlives the rooms.
func TestRecentMessagesOfAllRoomsAreBounded(t *testing.T) {
	const rooms = 1500
	h := build(t, options{rooms: rooms, bytes: 8 << 20, limits: broker.Limits{Messages: 1}})
	var joins []hub.Join
	for i := range rooms {
		joins = append(joins, hub.Join{Room: room(fmt.Sprint(i))})
	}
	s := h.idle(t, "everywhere", drain(t))
	if err := s.Join(t.Context(), joins, silent); err != nil {
		t.Fatal(err)
	}
	const oneMore = 31_000 // what one of these messages costs
	data := json.RawMessage(`"` + strings.Repeat("x", 15_000) + `"`)
	full := false
	for range 4 {
		for _, j := range joins {
			h.send(broker.Publication{Room: j.Room, Data: data})
			cost, most := h.Recent()
			full = full || cost > most
		}
	}
	if cost, most := h.Recent(); !full || cost > most+oneMore {
		t.Errorf("%d bytes of recent messages are kept, want at most %d and one more, after more was published (%v)", cost, most, full)
	}
	s.Close()
	if cost, _ := h.Recent(); cost != 0 {
		t.Errorf("%d bytes of recent messages are kept for nobody", cost)
	}
}
