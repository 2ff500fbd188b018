package cluster

import (
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Totals are the sums over the nodes of a view.
type Totals struct {
	Connections int
	Warehouses  map[string]int    // connections in at least one room of the warehouse
	Zones       map[wire.Room]int // connections in the room of the zone
	Transports  map[string]int    // connections by transport
	Sent        uint64            // messages that the open connections were sent
	Lived       time.Duration     // for how long they are open, added up
	NotListed   int               // rooms of an instance that Warehouses and Zones leave out, added up
	RecentZones []wire.Room       // published to lately, in no order; each may be there several times
}

// Totals adds up the figures of all nodes.
func (v View) Totals() Totals {
	t := Totals{Warehouses: map[string]int{}, Zones: map[wire.Room]int{}, Transports: map[string]int{}}
	for _, n := range v.Nodes {
		t.Connections += n.Connections
		t.Sent += n.Sent
		t.Lived += n.Lived
		for transport, connections := range n.Transports {
			t.Transports[transport] += connections
		}
		t.add(n.Rooms)
		for _, z := range n.RecentZones {
			t.RecentZones = append(t.RecentZones, wire.Room{Warehouse: z.Warehouse, Zone: z.Zone})
		}
	}
	return t
}

// add adds the rooms of an instance.
func (t *Totals) add(r Rooms) {
	for warehouse, connections := range r.Warehouses {
		t.Warehouses[warehouse] += connections
	}
	for _, z := range r.Zones {
		t.Zones[wire.Room{Warehouse: z.Warehouse, Zone: z.Zone}] += z.Connections
	}
	t.NotListed += r.NotListed
}
