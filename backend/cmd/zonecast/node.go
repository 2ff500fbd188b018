package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// A census is what this instance's connections are in.
type census struct {
	hub.Counts
	largest cluster.Rooms // which are announced
}

func (s *server) takeCensus() census {
	counts := s.hub.Counts()
	return census{counts, rooms(counts).Largest()}
}

// node is what this instance announces, for the other instances, the health figures and the pages.
func (s *server) node() cluster.Node {
	census, totals, status := s.census.Get(), s.metrics.Totals(), s.readiness.Status()
	n := cluster.Node{Name: s.config.NodeName, Version: version, Started: s.started,
		State: status.State, BrokerDownSince: status.BrokerDownSince,
		Connections: census.Connections, Rooms: census.largest, Transports: census.Transports,
		Sent: census.Sent, Lived: census.Lived, QueueBytes: s.pool.QueuedBytes(),
		Published: totals.Published, Delivered: totals.Delivered, Latency: cluster.Histogram(totals.Latency)}
	if !status.BrokerUp() {
		n.Reason = status.Broker.Error()
	}
	n.Warning = strings.Join(status.Warnings(), "; ")
	for _, room := range s.publisher.RecentZones() {
		n.RecentZones = append(n.RecentZones, cluster.Zone{Warehouse: room.Warehouse, Zone: room.Zone})
	}
	for _, u := range s.publisher.Unreadable() {
		n.Unreadable = append(n.Unreadable, cluster.Unreadable{Warehouse: u.Room.Warehouse, Zone: u.Room.Zone, Count: u.Count, Last: u.Last})
	}
	return n
}

// rooms are all that this instance has members in.
func rooms(counts hub.Counts) cluster.Rooms {
	r := cluster.Rooms{Warehouses: counts.Warehouses}
	for room, count := range counts.Zones {
		r.Zones = append(r.Zones, cluster.Zone{Warehouse: room.Warehouse, Zone: room.Zone, Connections: count})
	}
	return r
}

// snapshot is what the dashboard shows of the cluster.
func (s *server) snapshot() dashboard.Snapshot {
	view := s.cluster.View()
	out := dashboard.Snapshot{Broker: s.brokerKind(), Missing: view.Silent, Incomplete: view.Incomplete}
	for _, g := range view.Gone {
		gone := dashboard.Gone{ID: g.ID, Name: g.Name, Since: g.Since, Connections: -1}
		if g.Last != nil {
			gone.Connections = g.Last.Connections
		}
		out.Gone = append(out.Gone, gone)
	}
	known := view
	for _, g := range view.Gone { // the clients of those that went with Redis are where they were, as far as anyone knows
		if g.WithRedis && g.Last != nil && slices.Contains(view.Silent, g.Name) {
			known.Nodes = append(known.Nodes, *g.Last)
			out.LastKnown += g.Last.Connections
		}
	}
	totals := known.Totals()
	out.Connections = totals.Connections
	for _, n := range view.Nodes {
		out.Instances = append(out.Instances, instance(n))
	}
	for name, count := range totals.Warehouses {
		out.Warehouses = append(out.Warehouses, dashboard.Warehouse{Name: name, Connections: count})
	}
	for room, count := range totals.Zones {
		out.Zones = append(out.Zones, dashboard.Zone{Warehouse: room.Warehouse, Name: room.Zone, Connections: count})
	}
	for _, room := range distinct(totals.RecentZones) {
		out.Recent = append(out.Recent, dashboard.Zone{Warehouse: room.Warehouse, Name: room.Zone})
	}
	return out
}

// distinct returns each room once, in the order of the names.
func distinct(rooms []wire.Room) []wire.Room {
	slices.SortFunc(rooms, func(a, b wire.Room) int {
		return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
	})
	return slices.Compact(rooms)
}

func instance(n cluster.Node) dashboard.Instance {
	return dashboard.Instance{ID: n.ID, Name: n.Name, Version: n.Version, UpSince: n.Started,
		Connections: n.Connections, QueueBytes: n.QueueBytes, Warning: n.Warning,
		Broker:    dashboard.BrokerLink{Up: n.Reason == "", DownSince: n.BrokerDownSince, Detail: n.Reason},
		Published: n.Published, Delivered: n.Delivered, Latency: dashboard.Histogram(n.Latency), State: states[n.State]}
}

// states are those of a node as the dashboard has them.
var states = map[string]dashboard.State{cluster.Ready: dashboard.Ready, cluster.NotReady: dashboard.NotReady, cluster.Draining: dashboard.Draining}
