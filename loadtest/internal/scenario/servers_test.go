//go:build linux

package scenario

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics(strings.NewReader("# HELP x\nprocess_cpu_seconds_total 12.5\nother 3\nprocess_resident_memory_bytes 2.097152e+07\n" +
		"zonecast_connections_opened_total{transport=\"sse\"} 2\nzonecast_connections_opened_total{transport=\"websocket\"} 40\n"))
	if want := (reading{memory: 20 << 20, cpu: 12.5, opened: 42}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, value := range []string{"much", "-1", "NaN", ""} {
		if _, err := parseMetrics(strings.NewReader("process_resident_memory_bytes " + value + "\n")); err == nil {
			t.Errorf("a memory of %q was read", value)
		}
	}
}

func TestThisProcessCanBeRead(t *testing.T) {
	now, err := fromProc(os.Getpid())
	if err != nil || now.memory < 1<<20 {
		t.Errorf("%+v, %v", now, err)
	}
}

// A server that ends is reported as last seen, and one that may not be read not at all.
func TestAServerThatEnds(t *testing.T) {
	s := &servers{}
	now, gone := reading{memory: 10, cpu: 5, opened: 3}, error(nil)
	s.add(t.Context(), "one", func(context.Context) (reading, error) { return now, gone })
	s.add(t.Context(), "closed", func(context.Context) (reading, error) { return reading{}, errors.New("not for you") })
	now = reading{memory: 30, cpu: 6, opened: 100}
	s.start(t.Context())
	now = reading{memory: 20, cpu: 8}
	s.sample(t.Context())
	gone = errors.New("it has ended")
	s.finish(t.Context())
	want := report.Server{Name: "one", MemoryBefore: 10, OpenedBefore: 3, MemoryIdle: 30, MemoryPeak: 30, CPUSeconds: 2}
	if got := s.reports(); len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
