package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Health is the answer of GET /health/websocket/metrics, for all instances together. Durations
// are in milliseconds.
type Health struct {
	TotalConnections         int            `json:"totalConnections"`
	AvgMessagesPerConnection uint64         `json:"avgMessagesPerConnection"` // sent to those that are open
	ConnectionsByWarehouse   map[string]int `json:"connectionsByWarehouse"`   // in at least one room of the warehouse
	// ConnectionsByZone counts those in zones of this name in any warehouse; one in two such zones
	// counts twice.
	ConnectionsByZone     map[string]int `json:"connectionsByZone"`
	AvgConnectionDuration int64          `json:"avgConnectionDuration"` // of those that are open

	// ConnectionsByRoom tells zones of the same name apart: "zone:warehouse-1:zone-a".
	ConnectionsByRoom map[string]int `json:"connectionsByRoom"`
	// ConnectionsByTransport tells websocket, sse and poll apart; a poll counts while it waits.
	ConnectionsByTransport map[string]int `json:"connectionsByTransport"`
	Nodes                  []NodeHealth   `json:"nodes"`
	// Complete is false when instances may be missing in all of these figures; Incomplete says why.
	Complete   bool   `json:"complete"`
	Incomplete string `json:"incomplete,omitempty"`
	// RoomsComplete is false when the maps by warehouse, zone and room have only those with the
	// most connections, or none; RoomsNotListed is how many instances left out, added up.
	RoomsComplete  bool `json:"roomsComplete"`
	RoomsNotListed int  `json:"roomsNotListed,omitempty"`
}

// NodeHealth is one instance.
type NodeHealth struct {
	Node        string `json:"node"`
	Version     string `json:"version"`
	State       string `json:"state"` // "ready", "not ready" or "draining"
	Connections int    `json:"connections"`
	Uptime      int64  `json:"uptime"`
	QueueBytes  int64  `json:"queueBytes"`
	// Reason says why it is not ready.
	Reason string `json:"reason,omitempty"`
}

// limit leaves the rooms of the warehouses that an operator may look at, and reports whether it
// left any out.
func limit(t *cluster.Totals, who operator.Identity) (hidden bool) {
	names, all := who.Warehouses(operator.Viewer)
	if all {
		return false
	}
	t.Warehouses, t.Zones = maps.Clone(t.Warehouses), maps.Clone(t.Zones) // they may be of a cache
	before := len(t.Warehouses) + len(t.Zones)
	maps.DeleteFunc(t.Warehouses, func(name string, _ int) bool { return !slices.Contains(names, name) })
	maps.DeleteFunc(t.Zones, func(room wire.Room, _ int) bool { return !slices.Contains(names, room.Warehouse) })
	return len(t.Warehouses)+len(t.Zones) < before
}

// health answers strangers with figures that they share: what those cost is bounded, however many
// ask. Operators may ask for all rooms, of the warehouses that they may look at.
func (a *API) health(c echo.Context) error {
	wanted := c.QueryParam("rooms")
	if wanted != "" && wanted != "all" {
		return wire.Errorf(wire.CodeInvalidData, "rooms=%.40q is not known: write rooms=all, or leave it out", wanted)
	}
	if wanted == "" && !a.RoomsForOperators {
		return c.JSONBlob(http.StatusOK, a.figures.Get())
	}
	who, login := a.Operators.Identify(c.Request(), c.RealIP())
	if login == nil {
		login = who.RequireAnywhere(operator.Viewer)
	}
	switch {
	case login != nil && wanted == "all":
		return access.RefuseLogin(c, login)
	case login != nil:
		return c.JSONBlob(http.StatusOK, a.figures.Get())
	}
	view := a.Cluster.View()
	totals := view.Totals()
	if wanted == "all" {
		var incomplete string
		totals, incomplete = a.census.Totals(c.Request().Context())
		view.Incomplete = cmp.Or(view.Incomplete, incomplete)
	}
	hidden := limit(&totals, who)
	return c.JSON(http.StatusOK, healthOf(view, totals, hidden))
}

// publicFigures are those for strangers, as JSON.
func (a *API) publicFigures() []byte {
	view := a.Cluster.View()
	totals := view.Totals()
	if a.RoomsForOperators {
		totals.Warehouses, totals.Zones, totals.NotListed = map[string]int{}, nil, 0
	}
	p, _ := json.Marshal(healthOf(view, totals, a.RoomsForOperators)) // texts and numbers can't fail
	return p
}

// healthOf lists the figures; hidden says that rooms were left out.
func healthOf(view cluster.View, totals cluster.Totals, hidden bool) Health {
	h := Health{RoomsComplete: totals.NotListed == 0 && !hidden, RoomsNotListed: totals.NotListed,
		TotalConnections: totals.Connections, ConnectionsByWarehouse: totals.Warehouses, ConnectionsByZone: map[string]int{},
		ConnectionsByRoom: map[string]int{}, ConnectionsByTransport: totals.Transports, Nodes: []NodeHealth{},
		Complete: view.Incomplete == "", Incomplete: view.Incomplete}
	for room, connections := range totals.Zones {
		h.ConnectionsByZone[room.Zone] += connections
		h.ConnectionsByRoom[room.String()] = connections
	}
	for _, n := range view.Nodes {
		h.Nodes = append(h.Nodes, NodeHealth{Node: n.Name, Version: n.Version, State: n.State, Connections: n.Connections,
			Uptime: time.Since(n.Started).Milliseconds(), QueueBytes: n.QueueBytes, Reason: n.Reason})
	}
	if n := totals.Connections; n > 0 {
		h.AvgMessagesPerConnection = totals.Sent / uint64(n)
		h.AvgConnectionDuration = totals.Lived.Milliseconds() / int64(n)
	}
	return h
}
