//go:build linux

package scenario

import (
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// The live line's counts are those of the workers' last words, and its latency that of the last
// second. The series of seconds has counts and latencies of the same time.
func TestCountsMoveBetweenSeconds(t *testing.T) {
	r := New(settings.Plan{})
	tick := r.recorder.ticker(0)
	second := latency.New(latency.Fine)
	second.Record(3 * time.Millisecond)
	tick(&worker.Tick{Connected: 5, Sent: 10, Received: 50, Second: true, CPU: 0.5, Latency: second})
	r.recorder.second(time.Now())
	tick(&worker.Tick{Connected: 4, Sent: 12, Received: 58, Failures: 1})
	got := r.Snapshot()
	if got.Connected != 4 || got.Sent != 12 || got.Received != 58 || got.Errors != 1 || got.P99 != 3*time.Millisecond {
		t.Errorf("%+v", got)
	}
	r.recorder.second(time.Now())
	if s := r.recorder.seconds[1]; s.Received != 0 || s.CPU != 50 {
		t.Errorf("a second of which nothing is told yet: %+v", s)
	}
	lag := latency.New(latency.Fine)
	lag.Record(time.Millisecond)
	tick(&worker.Tick{Connected: 4, Sent: 12, Received: 58, Failures: 1, Second: true, CPU: 0.25, Lag: lag})
	r.recorder.second(time.Now())
	if s := r.recorder.seconds[2]; s.Received != 8 || s.Sent != 2 || s.Errors != 1 || s.CPU != 25 || s.LagP99 != 1 || s.P99 != 0 {
		t.Errorf("the second after: %+v", s)
	}
}
