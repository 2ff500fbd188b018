package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo"
)

// Those who look on at the demo connect where tokens are wanted too, to each zone, and leave in the end.
func TestTheCrowdOfTheDemoConnectsAndLeaves(t *testing.T) {
	secret := strings.Repeat("x", 32)
	s := serving(t, "--auth-token-secret="+secret)
	c := demoCommand{Clients: 40, Seed: 1, Speed: 1}
	c.AuthTokenSecret = secret
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- demo.RunCrowd(ctx, c.crowd(s.url(), slog.New(slog.DiscardHandler))) }()
	awaited := func(n int) bool {
		for until := time.Now().Add(20 * time.Second); s.hub.Connections() != n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(until) {
				return false
			}
		}
		return true
	}
	if !awaited(40) { // at this speed nobody leaves soon
		t.Errorf("%d are connected, want 40", s.hub.Connections())
	}
	census := s.hub.Census()
	if len(census.Warehouses) < 2 || len(census.Zones) < 6 {
		t.Errorf("they are in %v and %v, want several of each", census.Warehouses, census.Zones)
	}
	leave()
	if err := <-done; err != nil || !awaited(0) {
		t.Errorf("%v; %d stay", err, s.hub.Connections())
	}
}
