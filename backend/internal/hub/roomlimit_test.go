package hub_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// However many connections join rooms that nobody publishes to, the instance has so many, and one
// warehouse takes no more than its share. Rooms that are there can be joined, and those that are
// left make room.
func TestRoomsAreBoundedByInstanceAndByWarehouse(t *testing.T) {
	var refused []string
	h := build(t, options{instanceRooms: 5, warehouseRooms: 3, onRoomRefused: func(limit string) { refused = append(refused, limit) }})
	in := func(warehouse string, n int) hub.Join {
		return hub.Join{Room: wire.Room{Warehouse: warehouse, Zone: fmt.Sprint(n)}}
	}
	one, two := h.guest("one"), h.guest("two")
	for _, tt := range []struct {
		who  *guest
		join hub.Join
		want wire.ErrorCode // none: let in
	}{
		{one, in("v", 1), ""}, {one, in("v", 2), ""}, {two, in("v", 3), ""},
		{two, in("v", 4), wire.CodeLimitReached},
		{two, in("v", 1), ""}, // it is there
		{one, in("w", 1), ""}, {one, in("x", 1), ""},
		{two, in("y", 1), wire.CodeLimitReached},
	} {
		err := tt.who.join(tt.join)
		if (err == nil) != (tt.want == "") || err != nil && wire.AsError(err).Code != tt.want {
			t.Errorf("%s joins %s: %v, want %q", tt.who.ID, tt.join.Room, err, tt.want)
		}
	}
	if want := []string{hub.WarehouseLimit, hub.InstanceLimit}; !slices.Equal(refused, want) {
		t.Errorf("refused for %v, want %v", refused, want)
	}
	one.exit(in("x", 1).Room)
	two.mustJoin(in("y", 1))
	// Of several rooms at once none is joined when there is one too many, and none counts.
	if err := two.join(in("v", 1), in("w", 1), in("z", 1)); wire.AsError(err).Code != wire.CodeLimitReached {
		t.Errorf("one of several is one too many: %v", err)
	}
	one.exit(in("v", 2).Room)
	two.mustJoin(in("v", 4))
}
