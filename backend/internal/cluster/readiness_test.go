package cluster_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
)

// The time since the broker is down begins when that is first seen, and anew after each recovery.
func TestReadinessSaysSinceWhenTheBrokerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker error
		r := cluster.NewReadiness(func() error { return broker })
		away := errors.New("i/o timeout")
		steps := []struct {
			name    string
			broker  error
			leave   bool
			state   string
			down    time.Duration // for so long; 0 when it is up
			reasons []string
		}{
			{name: "up", state: cluster.Ready},
			{name: "down", broker: away, state: cluster.NotReady, reasons: []string{"broker: i/o timeout"}},
			{name: "still down", broker: away, state: cluster.NotReady, down: time.Minute, reasons: []string{"broker: i/o timeout"}},
			{name: "up again", state: cluster.Ready},
			{name: "down again", broker: away, state: cluster.NotReady, reasons: []string{"broker: i/o timeout"}},
			{name: "down and leaving", broker: away, leave: true, state: cluster.Draining, down: time.Minute,
				reasons: []string{"this instance is shutting down", "broker: i/o timeout"}},
			{name: "leaving", state: cluster.Draining, reasons: []string{"this instance is shutting down"}},
		}
		for _, step := range steps {
			broker = step.broker
			if step.leave {
				r.Leave()
			}
			s := r.Status()
			if s.State != step.state || !slices.Equal(s.Reasons(), step.reasons) {
				t.Errorf("%s: %s because of %q", step.name, s.State, s.Reasons())
			}
			if down := step.broker != nil; down == s.BrokerDownSince.IsZero() || down && time.Since(s.BrokerDownSince) != step.down {
				t.Errorf("%s: the broker is down since %v", step.name, s.BrokerDownSince)
			}
			time.Sleep(time.Minute)
		}
	})
}
