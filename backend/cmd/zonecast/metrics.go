package main

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/web/dashboard"
)

// gauges registers what is read of the server when it is scraped. None of it waits for Redis.
func (s *server) gauges() {
	m, c := s.metrics, s.config
	tcp, _ := c.TCPConnections(descriptors())
	limits := map[string]float64{"tcp_connections": float64(tcp), "queued_bytes": float64(c.MaxQueuedBytes)}
	if c.MaxConnections > 0 {
		limits["connections"] = float64(c.MaxConnections)
	}
	if c.MaxRooms > 0 {
		limits["rooms"] = float64(c.MaxRooms)
	}
	quotas := map[string]float64{}
	for quota, most := range map[string]int{broker.QuotaRooms: c.QuotaRooms, broker.QuotaHistoryBytes: c.QuotaHistoryBytes,
		broker.QuotaRetainedBytes: c.QuotaRetainedBytes, broker.QuotaRetainedEvents: c.QuotaRetainedEvents} {
		if most > 0 {
			quotas[quota] = float64(most)
		}
	}
	isState := func(state string) func() bool {
		return func() bool { return s.readiness.Status().State == state }
	}
	m.AddInstance(metrics.Instance{Broker: s.brokerKind(), BrokerUp: func() bool { return s.readiness.Status().BrokerUp() },
		Ready: isState(cluster.Ready), Draining: isState(cluster.Draining), Nodes: func() int { return len(s.cluster.View().Nodes) },
		Rooms: s.hub.Rooms, Waiting: s.pool.QueuedBytes, TCP: s.tcpConnections, Queued: s.queuedBytes, Limits: limits, QuotaLimits: quotas})
	m.AddPlaces(c.MetricsPlaces, s.places)
	m.Usage(s.usage, broker.QuotaHistoryBytes, broker.QuotaRetainedBytes)
	if b, ok := s.broker.(*broker.Redis); ok {
		m.AddRedis(b.ClockOffset, b.PublishingSuspended)
	}
}

func (s *server) tcpConnections() (open int) {
	for _, l := range s.edges {
		open += l.Open()
	}
	return open
}

// queuedBytes is what waits for each connection.
func (s *server) queuedBytes() []int {
	sessions := s.hub.Sessions()
	all := make([]int, len(sessions))
	for i, session := range sessions {
		all[i] = session.Queue.Stats().QueuedBytes
	}
	return all
}

// places is how many connections are in the rooms of each warehouse and zone.
func (s *server) places() map[metrics.Place]int {
	census := s.census.Get()
	all := make(map[metrics.Place]int, len(census.Warehouses)+len(census.Zones))
	for warehouse, n := range census.Warehouses {
		all[metrics.Place{Warehouse: warehouse}] = n
	}
	for room, n := range census.Zones {
		all[metrics.Place{Warehouse: room.Warehouse, Zone: room.Zone}] = n
	}
	return all
}

// count counts requests by route, never by path, which strangers choose, and times those that are
// no connection of a client nor a stream.
func count(m *metrics.Metrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err)
			}
			route := cmp.Or(c.Path(), noRoute)
			m.Requests.WithLabelValues(route, method(c.Request()), strconv.Itoa(c.Response().Status)).Inc()
			if !isLong(c) {
				m.RequestDuration.WithLabelValues(route).Observe(time.Since(began).Seconds())
			}
			return nil
		}
	}
}

// noRoute counts requests for what there is not.
const noRoute = "none"

// isLong reports whether a request lasts for as long as its client likes.
func isLong(c echo.Context) bool {
	switch c.Path() {
	case "/ws", "/sse", "/poll", "/debug/pprof/*":
		return true
	}
	path := c.Request().URL.Path
	return strings.HasPrefix(path, dashboard.Prefix) && strings.HasSuffix(path, "/events")
}
