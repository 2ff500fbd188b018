package e2e_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var previous = flag.String("previous", "", "a program of a release before: TestPromiseRollingRestart rolls it into this one, and back")

// Three instances are restarted one after the other, behind nginx, under clients of all transports
// and steady publishing: no publish fails, each client gets each message once and in order, and is
// without news for less than 2 s. With -full as many clients and publishes as at a large site,
// whose connections are even again within a minute. With -previous they are upgraded, and then
// rolled back.
func TestPromiseRollingRestart(t *testing.T) {
	size, most := siteSize{clients: 300, zones: 10, rate: 100}, 30*time.Second // a busy machine is slow
	if *full {
		size, most = siteSize{clients: 3000, zones: 100, rate: 500}, 2*time.Second
	}
	programs := []string{binary(), binary()}
	if *previous != "" {
		programs = []string{*previous, binary(), *previous}
	}
	program := filepath.Join(t.TempDir(), "zonecast")
	testkit.Must(t, os.Symlink(programs[0], program))
	s := openSite(t, stack.Options{Binary: program, Instances: 3,
		Settings: map[string]string{"DRAIN_DELAY": "3s", "HISTORY_MESSAGES": "5000", "REBALANCE_INTERVAL": "10s"}}, size)
	for _, next := range programs[1:] {
		testkit.Must(t, os.Remove(program))
		testkit.Must(t, os.Symlink(next, program))
		for _, i := range s.Instances {
			if err := i.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if *full {
		wantEven(t, s.Instances, time.Minute)
	}
	if longest := slices.Max(s.close(t).gaps); s.failed.Load() > 0 || longest > most {
		t.Errorf("%d publishes failed, and a client was without news for %v; want 0 and less than %v", s.failed.Load(), longest, most)
	}
}

// An instance is killed: its clients come back at the other one, and nobody misses a message.
// With -full it has 5,000 of them, of whom 99 % are back within 2 s.
func TestPromiseClientsOfAKilledInstanceComeBackElsewhere(t *testing.T) {
	size, most := siteSize{clients: 120, zones: 4, rate: 20}, time.Minute
	if *full {
		size, most = siteSize{clients: 10_000, zones: 100, rate: 100}, 2*time.Second
	}
	s := openSite(t, stack.Options{Instances: 2, Settings: map[string]string{"HISTORY_MESSAGES": "5000"}}, size)
	s.reset()
	testkit.Must(t, s.Instances[0].Kill())
	time.Sleep(3 * time.Second) // while publishing goes on
	returns := s.close(t).returns
	if len(returns) < size.clients/10 {
		t.Fatalf("%d of %d clients had to come back: the instance that was killed had none", len(returns), size.clients)
	}
	if p99 := returns[(len(returns)-1)*99/100]; p99 > most {
		t.Errorf("99 %% were back after %v, want %v", p99, most)
	}
}

// Redis is away: what is published meanwhile is refused, soon, and is not delivered later. With
// -full it is away for 20 s, and 95 % of the refusals come within 50 ms: before it is known to
// hang, they take 3 s.
func TestPromiseWhatIsRefusedWithoutRedisNeverComes(t *testing.T) {
	size, away := siteSize{clients: 30, zones: 3, rate: 60}, 4*time.Second // a hanging Redis is known after 2 s
	if *full {
		size, away = siteSize{clients: 300, zones: 10, rate: 100}, 20*time.Second
	}
	for _, how := range []struct {
		name    string
		happens func(t *testing.T, s *site)
	}{
		{"killed", func(t *testing.T, s *site) {
			testkit.Must(t, s.Redis.Kill())
			time.Sleep(away)
			testkit.Must(t, s.Redis.Start(t.Context()))
		}},
		{"frozen", func(t *testing.T, s *site) { freeze(t, s.Redis.Process, away) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			s := openSite(t, stack.Options{Instances: 2, RedisArgs: []string{"--appendfsync", "always"}}, size)
			how.happens(t, s)
			before := s.published.Load()
			testkit.Eventually(t, "publishing goes on", func() bool { return s.published.Load() > before+int64(size.rate) })
			s.close(t)
			slices.Sort(s.refusals)
			t.Logf("%d were refused, after %s", len(s.refusals), spread(s.refusals))
			if len(s.refusals) == 0 {
				t.Fatal("nothing was refused")
			}
			if p95 := s.refusals[(len(s.refusals)-1)*95/100]; *full && p95 > 50*time.Millisecond {
				t.Errorf("95 %% were refused after %v, want 50 ms", p95)
			}
		})
	}
}

// wantEven waits until each instance has as many streams as the mean, give or take a fifth.
func wantEven(t *testing.T, instances []*stack.Server, within time.Duration) {
	t.Helper()
	var each []float64
	for began := time.Now(); time.Since(began) < within; time.Sleep(time.Second) {
		each = each[:0]
		var sum float64
		for _, i := range instances {
			n := metric(t, i.URL, `zonecast_connections{transport="websocket"}`) + metric(t, i.URL, `zonecast_connections{transport="sse"}`)
			each, sum = append(each, n), sum+n
		}
		mean := sum / float64(len(each))
		if slices.Max(each) <= 1.2*mean && slices.Min(each) >= 0.8*mean {
			t.Logf("streams by instance after %v: %v", time.Since(began).Round(time.Second), each)
			return
		}
	}
	t.Errorf("streams by instance after %v: %v", within, each)
}
