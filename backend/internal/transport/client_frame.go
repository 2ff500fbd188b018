package transport

import (
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/body"
	"github.com/zonecast/zonecast/backend/internal/problem"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/wire"
)

// AddRoutes adds the routes of a transport whose connections go one way: GET for what the server
// sends, POST for what the client does.
func (g *Gate) AddRoutes(routes *access.Table, path, name string, serve echo.HandlerFunc) {
	routes.Add(access.Client, []string{http.MethodGet}, path, serve, g.crossOrigin)
	routes.Add(access.Client, []string{http.MethodPost}, path, g.ServeClientFrame(name), g.crossOrigin)
	routes.Add(access.Public, []string{http.MethodOptions}, path, preflight, g.crossOrigin)
}

// ServeClientFrame returns the handler of POST /sse and POST /poll: clients whose connection goes
// one way send their frames here, one a request, and get the ack or the error of the protocol as
// the answer's body.
func (g *Gate) ServeClientFrame(via string) echo.HandlerFunc {
	return func(c echo.Context) error {
		f, answer, err := g.serveClientFrame(c, via)
		c.Response().Header().Set("Cache-Control", "no-store")
		switch {
		case err != nil:
			p := problem.Of(err)
			p.SetHeader(c.Response().Header())
			if p.Code == wire.CodeInternal {
				g.Log.Error("frame failed", "transport", via, "error", err)
			}
			return c.Blob(p.Status, echo.MIMEApplicationJSON, wire.AppendError(nil, f.ID, f.HasID, err))
		case f.HasID:
			return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, wire.AppendAck(nil, f.ID, answer))
		}
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, wire.AppendFrame(nil, wire.EventAck, answer))
	}
}

func (g *Gate) serveClientFrame(c echo.Context, via string) (f wire.ClientFrame, answer any, err error) {
	who, err := g.Identify(c, new(Query))
	if err != nil {
		if wire.AsError(err).Code == wire.CodeRateLimited {
			g.Metrics.RefuseFrame(string(wire.CodeRateLimited))
		}
		return f, nil, err
	}
	p, err := body.Read(c.Response(), c.Request(), g.MaxFrameBytes)
	if err != nil {
		return f, nil, err
	}
	f, err = wire.DecodeClient(p)
	if err := g.AllowRequest(c, who.User, 1); err != nil { // after reading, for the answer needs the id
		g.Metrics.RefuseFrame(string(wire.CodeRateLimited))
		return f, nil, err
	}
	label := f.Event
	switch {
	case err != nil:
		label = string(wire.CodeBadFrame)
	case f.Event == wire.EventEcho:
		answer = f.Data
	case f.Event == wire.EventPublish:
		ctx, cancel := context.WithTimeout(c.Request().Context(), ActionTimeout)
		defer cancel()
		answer, err = g.Publish(ctx, via, who, f)
	default:
		label = "unknown"
		err = wire.Errorf(wire.CodeUnknownEvent, "this can't be sent by POST: send one of %v; rooms are chosen by the query of GET",
			[]string{wire.EventEcho, wire.EventPublish})
	}
	g.Metrics.Received.WithLabelValues(label).Inc()
	return f, answer, err
}

// Publish does what a publish frame, which came over via, asks for, and returns its answer.
func (g *Gate) Publish(ctx context.Context, via string, who *auth.Identity, f wire.ClientFrame) (wire.Position, error) {
	var p wire.Publish
	if err := wire.DecodeRequest(f.Data, &p); err != nil {
		return wire.Position{}, g.Publisher.Reject(via, err)
	}
	return g.Publisher.Publish(ctx, via, who, publishing.Request{Warehouse: p.Warehouse, Zone: p.Zone, Event: p.Event,
		Data: slices.Clone(p.Data), Conflate: p.Conflate, IdempotencyKey: p.IdempotencyKey, Durable: p.Durable, Traceparent: p.Traceparent})
}
