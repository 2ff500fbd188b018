// Package api is what services and operators call over HTTP: publishing, health, metrics.
//
//	service ── POST /api/v1/… ──▶ API ──▶ broker
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/wire"
)

// Options of an [API]. All are needed.
type Options struct {
	Broker  broker.Broker
	Hub     *hub.Hub
	Metrics *metrics.Metrics
	Log     *slog.Logger
	Node    string
	// Keys are those of services that may publish; without any, everyone may.
	Keys []string
	// MaxDataBytes bounds the data of one message; a batch may have 16 times as much.
	MaxDataBytes int
	// Leaving tells whether the instance is shutting down.
	Leaving func() bool
}

// An API serves its routes; see Register.
type API struct{ Options }

// Register adds the routes to e.
func Register(e *echo.Echo, o Options) {
	a := &API{o}
	e.POST("/api/v1/warehouses/:warehouse/broadcast", a.broadcast)
	e.POST("/api/v1/warehouses/:warehouse/zones/:zone/broadcast", a.broadcast)
	e.POST("/api/v1/broadcast", a.batch)
	e.GET("/health/websocket/metrics", a.health)
	e.GET("/livez", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]string{"status": "alive"}) })
	e.GET("/readyz", a.ready)
	e.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(o.Metrics.Registry, promhttp.HandlerOpts{})))
}

// body is a publication as it is sent.
type body struct {
	Warehouse      string          `json:"warehouse"`
	Zone           string          `json:"zone"`
	Event          string          `json:"event"`
	Data           json.RawMessage `json:"data"`
	Retain         bool            `json:"retain"`
	IdempotencyKey string          `json:"idempotencyKey"`
}

func (a *API) broadcast(c echo.Context) error {
	var b body
	if err := a.read(c, &b, a.MaxDataBytes+4096); err != nil {
		return err
	}
	b.Warehouse, b.Zone = c.Param("warehouse"), c.Param("zone")
	if strings.HasSuffix(c.Path(), "/zones/:zone/broadcast") && b.Zone == "" {
		return wire.Errorf(wire.CodeInvalidRoom, "the zone in the path is empty")
	}
	b.IdempotencyKey = c.Request().Header.Get("Idempotency-Key")
	position, err := a.publish(c.Request().Context(), b)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, position)
}

type result struct {
	*wire.Position
	Error *wire.Error `json:"error,omitempty"`
}

func (a *API) batch(c echo.Context) error {
	var batch struct {
		Messages []body `json:"messages"`
	}
	if err := a.read(c, &batch, 16*a.MaxDataBytes); err != nil {
		return err
	}
	switch n := len(batch.Messages); {
	case n == 0:
		return wire.Errorf(wire.CodeInvalidData, `messages is missing or empty: send {"messages":[{"warehouse","zone","event","data"}]}`)
	case n > wire.BatchMessages:
		return wire.Errorf(wire.CodeTooLarge, "the batch has %d messages: at most %d are allowed", n, wire.BatchMessages)
	}
	results := make([]result, len(batch.Messages))
	for i, b := range batch.Messages {
		position, err := a.publish(c.Request().Context(), b)
		if err != nil {
			results[i].Error = wire.AsError(err)
			continue
		}
		results[i].Position = &position
	}
	return c.JSON(http.StatusOK, map[string]any{"results": results})
}

// read checks who publishes and decodes the body.
func (a *API) read(c echo.Context, into any, limit int) error {
	r := c.Request()
	if err := a.authorise(r); err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return echo.NewHTTPError(http.StatusUnsupportedMediaType, "send the header Content-Type: application/json")
	}
	p, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, int64(limit)))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return wire.Errorf(wire.CodeTooLarge, "the body has more than %d bytes", limit)
	case err != nil:
		return wire.Errorf(wire.CodeInvalidData, "the body could not be read to its end")
	}
	return wire.DecodeData(p, into)
}

func (a *API) authorise(r *http.Request) error {
	if len(a.Keys) == 0 {
		return nil
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || !slices.Contains(a.Keys, key) {
		return wire.Errorf(wire.CodeUnauthenticated, "send the header Authorization: Bearer with a key that may publish")
	}
	return nil
}

func (a *API) publish(ctx context.Context, b body) (position wire.Position, err error) {
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
	if err := wire.CheckEvent(b.Event); err != nil {
		return position, err
	}
	if err := wire.CheckPayload(b.Data, a.MaxDataBytes); err != nil {
		return position, err
	}
	if len(b.IdempotencyKey) > wire.MaxIdempotencyKeyLen {
		return position, wire.Errorf(wire.CodeInvalidData, "the idempotency key has %d bytes: at most %d are allowed",
			len(b.IdempotencyKey), wire.MaxIdempotencyKeyLen)
	}
	receipt, err := a.Broker.Publish(ctx, broker.Publication{Room: room, Event: b.Event, Data: b.Data,
		IdempotencyKey: b.IdempotencyKey, Retain: b.Retain})
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

// health answers GET /health/websocket/metrics. Durations are in milliseconds.
func (a *API) health(c echo.Context) error {
	warehouses, zones := map[string]int{}, map[string]int{}
	var messages uint64
	var lived time.Duration
	sessions := a.Hub.Sessions()
	for _, s := range sessions {
		messages += s.Queue.Stats().Messages
		lived += time.Since(s.Opened)
		in, at := map[string]bool{}, map[string]bool{}
		for _, r := range s.Rooms() {
			if !in[r.Warehouse] {
				in[r.Warehouse] = true
				warehouses[r.Warehouse]++
			}
			if r.Zone != "" && !at[r.Zone] {
				at[r.Zone] = true
				zones[r.Zone]++
			}
		}
	}
	n := max(len(sessions), 1)
	return c.JSON(http.StatusOK, map[string]any{
		"totalConnections":         len(sessions),
		"avgMessagesPerConnection": messages / uint64(n),
		"connectionsByWarehouse":   warehouses,
		"connectionsByZone":        zones,
		"avgConnectionDuration":    lived.Milliseconds() / int64(n),
		"node":                     a.Node,
	})
}

// status is the HTTP status of each code that the protocol has.
var status = map[wire.ErrorCode]int{
	wire.CodeUnauthenticated: http.StatusUnauthorized, wire.CodeForbidden: http.StatusForbidden,
	wire.CodeTooLarge: http.StatusRequestEntityTooLarge, wire.CodeLimitReached: http.StatusTooManyRequests,
	wire.CodeRateLimited: http.StatusTooManyRequests, wire.CodeUnavailable: http.StatusServiceUnavailable,
	wire.CodeInternal: http.StatusInternalServerError,
}

// Problem writes an error as application/problem+json (RFC 9457).
func Problem(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		code, detail, kind := http.StatusBadRequest, "", wire.ErrorCode("")
		var mine *wire.Error
		var http_ *echo.HTTPError
		switch {
		case errors.As(err, &mine):
			detail, kind = mine.Message, mine.Code
			if s, ok := status[mine.Code]; ok {
				code = s
			}
			if mine.RetryAfter > 0 {
				c.Response().Header().Set("Retry-After", strconv.FormatInt((mine.RetryAfter+999)/1000, 10))
			}
		case errors.As(err, &http_):
			code, detail = http_.Code, fmt.Sprint(http_.Message)
			if code == http.StatusNotFound {
				detail = "there is nothing at " + c.Request().URL.Path
			}
		default:
			log.Error("request failed", "path", c.Path(), "error", err)
			code, detail, kind = http.StatusInternalServerError, "internal error", wire.CodeInternal
		}
		p, _ := json.Marshal(map[string]any{"title": http.StatusText(code), "status": code, "detail": detail, "code": kind})
		if err := c.Blob(code, "application/problem+json", p); err != nil {
			log.Debug("answer not written", "error", err)
		}
	}
}
