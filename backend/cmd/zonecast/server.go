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
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/apidocs"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/canary"
	"github.com/zonecast/zonecast/backend/internal/certs"
	"github.com/zonecast/zonecast/backend/internal/closures"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/edge"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/incidents"
	"github.com/zonecast/zonecast/backend/internal/instances"
	"github.com/zonecast/zonecast/backend/internal/lameduck"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/pairing"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/rebalance"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/internal/requestid"
	"github.com/zonecast/zonecast/backend/internal/revocation"
	"github.com/zonecast/zonecast/backend/internal/signin"
	"github.com/zonecast/zonecast/backend/internal/tracing"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/poll"
	"github.com/zonecast/zonecast/backend/internal/transport/sse"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
	"github.com/zonecast/zonecast/backend/internal/walls"
	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/dashboard"
	"github.com/zonecast/zonecast/web/screen"
)

// linger is how long rooms stay subscribed to after their last member: longer than a client takes
// from one long poll to the next.
const linger = 10 * time.Second

// A server is one instance, wired.
type server struct {
	config    *config.Config
	log       *slog.Logger
	guard     *auth.Guard
	operators *operator.Operators
	access    *access.Table
	listener  net.Listener
	http      *http.Server
	admin     *adminFront         // nil without ADMIN_LISTEN
	edges     []*edge.Listener    // of both
	certs     *certs.Certificates // nil without TLS
	system    []net.Listener      // under listener
	graceful  *lameduck.Server    // http, leaving
	hub       *hub.Hub
	pool      *outbox.Pool
	publisher *publishing.Publisher
	target    *redisconn.Target // nil without Redis
	broker    broker.Broker
	cluster   cluster.Cluster
	metrics   *metrics.Metrics
	gate      *transport.Gate
	ui        *dashboard.Dashboard
	closures  *closures.Ring
	walls     *walls.Registry
	pairing   *pairing.Desk
	incidents *incidents.Log
	watcher   *incidents.Watcher
	started   time.Time
	readiness *cluster.Readiness
	alerts    *alertlog.Log
	census    *limit.Costly[census]
	rooms     cluster.Census // of all instances

	revocations *revocation.Service
	audit       *audit.Log
	balancer    *rebalance.Balancer
	drainer     *instances.Drainer
	canary      struct { // nil for none
		*canary.Canary
		hub  *hub.Hub
		gate *transport.Gate
	}
	tracer    *tracing.Tracer // nil for none
	hangup    <-chan os.Signal
	reloading reloading
}

// newServer wires a server and listens. Its errors tell the operator what to change.
func newServer(ctx context.Context, c *config.Config) (*server, error) {
	if c.NodeName == "" {
		host, _ := os.Hostname()
		c.NodeName = host + "-" + rand.Text()[:4]
	}
	level := new(slog.LevelVar)
	s := &server{config: c, log: newLog(c, level), reloading: reloading{level: level}, metrics: metrics.New(version), started: time.Now(), hangup: catchHangup()}
	s.closures = closures.NewRing(c.NodeName, s.onRefused)
	s.walls = walls.NewRegistry()
	var err error
	if err = s.openAudit(); err != nil {
		return nil, err
	}
	if err = s.openGuard(ctx); err != nil {
		return nil, err
	}
	s.pairing = s.newPairingDesk()
	defer func() {
		if err != nil {
			s.guard.Close()
		}
	}()
	if err = s.openOperators(); err != nil {
		return nil, err
	}
	if err = s.openCertificates(); err != nil {
		return nil, err
	}
	if s.target, err = s.awaitRedis(ctx); err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	if c.TracesEndpoint != "" {
		if s.tracer, err = tracing.New(tracing.Options{Endpoint: c.TracesEndpoint, SampleRatio: c.TraceSampleRatio,
			Node: c.NodeName, Version: version, Log: s.log}); err != nil {
			return nil, errors.Join(err, s.closeListeners())
		}
	}
	m := s.metrics
	s.pool = outbox.NewPool(outbox.Options{MaxQueuedBytes: c.MaxQueuedBytes, SlowAfter: c.SlowAfter, Meter: canary.ClientsOnly{Meter: m}})
	s.hub = hub.New(hub.Options{Pool: s.pool, Heartbeat: c.HeartbeatInterval, Meter: m, OnGap: s.onGap, OnWait: m.PublishWaits.Inc,
		InstanceRooms: c.MaxRooms, WarehouseRooms: c.MaxRoomsPerWarehouse, OnRoomRefused: func(limit string) { m.RoomRefusals.WithLabelValues(limit).Inc() },
		PublishWait: c.PublishWait, StallTimeout: c.SlowAfter, Linger: linger, RetainAge: c.RetainAge, Tracer: s.tracer})
	s.census = limit.NewCostly(s.takeCensus)
	s.readiness = cluster.NewReadiness(func() error { return s.broker.Health() })
	s.alerts = alertlog.New(s.log)
	s.publisher = publishing.New(publishing.Options{Hub: s.hub, Metrics: m, MaxFrameBytes: c.MaxFrameBytes, Rate: publishRate(c), OnQuota: s.onQuota,
		Durable: c.PublishDurable, Tracer: s.tracer, Alerts: s.alerts, Unreadable: unreadableEvents(c)})
	if err = s.connect(ctx); err != nil {
		s.pool.Close()
		return nil, errors.Join(fmt.Errorf("REDIS_URL: %w", err), s.closeListeners())
	}
	s.hub.Use(s.broker)
	if s.canary.hub != nil {
		s.canary.hub.Use(s.broker)
	}
	s.rooms.Cluster = s.cluster
	s.balancer = s.newBalancer()
	s.gate = transport.NewGate(transport.Options{Hub: s.hub, Publisher: s.publisher, Metrics: m, Log: s.log, Guard: s.guard,
		Node: c.NodeName, Heartbeat: c.HeartbeatInterval, PongTimeout: c.PongTimeout, MaxFrameBytes: c.MaxFrameBytes,
		Origins: c.AllowedOrigins, Proxies: s.proxies(), Limits: gateLimits(c), Closures: s.closures})
	s.ui = dashboard.New(dashboard.Options{Source: s.snapshot, Log: s.log, KeyRequired: s.guard.ServiceNeedsKey(), Viewer: viewer, Grafana: s.config.GrafanaURL,
		Sources: s.sources()})
	s.drainer.Gate = s.gate
	s.gauges()
	s.newHTTP(s.routes())
	return s, nil
}

// connect opens the broker and the cluster: those of this process alone, or those in Redis.
func (s *server) connect(ctx context.Context) (err error) {
	connections := &connadmin.Handler{Node: s.config.NodeName, Sessions: s.hub.Sessions, Standing: s.hub.Standing, Log: s.log}
	answer := cluster.AnswerRooms(func() cluster.Rooms { return rooms(s.census.Get().Counts) }, s.answerPast(s.answerInstances(s.answer(connections))))
	limits, receiver := brokerLimits(s.config), s.openCanary()
	if s.target == nil {
		s.broker, s.cluster = broker.NewMemory(limits, receiver), cluster.Alone{Self: s.node, Answer: answer}
		s.revocations = s.newRevocations(nil)
		store := audit.NewMemory()
		s.audit.Use(store, nil)
		s.alerts.Use(new(alertlog.Memory), nil)
		s.openIncidents(store, nil, "")
		return nil
	}
	signer := bus.New(s.config.ClusterSecret)
	s.broker, err = broker.OpenRedis(ctx, broker.RedisOptions{Target: s.target, Limits: limits, Log: s.log,
		Prefix: s.config.RedisPrefix, Signer: signer, MaxStoredBytes: s.config.MaxQueuedBytes, OnRefuse: s.metrics.RefuseFromBus,
		OnReconnect: s.metrics.BrokerReconnects.Inc, OnRepair: s.metrics.BrokerRepairs.Inc, OnFork: s.onFork, OnProbe: s.metrics.RedisProbes(),
		Pace: s.hub.WaitForCapacity, Durability: durability(s.config), OnDurable: s.onDurable()}, receiver)
	if err != nil {
		return err
	}
	shared := cluster.OpenRedis(cluster.Options{Target: s.target, Prefix: s.config.RedisPrefix, Log: s.log, Self: s.node, Answer: answer,
		Signer: signer, OnRefuse: s.metrics.RefuseFromBus})
	s.cluster = shared
	s.revocations = s.newRevocations(shared)
	s.audit.Use(shared, signer)
	s.alerts.Use(cluster.AlertStore{Redis: shared}, signer)
	s.openIncidents(shared, signer, shared.ID())
	s.hub.SetSignal(shared)
	if err := s.revocations.Load(ctx); err != nil {
		return errors.Join(err, shared.Close(), s.broker.Close())
	}
	return nil
}

func redisOptions(c *config.Config, log *slog.Logger) redisconn.Options {
	return redisconn.Options{URL: c.RedisAddress(), CAFile: c.RedisCAFile, CertFile: c.RedisCertFile, KeyFile: c.RedisKeyFile, Prefix: c.RedisPrefix,
		Log: log}
}

func (s *server) routes() http.Handler {
	e := echo.New()
	clients := newClientAddresses(s.config, s.log)
	e.IPExtractor = clients.extractor()
	e.Pre(requestid.Set, clients.below(s.config.BasePath))
	wallScreens := screen.New(screen.Options{Zones: s.zones, Unreadable: s.unreadable, Log: s.log, KeyRequired: s.guard.ServiceNeedsKey(),
		Afford: limit.Within(), Pairing: s.pairingPossible() == nil})
	e.HTTPErrorHandler = s.htmlErrors(wallScreens, api.Problem(s.log))
	routes := access.New(e, s.operators)
	e.Use(count(s.metrics), access.Headers, access.Hosts, routes.HideInternal, timeAnswers)
	s.access = routes
	s.addAudit(routes)
	routes.Add(access.Client, []string{http.MethodGet}, "/ws",
		ws.New(ws.Options{Gate: s.gate, Pool: s.pool, DeflateFrom: s.config.DeflateFrom}).Serve)
	s.gate.AddRoutes(routes, "/sse", transport.SSE, sse.New(s.gate, s.pool).Serve)
	s.gate.AddRoutes(routes, "/poll", transport.Poll, poll.New(s.gate, s.pool).Serve)
	monitoring := access.Public
	if s.config.MetricsAuth {
		monitoring = access.Viewer
	}
	api.AddRoutes(routes, api.Options{Publisher: s.publisher, Readiness: s.readiness, Cluster: s.cluster, Monitoring: monitoring,
		Connections: connadmin.Client{Cluster: s.cluster}, Revocations: s.revocations, Audit: s.audit, Rebalance: rebalance.Client{Cluster: s.cluster}, Metrics: s.metrics, Guard: s.guard,
		Operators: s.operators, Log: s.log, Limits: s.gate, MaxFrameBytes: s.config.MaxFrameBytes,
		RoomsForOperators: s.config.HealthRooms == config.Operators, PINs: s.pins(), Zones: s.broker.Zones, AlertLog: s.alerts,
		Screens: s.screens(), Pairing: s.screenPairing(), Instances: s.instances()})
	read := func(rule access.Rule, path string, h echo.HandlerFunc) { routes.Add(rule, access.Reading, path, h) }
	to := func(url string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.Redirect(http.StatusFound, url) }
	}
	apidocs.AddRoutes(routes)
	read(access.Public, "/", to(dashboard.Prefix))
	read(access.Public, "/ui", to(dashboard.Prefix))
	signin.AddRoutes(routes, signin.Options{Operators: s.operators, Render: s.renderSignIn})
	read(access.WarehouseViewer, "/ui/*", echo.WrapHandler(s.whileSignedIn(s.ui)))
	s.addRebalanceForm(routes)
	s.addDismissForm(routes)
	s.addClientForms(routes)
	s.addScreenForm(routes)
	s.addPairingForm(routes)
	s.addDrainForm(routes)
	s.addRoomForms(routes)
	s.addEventExport(routes)
	sources := s.sources()
	read(access.Admin, dashboard.AuditPath, echo.WrapHandler(sources.Audit(s.listAudit, s.log)))
	if s.config.HasProfiles() {
		read(access.Admin, "/debug/pprof/*", echo.WrapHandler(profiles()))
	}
	read(access.Public, "/assets/*", echo.WrapHandler(assets.Handler()))
	read(access.Public, "/screen", to(screen.Prefix))
	screens := echo.WrapHandler(wallScreens)
	read(access.WarehouseViewer, "/screen/", screens) // it names the zones that there are
	read(access.Public, "/screen/*", screens)
	routes.Internal("/", "/ui", "/screen", "/ui/login", "/ui/logout", "/ui/login/oidc", operator.CallbackPath)
	return e
}

func (s *server) proxies() []*net.IPNet {
	all, _ := s.config.Proxies() // checked already
	return all
}

// newLog returns a log of the level that c says, until level is set to another.
func newLog(c *config.Config, level *slog.LevelVar) *slog.Logger {
	level.Set(logLevel(c))
	return logging.New(os.Stderr, c.LogFormat, level)
}

func (s *server) brokerKind() string {
	if s.config.RedisURL == "" {
		return "memory"
	}
	return "redis"
}

// method is the request's, as far as HTTP knows it: strangers make up others.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// run serves until ctx ends, then leaves politely, and ends the parts that clients needed.
func (s *server) run(ctx context.Context) error {
	for _, w := range s.config.Warnings() {
		s.log.Warn(w)
	}
	s.log.Info("listening", "addr", strings.Join(addresses(s.system), ", "), "node", s.config.NodeName, "broker", s.brokerKind(),
		"tls", s.aboutTLS())
	s.log.Info("access", s.config.Access()...)
	var running sync.WaitGroup
	beating, stopBeating := context.WithCancel(context.Background())
	defer stopBeating()
	running.Go(func() { s.hub.Run(beating) })
	running.Go(func() { s.cluster.Run(beating) })
	running.Go(func() { s.revocations.Run(beating) })
	running.Go(func() { s.audit.Run(beating) })
	escalator := publishing.Escalator{Publisher: s.publisher, After: s.config.AlertEscalateAfter, Rooms: s.hub.AlertRooms, Log: s.log}
	running.Go(func() { escalator.Run(beating) })
	running.Go(func() { s.incidents.Run(beating) })
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	running.Go(func() { s.watcher.Run(serving) })
	running.Go(func() { s.runCanary(serving) })
	running.Go(func() { s.balancer.Run(serving) }) // which ends before clients are sent away
	drained := make(chan struct{})
	running.Go(func() { defer close(drained); s.drainer.Run(serving) })
	running.Go(func() { s.reloadOnHangup(beating) })
	running.Go(func() { s.ui.Run(beating) })
	failed := make(chan error, 2)
	running.Go(func() { failed <- s.serve(s.http, s.listener) })
	if s.certs != nil {
		running.Go(func() { s.certs.Run(beating) })
	}
	if s.admin != nil {
		s.log.Info("listening for operators and monitoring", "addr", strings.Join(addresses(s.admin.system), ", "))
		running.Go(func() { failed <- s.serve(s.admin.http, s.admin.listener) })
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	}
	stopServing()
	<-drained
	err = errors.Join(err, s.leave(ctx))
	stopBeating()
	running.Wait()
	s.hub.CloseIdleRooms()
	s.pool.Close()
	s.guard.Close()
	if lost := s.closeTracer(); lost != nil {
		s.log.Warn("the last traces were not sent", "error", lost)
	}
	return errors.Join(err, s.cluster.Close(), s.broker.Close())
}

// closeTracer sends what is still there, for a second at most.
func (s *server) closeTracer() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.tracer.Close(ctx)
}
