package ws_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// A client that comes back with its cursor needs one round trip: what it missed follows connected.
func TestTheQueryResumesAllRooms(t *testing.T) {
	s := start(t, options{})
	whole := wire.Room{Warehouse: "w1"}
	var at, atWhole wire.Offset
	for n := range 5 {
		at = s.Publish(zone, "ZONE_UPDATE", fmt.Sprint(n))
		atWhole = s.Publish(whole, "ALERT", fmt.Sprint(n))
	}
	cursor := wire.Cursor{{Room: zone, Offset: wire.Offset{Epoch: at.Epoch, N: 2}},
		{Room: whole, Offset: wire.Offset{Epoch: atWhole.Epoch, N: 4}}}
	c := s.dial("warehouse=w1&room=warehouse:other&cursor=" + url.QueryEscape(cursor.String()))
	last := s.Publish(zone, "ZONE_UPDATE", "5")
	c.wait("the newest message", func(f wire.ServerFrame) bool { return f.Offset == last.String() && f.Room == zone.String() })

	got := map[string][]string{}
	for _, f := range c.seen() {
		if f.Room != "" {
			got[f.Room] = append(got[f.Room], string(f.Data))
		}
	}
	if fmt.Sprint(got[zone.String()]) != "[2 3 4 5]" || fmt.Sprint(got[whole.String()]) != "[4]" || len(got) != 2 {
		t.Errorf("got %v, want what was missed and then what is new", got)
	}
	told := decode[wire.Connected](t, c.seen()[0].Data)
	want := []wire.Position{wire.PositionOf(whole, atWhole), {Room: "warehouse:other"}, wire.PositionOf(zone, at)}
	for i, w := range want {
		if is := told.Rooms[i]; is.Room != w.Room || w.Offset != "" && is.Offset != w.Offset {
			t.Errorf("connected tells %+v, want %+v", told.Rooms, want)
		}
	}
}
