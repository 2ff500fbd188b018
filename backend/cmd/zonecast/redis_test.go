package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// An instance that starts before its Redis waits for it, and does not listen meanwhile.
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
