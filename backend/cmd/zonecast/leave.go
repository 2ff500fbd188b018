package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/incidents"
)

// A publishRejecter is a broker that keeps its messages in this process: it refuses publications
// once the process leaves, since nobody who reconnects would get them.
type publishRejecter interface{ RejectPublishes() }

var _ publishRejecter = (*broker.Memory)(nil)

// answerDivisor is what part of DRAIN_TIMEOUT is left, whatever clients do, to answer what services
// have sent.
const answerDivisor = 3

// leave ends what clients and services see of this instance, after ctx has ended:
//
//	not ready, all is served   DRAIN_DELAY: balancers look elsewhere
//	clients are sent away      half of DRAIN_TIMEOUT; each answer over HTTP ends its connection
//	who is slow to go is cut   at two thirds of it
//	nobody is heard any more   what was sent is answered; idle connections end
//
// It is an error when DRAIN_TIMEOUT was over before all was answered.
func (s *server) leave(ctx context.Context) error {
	began, why := time.Now(), "serving failed"
	if ctx.Err() != nil {
		why = context.Cause(ctx).Error()
	}
	delay := s.config.Delay(s.config.RedisURL == "")
	if ctx.Err() == nil {
		delay = 0 // nothing is served any more
	}
	s.log.Info("leaving: not ready any more", "why", why, "connections", s.hub.Connections(), "serving_for", delay)
	s.readiness.Leave()
	s.incidents.Record(incidents.Incident{Kind: incidents.DrainBegun, Detail: fmt.Sprintf("%d clients, %s", s.hub.Connections(), why)})
	time.Sleep(delay) // a second signal ends the process

	if b, ok := s.broker.(publishRejecter); ok {
		b.RejectPublishes()
	}
	s.ui.Close()
	s.graceful.Leave()
	drain, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	moving, stopMoving := context.WithTimeout(drain, s.config.DrainTimeout-s.config.DrainTimeout/answerDivisor)
	moved, cut := s.gate.Drain(moving)
	stopMoving()
	err := s.graceful.Shutdown(drain)
	if s.admin != nil { // last, so that operators see the others off
		s.admin.graceful.Leave()
		err = errors.Join(err, s.admin.graceful.Shutdown(drain))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were still under way at the end of the drain time, and were cut off")
	}
	s.incidents.Record(incidents.Incident{Kind: incidents.Left, Lasted: time.Since(began).Milliseconds(),
		Detail: fmt.Sprintf("%d clients were sent elsewhere, %d cut off", moved, cut)})
	s.log.Info("left", "why", why, "moved", moved, "cut", cut, "after", time.Since(began).Round(time.Millisecond))
	return err
}
