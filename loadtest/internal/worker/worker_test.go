//go:build linux

package worker

import (
	"encoding/json"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// 8 KiB is what a member may cost the load tester; it has a few hundred bytes.
func TestAMemberIsSmall(t *testing.T) {
	s := fake.New(fake.Faults{})
	defer s.Close()
	const members = 500
	w, err := Open(Job{
		Run: stamp.NewRun(), Protocol: "zonecast", Rooms: []string{fake.Room.String()}, PayloadBytes: 128, Members: members,
		Targets: []Address{{Addr: netip.MustParseAddrPort(s.Listener.Addr().String()), Host: "fake", Path: "/ws"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := w.Settle(t.Context(), nil, 0)
	if err != nil || p.Joined != members {
		t.Fatalf("%+v, %v", p, err)
	}
	before := heapBytes()
	runtime.KeepAlive(w)
	w = nil // and its sockets stay open, so that the server's side of them is not counted
	own := int64(before) - int64(heapBytes())
	if per := own / members; per > 8<<10 || per < 100 {
		t.Errorf("a member has %d bytes", per)
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestArrivals(t *testing.T) {
	a, b := Arrivals{{3, 500}, {2, 100}}, Arrivals{{1, 900}, {2, 50}, {1, 7}}
	got := b.Merge(a)
	if want := (Arrivals{{4, 900}, {4, 100}, {1, 7}}); !slices.Equal(got, want) || a[0].count != 3 {
		t.Errorf("%v, want %v", got, want)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back Arrivals
	if err := json.Unmarshal(text, &back); err != nil || !slices.Equal(back, got) {
		t.Errorf("%s became %v, %v", text, back, err)
	}
	for _, bad := range []string{`{}`, `"AAAA"`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// Counts are told several times a second; what a second was like, once, with all of its latencies.
func TestCountsAreToldInBetween(t *testing.T) {
	var told []Tick
	w, err := Open(Job{Run: stamp.NewRun(), Protocol: "zonecast", Rooms: []string{"zone:w:a"}, PayloadBytes: 128},
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
		now := client.Now()
		w.lastCounts, w.lastTick = now-uint64(sinceCounts), now-uint64(sinceSecond)
		if err := w.poll(0); err != nil {
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
	if got := turn(countsInterval, countsInterval); got.Received != 2 || got.Second || got.Latency != nil {
		t.Errorf("counts: %+v", got)
	}
	if got := turn(countsInterval, time.Second); got.Received != 3 || !got.Second || got.Latency == nil || got.Latency.Count() != 3 {
		t.Errorf("a second: %+v", got)
	}
}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		give int
		most time.Duration
	}{
		{1, 200 * time.Millisecond}, {2, 400 * time.Millisecond}, {4, 1600 * time.Millisecond}, {5, 2 * time.Second}, {1000, 2 * time.Second},
	} {
		for range 100 {
			if got := backoff(tt.give); got < tt.most/2 || got >= tt.most {
				t.Fatalf("backoff(%d) = %v, want %v to %v", tt.give, got, tt.most/2, tt.most)
			}
		}
	}
}
