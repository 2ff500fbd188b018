package main

import (
	"maps"
	"net/http"
	"slices"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/screen"
)

// maxWarehouses bounds how many warehouses the broker is asked about for one page.
const maxWarehouses = 200

// zones are those that have members or were published to, in warehouses that who sends the request
// may see. The broker knows the zones of a warehouse; which warehouses there are is known from
// their members, and from publications through an instance that is alive.
func (s *server) zones(r *http.Request) (zones []screen.Zone, complete bool) {
	totals, incomplete := s.rooms.Totals(r.Context())
	complete, may := incomplete == "", mayView(r)
	all, warehouses := map[wire.Room]screen.Zone{}, map[string]bool{}
	note := func(room wire.Room, connections int, published bool) {
		warehouses[room.Warehouse] = true
		if z := all[room]; room.Zone != "" {
			all[room] = screen.Zone{Warehouse: room.Warehouse, Name: room.Zone, Connections: max(connections, z.Connections), Published: published || z.Published}
		}
	}
	for room, connections := range totals.Zones {
		note(room, connections, false)
	}
	for _, room := range totals.RecentZones {
		note(room, 0, true)
	}
	for name := range totals.Warehouses {
		warehouses[name] = true
	}
	for name := range s.kept() {
		warehouses[name] = true
	}
	maps.DeleteFunc(warehouses, func(name string, _ bool) bool { return !may(name) })
	for i, warehouse := range slices.Sorted(maps.Keys(warehouses)) {
		if i == maxWarehouses {
			complete = false
			break
		}
		names, err := s.broker.Zones(r.Context(), warehouse)
		if err != nil {
			complete = false
			break
		}
		for _, name := range names {
			note(wire.Room{Warehouse: warehouse, Zone: name}, 0, true)
		}
	}
	for _, z := range all {
		if may(z.Warehouse) {
			zones = append(zones, z)
		}
	}
	return zones, complete
}

// unreadable are the rooms with events that no screen can show, in warehouses that who sends the
// request may see.
func (s *server) unreadable(r *http.Request) (all []screen.Unreadable) {
	may := mayView(r)
	for _, u := range s.cluster.View().Unreadable() {
		if may(u.Warehouse) {
			all = append(all, screen.Unreadable{Warehouse: u.Warehouse, Zone: u.Zone, Count: u.Count, Last: u.Last})
		}
	}
	return all
}

// unreadableEvents is what becomes of them.
func unreadableEvents(c *config.Config) publishing.Unreadable {
	return map[string]publishing.Unreadable{config.Refuse: publishing.RefuseUnreadable, config.Ignore: publishing.IgnoreUnreadable}[c.UnreadableEvents]
}
