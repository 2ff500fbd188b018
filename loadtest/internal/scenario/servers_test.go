//go:build linux

package scenario

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestParseMetrics(t *testing.T) {
	memory, cpu, err := parseMetrics(strings.NewReader("# HELP x\nprocess_cpu_seconds_total 12.5\nother 3\nprocess_resident_memory_bytes 2.097152e+07\n"))
	if err != nil || memory != 20<<20 || cpu != 12.5 {
		t.Errorf("%d bytes, %v s, %v", memory, cpu, err)
	}
	if _, _, err := parseMetrics(strings.NewReader("process_resident_memory_bytes much\n")); err == nil {
		t.Error("a memory that is no number was read")
	}
}

func TestThisProcessCanBeRead(t *testing.T) {
	memory, _, err := fromProc(os.Getpid())
	if err != nil || memory < 1<<20 {
		t.Errorf("%d bytes, %v", memory, err)
	}
}

// A server that ends during the run is reported with what was last seen of it, and one that may not be read not at all.
func TestAServerThatEnds(t *testing.T) {
	s := &servers{}
	memory, cpu, gone := uint64(10), 5.0, error(nil)
	s.add(t.Context(), "one", func(context.Context) (uint64, float64, error) { return memory, cpu, gone })
	s.add(t.Context(), "closed", func(context.Context) (uint64, float64, error) { return 0, 0, errors.New("not for you") })
	memory, cpu = 30, 6
	s.idle(t.Context())
	memory, cpu = 20, 8
	s.all[0].look(t.Context(), s.all[0].use)
	gone = errors.New("it has ended")
	s.after(t.Context())
	got := s.reports()
	if len(got) != 1 || got[0].MemoryBefore != 10 || got[0].MemoryIdle != 30 || got[0].MemoryPeak != 30 || got[0].CPUSeconds != 2 {
		t.Errorf("%+v", got)
	}
}
