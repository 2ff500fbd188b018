package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// An instance that starts before its Redis waits for it, and does not listen meanwhile. A Redis
// that is full is there: what is out of order is publishing, at each instance alike, and no page,
// metric or event says that the broker is away.
func TestAFullRedisIsNotAway(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	s := serving(t, "--redis-url="+redis.URL, "--drain-delay=0s")
	_, err := redis.Command(t.Context(), "CONFIG SET maxmemory 1")
	testkit.Must(t, err)
	testkit.Eventually(t, "it is known", func() bool { return s.readiness.Status().Broker != nil })
	if up := s.scrape(t)[`zonecast_broker_up{broker="redis"}`]; up != 1 {
		t.Errorf("zonecast_broker_up is %v, want 1", up)
	}
	if answer, said := s.ask(t, http.MethodGet, "/readyz"); answer.StatusCode != http.StatusOK || !strings.Contains(string(said), "out of memory") {
		t.Errorf("/readyz: %s %s", answer.Status, said)
	}
	testkit.Succeeds(t, "the dashboard says what is wrong", func() error {
		if _, said := s.ask(t, http.MethodGet, "/ui/"); !strings.Contains(string(said), "Degraded") || !strings.Contains(string(said), "Redis is out of memory") {
			return errors.New(string(said))
		}
		return nil
	})
	if _, said := s.ask(t, http.MethodGet, "/ui/log"); strings.Contains(string(said), "OOM") {
		t.Errorf("the events have a broker that is away: %s", said)
	}
}

func TestStartWaitsForRedis(t *testing.T) {
	r := stacktest.Redis(t, stack.Single).Redis
	testkit.Must(t, r.Kill())
	back := make(chan error, 1)
	time.AfterFunc(time.Second, func() { back <- r.Start(t.Context()) })
	s := serving(t, "--redis-url="+r.URL, "--drain-delay=0s")
	testkit.Must(t, <-back)
	testkit.Eventually(t, "it is ready", func() bool {
		answer, _ := s.ask(t, http.MethodGet, "/readyz")
		return answer.StatusCode == http.StatusOK
	})
	figures := s.scrape(t)
	if offset, known := figures["zonecast_clock_offset_seconds"]; !known || offset < -0.4 || offset > 0.4 {
		t.Errorf("the clock of this machine's own Redis is said to be %v s ahead (%v)", offset, known)
	}
	if suspended, known := figures["zonecast_publishing_suspended"]; !known || suspended != 0 {
		t.Errorf("publishing is suspended: %v (%v)", suspended, known)
	}
}
