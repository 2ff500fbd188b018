package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/demo"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The demo's clients connect to each zone, also where tokens are required, and leave in the end.
func TestTheCrowdOfTheDemoConnectsAndLeaves(t *testing.T) {
	secret := strings.Repeat("x", 32)
	s := serving(t, "--auth-token-secret="+secret)
	c := demoCommand{Clients: 40, Seed: 1, Speed: 1}
	c.AuthTokenSecret = secret
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- demo.RunCrowd(ctx, c.crowd(s.url(), slog.New(slog.DiscardHandler))) }()
	// At this speed nobody leaves soon.
	testkit.Eventually(t, "all are connected", func() bool { return s.hub.Connections() == 40 })
	census := s.hub.Counts()
	if len(census.Warehouses) < 2 || len(census.Zones) < 6 {
		t.Errorf("they are in %v and %v, want several of each", census.Warehouses, census.Zones)
	}
	leave()
	testkit.Must(t, <-done)
	testkit.Eventually(t, "all have left", func() bool { return s.hub.Connections() == 0 })
}
