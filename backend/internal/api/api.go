// Package api is what services and operators call over HTTP: publishing, health, metrics.
//
//	service ── POST /api/v1/… ──▶ API ──▶ broker
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecast/zonecast/backend/internal/attendance"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Publisher takes publications; hub.Hub is one. It may make the caller wait.
type Publisher interface {
	Publish(context.Context, broker.Publication) (broker.Receipt, error)
}

// Options of an [API]. All are needed.
type Options struct {
	Publisher Publisher
	Broker    broker.Broker // for its health
	Cluster   cluster.Cluster
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	Guard     *auth.Guard
	// Register knows the connections of all instances.
	Register attendance.Register
	// MaxDataBytes bounds the data of one message; a batch may have 16 times as much.
	MaxDataBytes int
	// Leaving tells whether the instance is shutting down.
	Leaving func() bool
}

// An API serves its routes; see Register.
type API struct{ Options }

// Reading are the methods of what is only read. HEAD is GET without the body (RFC 9110 section 9.3.2); net/http leaves it out.
var Reading = []string{http.MethodGet, http.MethodHead}

// Register adds the routes to e.
func Register(e *echo.Echo, o Options) {
	a := &API{o}
	e.POST("/api/v1/warehouses/:warehouse/broadcast", a.broadcast)
	e.POST("/api/v1/warehouses/:warehouse/zones/:zone/broadcast", a.broadcast)
	e.POST("/api/v1/broadcast", a.batch)
	e.Match(Reading, "/health/websocket/metrics", a.health)
	e.Match(Reading, "/api/v1/connections", a.connections, OperatorsOnly(o.Guard))
	e.DELETE("/api/v1/connections", a.disconnectMany, OperatorsOnly(o.Guard))
	e.DELETE("/api/v1/connections/:id", a.disconnectOne, OperatorsOnly(o.Guard))
	e.Match(Reading, "/livez", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "alive"}) })
	e.Match(Reading, "/readyz", a.ready)
	e.Match(Reading, "/metrics", echo.WrapHandler(promhttp.HandlerFor(o.Metrics.Registry, promhttp.HandlerOpts{})))
}

// OperatorsOnly asks for the operator's password, if there is one (RFC 7617).
func OperatorsOnly(guard *auth.Guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if guard.Operator(c.Request()) {
				return next(c)
			}
			c.Response().Header().Set("WWW-Authenticate", `Basic realm="Zonecast", charset="UTF-8"`)
			return wire.Errorf(wire.CodeUnauthenticated, "log in as %s with the password of this server", auth.OperatorUser)
		}
	}
}

// A publication is one as it is sent.
type publication struct {
	Warehouse      string          `json:"warehouse"`
	Zone           string          `json:"zone"`
	Event          string          `json:"event"`
	Data           json.RawMessage `json:"data"`
	Retain         bool            `json:"retain"`
	Conflate       string          `json:"conflate"`
	IdempotencyKey string          `json:"idempotencyKey"`
}

func (a *API) broadcast(c echo.Context) error {
	var b publication
	who, err := a.read(c, &b, a.MaxDataBytes+4096)
	if err != nil {
		return err
	}
	switch {
	case b.Warehouse != "" || b.Zone != "":
		return wire.Errorf(wire.CodeInvalidData, "body.warehouse and body.zone have no place here: the path names the room, "+
			"/api/v1/warehouses/{warehouse}/zones/{zone}/broadcast or /api/v1/warehouses/{warehouse}/broadcast")
	case b.IdempotencyKey != "":
		return wire.Errorf(wire.CodeInvalidData, "body.idempotencyKey has no place here: send it as the header Idempotency-Key")
	}
	b.Warehouse, b.Zone = pathName(c, "warehouse"), pathName(c, "zone")
	if strings.HasSuffix(c.Path(), "/zones/:zone/broadcast") && b.Zone == "" {
		return wire.Errorf(wire.CodeInvalidRoom, "the zone in the path is empty: name it, or publish to /api/v1/warehouses/{warehouse}/broadcast")
	}
	b.IdempotencyKey = c.Request().Header.Get("Idempotency-Key")
	position, err := a.publish(c.Request().Context(), who, b)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, position)
}

// pathName returns a name from the path. Echo leaves it percent-encoded when it was written otherwise than it had to be.
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

// read tells who publishes and decodes the body.
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
	return who, decodeBody(p, into)
}

func (a *API) publish(ctx context.Context, who *auth.Identity, b publication) (position wire.Position, err error) {
	began, outcome := time.Now(), "ok"
	defer func() {
		if err != nil {
			outcome = string(wire.AsError(err).Code)
		}
		a.Metrics.Publishes.WithLabelValues("http", outcome).Inc()
		a.Metrics.Accepting.Observe(time.Since(began).Seconds())
	}()
	room, err := wire.NewRoom(b.Warehouse, b.Zone)
	if err != nil {
		return position, err
	}
	if err := who.MayPublish(room); err != nil {
		return position, err
	}
	if err := wire.CheckEvent(b.Event); err != nil {
		return position, err
	}
	if err := wire.CheckPayload(b.Data, a.MaxDataBytes); err != nil {
		return position, err
	}
	if err := wire.CheckConflate(b.Conflate); err != nil {
		return position, err
	}
	if err := wire.CheckIdempotencyKey(b.IdempotencyKey); err != nil {
		return position, err
	}
	receipt, err := a.Publisher.Publish(ctx, broker.Publication{Room: room, Event: b.Event, Data: b.Data,
		IdempotencyKey: b.IdempotencyKey, Retain: b.Retain, Conflate: b.Conflate})
	if err != nil {
		return position, err
	}
	if receipt.Duplicate {
		outcome = "duplicate"
	}
	return wire.PositionOf(room, receipt.Offset), nil
}

func (a *API) ready(c echo.Context) error {
	var reasons []string
	if a.Leaving() {
		reasons = append(reasons, "this instance is shutting down")
	}
	if err := a.Broker.Health(); err != nil {
		reasons = append(reasons, "broker: "+err.Error())
	}
	if len(reasons) > 0 {
		return c.JSON(http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reasons": reasons})
	}
	return c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}

// A Health is the answer of GET /health/websocket/metrics, for all instances together. Durations are in milliseconds.
type Health struct {
	TotalConnections         int            `json:"totalConnections"`
	AvgMessagesPerConnection uint64         `json:"avgMessagesPerConnection"` // sent to those that are open
	ConnectionsByWarehouse   map[string]int `json:"connectionsByWarehouse"`   // in at least one room of the warehouse
	ConnectionsByZone        map[string]int `json:"connectionsByZone"`        // in rooms of zones of this name, in any warehouse
	AvgConnectionDuration    int64          `json:"avgConnectionDuration"`    // of those that are open

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
	h := Health{ConnectionsByWarehouse: map[string]int{}, ConnectionsByZone: map[string]int{},
		ConnectionsByRoom: map[string]int{}, ConnectionsByTransport: map[string]int{}, Nodes: []NodeHealth{}, Complete: view.Incomplete == "", Incomplete: view.Incomplete}
	var sent uint64
	var lived time.Duration
	for _, n := range view.Nodes {
		h.TotalConnections += n.Connections
		sent += n.Sent
		lived += n.Lived
		for w, count := range n.Warehouses {
			h.ConnectionsByWarehouse[w] += count
		}
		for t, count := range n.Transports {
			h.ConnectionsByTransport[t] += count
		}
		for _, z := range n.Zones {
			h.ConnectionsByZone[z.Zone] += z.Connections
			h.ConnectionsByRoom[wire.Room{Warehouse: z.Warehouse, Zone: z.Zone}.String()] += z.Connections
		}
		h.Nodes = append(h.Nodes, NodeHealth{Node: n.Name, Version: n.Version, State: n.State, Connections: n.Connections,
			Uptime: time.Since(n.Started).Milliseconds(), QueueBytes: n.QueueBytes, Reason: n.Reason})
	}
	if total := h.TotalConnections; total > 0 {
		h.AvgMessagesPerConnection = sent / uint64(total)
		h.AvgConnectionDuration = lived.Milliseconds() / int64(total)
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
