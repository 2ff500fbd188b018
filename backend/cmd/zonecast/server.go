package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/dashboard"
	"github.com/zonecast/zonecast/web/screen"
)

// A server is one instance, wired.
type server struct {
	config   *config.Config
	log      *slog.Logger
	listener net.Listener
	http     *http.Server
	hub      *hub.Hub
	pool     *outbox.Pool
	broker   broker.Broker
	ws       *ws.Handler
	ui       *dashboard.Dashboard
	leaving  atomic.Bool
}

func newServer(c *config.Config) (*server, error) {
	s := &server{config: c, log: newLog(c)}
	if c.NodeName == "" {
		host, _ := os.Hostname()
		c.NodeName = host + "-" + rand.Text()[:4]
	}
	m := metrics.New(version)
	s.pool = outbox.NewPool(outbox.Options{MaxBytes: c.MaxQueuedBytes, Meter: m})
	s.hub = hub.New(hub.Options{Pool: s.pool, Heartbeat: c.HeartbeatInterval, OnGap: m.Gaps.Inc})
	s.broker = broker.NewMemory(broker.Limits{Messages: c.HistoryMessages, Age: c.HistoryAge}, s.hub)
	s.hub.Use(s.broker)
	s.ws = ws.New(ws.Options{Hub: s.hub, Pool: s.pool, Metrics: m, Log: s.log, Node: c.NodeName,
		Heartbeat: c.HeartbeatInterval, MaxFrameBytes: c.MaxFrameBytes, MaxConnections: c.MaxConnections,
		MayPublish: len(c.PublishKeys) == 0})
	s.gauges(m)

	e := echo.New()
	e.HTTPErrorHandler = api.Problem(s.log)
	e.Use(count(m))
	e.GET("/ws", s.ws.Serve)
	api.Register(e, api.Options{Broker: s.broker, Hub: s.hub, Metrics: m, Log: s.log, Node: c.NodeName,
		Keys: c.PublishKeys, MaxDataBytes: c.MaxFrameBytes, Leaving: s.leaving.Load})
	s.ui = dashboard.New(dashboard.Options{Source: &figures{s, m, time.Now()}, Log: s.log,
		KeyRequired: len(c.PublishKeys) > 0})
	e.GET("/ui", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/ui/") })
	e.GET("/ui/*", echo.WrapHandler(s.ui), s.protect)
	e.GET("/assets/*", echo.WrapHandler(assets.Handler()))
	e.GET("/screen/*", echo.WrapHandler(screen.New(screen.Options{Log: s.log, KeyRequired: len(c.PublishKeys) > 0})))

	var err error
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", c.Listen, err)
	}
	s.http = &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	return s, nil
}

func newLog(c *config.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // one of the four that the configuration permits
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

func (s *server) gauges(m *metrics.Metrics) {
	m.Gauge("zonecast_connections", "Open connections.", prometheus.Labels{"transport": "websocket"},
		func() float64 { return float64(s.hub.Connections()) })
	m.Gauge("zonecast_rooms", "Rooms with members on this instance.", nil,
		func() float64 { return float64(s.hub.Rooms()) })
	m.Gauge("zonecast_outbox_bytes", "Bytes that wait for clients.", nil,
		func() float64 { return float64(s.pool.Waiting()) })
	m.Gauge("zonecast_broker_up", "1 while the broker works.", prometheus.Labels{"broker": "memory"},
		func() float64 {
			if s.broker.Health() != nil {
				return 0
			}
			return 1
		})
}

// count counts requests by route, never by path, which strangers choose.
func count(m *metrics.Metrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if err != nil {
				c.Error(err)
			}
			m.Requests.WithLabelValues(c.Path(), c.Request().Method, strconv.Itoa(c.Response().Status)).Inc()
			return nil
		}
	}
}

// run serves until ctx ends, then leaves politely: not ready, clients told, connections closed, writers ended.
func (s *server) run(ctx context.Context) error {
	address := "http://" + s.listener.Addr().String()
	s.log.Info("listening", "addr", s.listener.Addr().String(), "node", s.config.NodeName)
	fmt.Printf("Zonecast is at %s\nTry: curl -X POST %s/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast "+
		"-H 'Content-Type: application/json' -d '{\"event\":\"ALERT\",\"data\":{\"title\":\"Hello\"}}'\n", address, address)

	var running sync.WaitGroup
	beating, stopBeating := context.WithCancel(context.Background())
	running.Go(func() { s.hub.Run(beating) })
	running.Go(func() { s.ui.Run(beating) })
	failed := make(chan error, 1)
	running.Go(func() { failed <- s.http.Serve(s.listener) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.leaving.Store(true)
	s.ui.Close()
	drain, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	s.ws.Drain(drain)
	err = errors.Join(err, s.http.Shutdown(drain))
	stopBeating()
	running.Wait()
	err = errors.Join(err, s.broker.Close())
	s.pool.Close()
	return err
}
