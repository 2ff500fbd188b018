// Package api is what services and operators call over HTTP: publishing, health, connections,
// metrics.
//
//	service ── POST /api/v1/… ──▶ API ──▶ publishing ──▶ hub
//	operator ── /api/v1/connections ──▶ API ──▶ connadmin ──▶ cluster
//	operator ── /api/v1/revocations ──▶ API ──▶ revocation ──▶ cluster
//	operator ── /api/v1/audit ──▶ API ──▶ audit
//	monitoring ── /health/…, /livez, /readyz, /metrics ──▶ API ──▶ cluster, metrics
package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	ratelimit "github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/rebalance"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/revocation"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// Limits take publications out of the rate limits of the address of a request, and then of its
// user, or return the error to answer with.
type Limits interface {
	AllowAddress(c echo.Context) error
	AllowRequest(c echo.Context, user string, n int) error
}

// Options of an [API]. All are needed but Allow.
type Options struct {
	Publisher *publishing.Publisher
	Readiness *cluster.Readiness
	Cluster   cluster.Cluster
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	Guard     *auth.Guard
	Operators *operator.Operators
	// Monitoring is the rule of /metrics and /health/websocket/metrics.
	Monitoring access.Rule
	// Connections lists and closes the connections of all instances.
	Connections connadmin.Client
	// Audit records what operators change, and lists it.
	Audit *audit.Log
	// Revocations ends tokens on all instances.
	Revocations *revocation.Service
	// Rebalance shares connections out among all instances.
	Rebalance rebalance.Client
	// Limits are those of requests by user and by address; nil for none.
	Limits Limits
	// MaxFrameBytes bounds the data of one message; a batch may have 16 times as much.
	MaxFrameBytes int
	// RoomsForOperators keeps the rooms in the health figures from everybody else.
	RoomsForOperators bool
	// Zones returns the zones of a warehouse that were published to, by name.
	Zones func(ctx context.Context, warehouse string) ([]string, error)
	// AlertLog has what became of alerts.
	AlertLog *alertlog.Log
	// Screens are the wall screens.
	Screens Screens
	// Pairing gives wall screens tokens.
	Pairing Pairing
	// Instances are those of the cluster.
	Instances Instances
	// PINs tell who may acknowledge alerts at a screen.
	PINs *auth.PINs
}

// An API serves its routes; see [AddRoutes].
type API struct {
	Options
	census  cluster.Census
	figures *ratelimit.Costly[[]byte] // of health, for strangers
}

// AddRoutes adds the routes.
func AddRoutes(routes *access.Table, o Options) {
	a := &API{Options: o, census: cluster.Census{Cluster: o.Cluster}}
	a.figures = ratelimit.NewCostly(a.publicFigures)
	post, remove := []string{http.MethodPost}, []string{http.MethodDelete}
	routes.Add(access.Publisher, post, "/api/v1/warehouses/:warehouse/broadcast", a.broadcast)
	routes.Add(access.Publisher, post, "/api/v1/warehouses/:warehouse/zones/:zone/broadcast", a.broadcast)
	routes.Add(access.Publisher, post, "/api/v1/broadcast", a.batch)
	// What was published can be taken away: a retained event by whoever may publish it, a room by
	// admins.
	for _, room := range []string{"/api/v1/warehouses/:warehouse", "/api/v1/warehouses/:warehouse/zones/:zone"} {
		routes.Add(access.Publisher, remove, room+"/retained/:event", a.deleteRetained, routes.Audited)
		routes.Add(access.WarehouseAdmin, remove, room, a.deleteRoom)
		routes.Action(audit.DeleteRetained, remove, room+"/retained/:event")
		routes.Action(audit.DeleteRoom, remove, room)
	}
	a.addAlertRoutes(routes)
	a.addZoneRoutes(routes)
	a.addScreenRoutes(routes)
	a.addPairingRoutes(routes)
	a.addInstanceRoutes(routes)
	routes.Add(access.WarehouseViewer, access.Reading, "/api/v1/connections", a.connections)
	routes.Add(access.WarehouseOperator, remove, "/api/v1/connections", a.disconnectMany)
	routes.Add(access.WarehouseOperator, remove, "/api/v1/connections/:id", a.disconnectOne)
	routes.Add(access.Admin, post, "/api/v1/rebalance", a.rebalance)
	routes.Action(audit.Rebalance, post, "/api/v1/rebalance")
	routes.Add(access.Viewer, access.Reading, "/api/v1/revocations", a.revocations)
	routes.Add(access.Admin, post, "/api/v1/revocations", a.revoke)
	routes.Add(access.Admin, remove, "/api/v1/revocations/:id", a.lift)
	routes.Action(audit.Disconnect, remove, "/api/v1/connections") // or audit.Ban
	routes.Action(audit.Disconnect, remove, "/api/v1/connections/:id")
	routes.Action(audit.Revoke, post, "/api/v1/revocations")
	routes.Action(audit.Lift, remove, "/api/v1/revocations/:id")
	routes.Add(access.Admin, access.Reading, "/api/v1/audit", a.auditLog)
	routes.Add(access.Public, access.Reading, "/livez", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "alive"})
	})
	routes.Add(access.Public, access.Reading, "/readyz", a.ready)
	routes.Add(o.Monitoring, access.Reading, "/health/websocket/metrics", a.health)
	routes.Add(o.Monitoring, access.Reading, "/metrics",
		echo.WrapHandler(o.Metrics.Handler()))
	routes.Internal("/health/websocket/metrics", "/metrics")
}

// via is the label of publications over HTTP.
const via = "http"

func (a *API) broadcast(c echo.Context) error {
	var request publishing.Request
	who, err := a.read(c, &request, a.MaxFrameBytes+4096)
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
	if request.Zone == "" && hasZone(c) {
		err = errNoZone()
	}
	if err != nil {
		return a.Publisher.Reject(via, err)
	}
	if err := a.spendRate(c, who, 1); err != nil {
		return err
	}
	request.IdempotencyKey = c.Request().Header.Get("Idempotency-Key")
	request.Traceparent = cmp.Or(request.Traceparent, c.Request().Header.Get("Traceparent"))
	position, err := a.Publisher.Publish(c.Request().Context(), via, who, request)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, position)
}

// hasZone reports whether the route is one of a zone.
func hasZone(c echo.Context) bool { return strings.Contains(c.Path(), "/zones/:zone") }

func errNoZone() error {
	return wire.Errorf(wire.CodeInvalidRoom, "the zone in the path is empty: name it, or leave /zones/ out for the room of the warehouse")
}

// spendAddress spends a publication of the address, before anybody looks at whose it is.
func (a *API) spendAddress(c echo.Context) error {
	if a.Limits == nil {
		return nil
	}
	return a.refused(a.Limits.AllowAddress(c))
}

// spendRate spends n publications of who was let in.
func (a *API) spendRate(c echo.Context, who *auth.Identity, n int) error {
	if a.Limits == nil {
		return nil
	}
	return a.refused(a.Limits.AllowRequest(c, who.User, n))
}

// refused counts a publication that is beyond a limit.
func (a *API) refused(err error) error {
	if err != nil {
		return a.Publisher.Reject(via, err)
	}
	return nil
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

// service returns who publishes, or deletes what was published. Who is none that may is recorded.
func (a *API) service(c echo.Context) (*auth.Identity, error) {
	if err := a.spendAddress(c); err != nil {
		return nil, err
	}
	who, err := a.Guard.Service(c.Request(), auth.Visit{Address: transport.Address(c)})
	if err != nil {
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
		if e := wire.AsError(err); e.Code == wire.CodeUnauthenticated && c.Request().Header.Get("Authorization") != "" {
			a.Audit.Failure(audit.Entry{Action: audit.PublishKey, Target: c.Request().URL.Path, Detail: e.Message, Address: c.RealIP()})
		}
		return nil, err
	}
	return who, nil
}

// read returns who publishes, and decodes the body. A body that was read and can't be decoded is
// counted.
func (a *API) read(c echo.Context, into any, limit int) (*auth.Identity, error) {
	r := c.Request()
	who, err := a.service(c)
	if err != nil {
		return nil, err
	}
	if who.Key != "" {
		a.Log.Debug("publish request", "key", who.Key, "path", c.Path())
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

// Problem writes an error as application/problem+json (RFC 9457).
func Problem(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		p := problem.Of(err)
		p.RequestID = requestid.Of(c)
		switch p.Status {
		case http.StatusNotFound:
			if p.Detail == http.StatusText(http.StatusNotFound) { // else a handler says what there is not
				p.Detail = fmt.Sprintf("there is nothing at %.100s", c.Request().URL.Path)
			}
		case http.StatusMethodNotAllowed:
			p.Detail = "send " + strings.ReplaceAll(c.Response().Header().Get("Allow"), "OPTIONS, ", "")
		case http.StatusInternalServerError:
			log.Error("request failed", "path", c.Path(), "error", err, requestid.Attr(c))
		}
		p.SetHeader(c.Response().Header())
		if err := c.Blob(p.Status, problem.ContentType, p.JSON()); err != nil {
			log.Debug("answer not written", "error", err)
		}
	}
}
