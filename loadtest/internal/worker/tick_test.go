//go:build linux

package worker

import (
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// Counts are told several times a second; what a second was like, once, with all of its latencies.
func TestCountsAreToldInBetween(t *testing.T) {
	var told []Tick
	w, err := Open(Job{Run: stamp.NewRun(), Dialect: "zonecast", Rooms: []string{"zone:w:a"}, PayloadBytes: 128},
		func(tick *Tick) { told = append(told, *tick) })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	turn := func(sinceCounts, sinceSecond time.Duration) Tick {
		t.Helper()
		told = nil
		w.counts.Received++
		w.secondLive.Record(time.Millisecond)
		now := swarm.Now()
		w.counted, w.ticked = now-uint64(sinceCounts), now-uint64(sinceSecond)
		if err := w.turn(0); err != nil {
			t.Fatal(err)
		}
		if len(told) > 1 {
			t.Fatalf("told %d times", len(told))
		}
		return append(told, Tick{})[0]
	}
	if got := turn(0, 0); got.Received != 0 {
		t.Errorf("too early: %+v", got)
	}
	if got := turn(countEvery, countEvery); got.Received != 2 || got.Second || got.Latency != nil {
		t.Errorf("counts: %+v", got)
	}
	if got := turn(countEvery, time.Second); got.Received != 3 || !got.Second || got.Latency == nil || got.Latency.Count() != 3 {
		t.Errorf("a second: %+v", got)
	}
}
