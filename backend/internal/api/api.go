// Package api is what services and operators call over HTTP: publishing, health, connections,
// metrics.
//
//	service ── POST /api/v1/… ──▶ API ──▶ publishing ──▶ hub
//	operator ── /api/v1/connections ──▶ API ──▶ connadmin ──▶ cluster
//	monitoring ── /health/…, /livez, /readyz, /metrics ──▶ API ──▶ cluster, metrics
package api

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
)

// Options of an [API]. All are needed.
type Options struct {
	Publisher *publishing.Publisher
	Readiness *cluster.Readiness
	Cluster   cluster.Cluster
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	Guard     *auth.Guard
	// Monitoring is the rule of /metrics and /health/websocket/metrics.
	Monitoring access.Rule
	// Connections lists and closes the connections of all instances.
	Connections connadmin.Client
	// MaxDataBytes bounds the data of one message; a batch may have 16 times as much.
	MaxDataBytes int
}

// An API serves its routes; see [AddRoutes].
type API struct{ Options }

// AddRoutes adds the routes.
func AddRoutes(routes *access.Table, o Options) {
	a := &API{o}
	post, remove := []string{http.MethodPost}, []string{http.MethodDelete}
	routes.Add(access.Publisher, post, "/api/v1/warehouses/:warehouse/broadcast", a.broadcast)
	routes.Add(access.Publisher, post, "/api/v1/warehouses/:warehouse/zones/:zone/broadcast", a.broadcast)
	routes.Add(access.Publisher, post, "/api/v1/broadcast", a.batch)
	routes.Add(access.Viewer, access.Reading, "/api/v1/connections", a.connections)
	routes.Add(access.Operator, remove, "/api/v1/connections", a.disconnectMany)
	routes.Add(access.Operator, remove, "/api/v1/connections/:id", a.disconnectOne)
	routes.Add(access.Public, access.Reading, "/livez", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "alive"})
	})
	routes.Add(access.Public, access.Reading, "/readyz", a.ready)
	routes.Add(o.Monitoring, access.Reading, "/health/websocket/metrics", a.health)
	routes.Add(o.Monitoring, access.Reading, "/metrics",
		echo.WrapHandler(promhttp.HandlerFor(o.Metrics.Registry, promhttp.HandlerOpts{})))
}

// via is the label of publications over HTTP.
const via = "http"

func (a *API) broadcast(c echo.Context) error {
	var request publishing.Request
	who, err := a.read(c, &request, a.MaxDataBytes+4096)
	if err != nil {
		return err
	}
	switch {
	case request.Warehouse != "" || request.Zone != "":
		err = wire.Errorf(wire.CodeInvalidData, "body.warehouse and body.zone have no place here: the path names the room, "+
			"/api/v1/warehouses/{warehouse}/zones/{zone}/broadcast or /api/v1/warehouses/{warehouse}/broadcast")
	case request.IdempotencyKey != "":
		err = wire.Errorf(wire.CodeInvalidData, "body.idempotencyKey has no place here: send it as the header Idempotency-Key")
	}
	request.Warehouse, request.Zone = pathName(c, "warehouse"), pathName(c, "zone")
	if strings.HasSuffix(c.Path(), "/zones/:zone/broadcast") && request.Zone == "" {
		err = wire.Errorf(wire.CodeInvalidRoom, "the zone in the path is empty: name it, or publish to /api/v1/warehouses/{warehouse}/broadcast")
	}
	if err != nil {
		return a.Publisher.Reject(via, err)
	}
	request.IdempotencyKey = c.Request().Header.Get("Idempotency-Key")
	position, err := a.Publisher.Publish(c.Request().Context(), via, who, request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, position)
}

// pathName returns a name from the path. Echo leaves it percent-encoded when it was written
// otherwise than it had to be.
func pathName(c echo.Context, param string) string {
	name := c.Param(param)
	if c.Request().URL.RawPath == "" {
		return name
	}
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

// read returns who publishes, and decodes the body. A body that was read and can't be decoded is
// counted.
func (a *API) read(c echo.Context, into any, limit int) (*auth.Identity, error) {
	r := c.Request()
	who, err := a.Guard.Service(r)
	if err != nil {
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
		return nil, err
	}
	if err := checkContent(r.Header); err != nil {
		return nil, err
	}
	p, err := body.Read(c.Response(), r, limit)
	if err != nil {
		return nil, err
	}
	if err := decodeBody(p, into); err != nil {
		return nil, a.Publisher.Reject(via, err)
	}
	return who, nil
}

func (a *API) ready(c echo.Context) error {
	if reasons := a.Readiness.Status().Reasons(); len(reasons) > 0 {
		return c.JSON(http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reasons": reasons})
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

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

func (a *API) health(c echo.Context) error {
	view := a.Cluster.View()
	totals := view.Totals()
	h := Health{TotalConnections: totals.Connections, ConnectionsByWarehouse: totals.Warehouses, ConnectionsByZone: map[string]int{},
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
	return c.JSON(http.StatusOK, h)
}

// Problem writes an error as application/problem+json (RFC 9457).
func Problem(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := problem.Of(err)
		switch p.Status {
		case http.StatusNotFound:
			if p.Detail == http.StatusText(http.StatusNotFound) { // else a handler says what there is not
				p.Detail = "there is nothing at " + c.Request().URL.Path
			}
		case http.StatusMethodNotAllowed:
			p.Detail = "send " + strings.ReplaceAll(c.Response().Header().Get("Allow"), "OPTIONS, ", "")
		case http.StatusInternalServerError:
			log.Error("request failed", "path", c.Path(), "error", err)
		}
		p.SetHeader(c.Response().Header())
		if err := c.Blob(p.Status, problem.ContentType, p.JSON()); err != nil {
			log.Debug("answer not written", "error", err)
		}
	}
}
