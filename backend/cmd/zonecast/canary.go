package main

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/canary"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/ws"
)

// canaryHeartbeat is how often its connection beats: never, since nothing on the way to itself
// forgets a connection that is silent.
const canaryHeartbeat = 365 * 24 * time.Hour

// openCanary makes the canary, or none, and returns what the broker delivers to.
func (s *server) openCanary() broker.Handler {
	if s.config.CanaryInterval == 0 {
		return s.hub
	}
	h := hub.New(hub.Options{Pool: s.pool, Heartbeat: canaryHeartbeat})
	s.canary.hub = h
	s.canary.gate = transport.NewGate(transport.Options{Hub: h, Metrics: metrics.New(version), Guard: auth.New(auth.Options{}),
		Node: s.config.NodeName, Heartbeat: canaryHeartbeat, MaxFrameBytes: s.config.MaxFrameBytes})
	e := echo.New()
	e.GET("/*", ws.New(ws.Options{Gate: s.canary.gate, Pool: s.pool, Transport: canary.Transport}).Serve)
	s.canary.Canary = canary.New(canary.Options{Node: s.config.NodeName, Interval: s.config.CanaryInterval, Hub: h, WebSocket: e,
		Metrics: s.metrics.AddCanary(canary.Results()...), Log: s.log})
	return canary.Handler{Clients: s.hub, Canary: h}
}

// runCanary runs it until ctx ends, before clients are sent away.
func (s *server) runCanary(ctx context.Context) {
	if s.canary.Canary == nil {
		return
	}
	s.canary.Run(ctx)
	gone, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	s.canary.gate.Drain(gone) // the other end may not have noticed yet
	s.log.Info("the canary has ended: this instance is leaving")
}

// kept is what each warehouse of clients keeps.
func (s *server) kept() map[string]broker.Usage {
	all := s.broker.Usage()
	for name := range all {
		if canary.Owns(name) {
			delete(all, name)
		}
	}
	return all
}
