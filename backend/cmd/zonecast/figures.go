package main

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/labstack/echo/v4"
	dto "github.com/prometheus/client_model/go"

	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/dashboard"
)

// figures adapts this instance to what the dashboard asks for.
type figures struct {
	server  *server
	metrics *metrics.Metrics
	since   time.Time
}

var _ dashboard.Source = (*figures)(nil)

// Snapshot implements dashboard.Source.
func (f *figures) Snapshot(context.Context) (dashboard.Snapshot, error) {
	s := f.server
	sessions := s.hub.Sessions()
	rooms := map[wire.Room]int{}
	for _, session := range sessions {
		for _, r := range session.Rooms() {
			rooms[r]++
		}
	}
	snapshot := dashboard.Snapshot{Connections: len(sessions), Broker: "memory"}
	for r, n := range rooms {
		if r.Zone == "" {
			snapshot.Warehouses = append(snapshot.Warehouses, dashboard.Warehouse{Name: r.Warehouse, Connections: n})
		} else {
			snapshot.Zones = append(snapshot.Zones, dashboard.Zone{Warehouse: r.Warehouse, Name: r.Zone, Connections: n})
		}
	}
	families, err := f.metrics.Registry.Gather()
	if err != nil {
		return dashboard.Snapshot{}, err
	}
	i := dashboard.Instance{Name: s.config.NodeName, Version: version, UpSince: f.since, Connections: len(sessions),
		QueueBytes: s.pool.Waiting(), Broker: dashboard.BrokerLink{Up: true}}
	if err := s.broker.Health(); err != nil {
		i.State, i.Broker = dashboard.NotReady, dashboard.BrokerLink{Detail: err.Error()}
	}
	if s.leaving.Load() {
		i.State = dashboard.Draining
	}
	for _, family := range families {
		switch family.GetName() {
		case "zonecast_publishes_total":
			i.Published = accepted(family)
		case "zonecast_messages_delivered_total":
			i.Delivered = uint64(family.GetMetric()[0].GetCounter().GetValue())
		case "zonecast_delivery_latency_seconds":
			i.Latency = histogram(family.GetMetric()[0].GetHistogram())
		}
	}
	snapshot.Instances = []dashboard.Instance{i}
	return snapshot, nil
}

func accepted(family *dto.MetricFamily) (n uint64) {
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "result" && l.GetValue() == "ok" {
				n += uint64(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

func histogram(h *dto.Histogram) dashboard.Histogram {
	out := dashboard.Histogram{Count: h.GetSampleCount()}
	for _, b := range h.GetBucket() {
		out.Buckets = append(out.Buckets, dashboard.Bucket{UpperBound: b.GetUpperBound(),
			CumulativeCount: b.GetCumulativeCount()})
	}
	return out
}

// protect asks for the operator's password, if there is one (RFC 7617).
func (s *server) protect(next echo.HandlerFunc) echo.HandlerFunc {
	want := s.config.OperatorPassword
	if want == "" {
		return next
	}
	return func(c echo.Context) error {
		user, password, _ := c.Request().BasicAuth()
		if user != "operator" || subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1 {
			c.Response().Header().Set("WWW-Authenticate", `Basic realm="Zonecast"`)
			return wire.Errorf(wire.CodeUnauthenticated, "log in as operator")
		}
		return next(c)
	}
}
