package main

import (
	"context"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/closures"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/pairing"
	"github.com/zonecast/zonecast/backend/internal/rebalance"
	"github.com/zonecast/zonecast/backend/internal/revocation"
	"github.com/zonecast/zonecast/backend/internal/walls"
)

// openGuard opens what decides who may do what.
func (s *server) openGuard(ctx context.Context) (err error) {
	options := s.config.AuthOptions()
	options.Log, options.OnReload = s.log, s.recordReload
	options.Callback.OnResult = s.metrics.AddAuth(func() int { return len(s.guard.Revocations().List()) })
	s.guard, err = auth.Open(ctx, options)
	return err
}

// newRevocations returns what revokes tokens; store is nil without Redis.
func (s *server) newRevocations(store revocation.Store) *revocation.Service {
	maxAge := s.config.AuthMaxAge + s.config.AuthLeeway
	if s.config.AuthMaxAge == 0 || !s.config.AuthRequireExp || s.config.AuthURL != "" {
		maxAge = 0 // there may be tokens that never expire
	}
	return revocation.New(revocation.Options{Revocations: s.guard.Revocations(), Store: store, MaxAge: maxAge, Log: s.log,
		Cluster: func() cluster.Cluster { return s.cluster }, CloseRevoked: func() int {
			if s.gate == nil {
				return 0 // at the start: nobody has connected
			}
			return s.gate.CloseRevoked()
		}})
}

// answer answers the questions of other instances.
func (s *server) answer(connections *connadmin.Handler) cluster.Answerer {
	ended := &closures.Handler{Ring: s.closures, Sessions: s.hub.Sessions, Next: connections.Answer}
	screens := &walls.Handler{Registry: s.walls, Sessions: s.hub.Sessions, Next: ended.Answer}
	codes := pairing.Handler{Desk: s.pairing, Next: screens.Answer}
	return func(ctx context.Context, q cluster.Question) (any, error) {
		if q.Kind == revocation.Kind {
			return s.revocations.Answer(ctx, q)
		}
		if q.Kind == rebalance.Kind {
			return s.balancer.Start(), nil
		}
		return codes.Answer(ctx, q)
	}
}
