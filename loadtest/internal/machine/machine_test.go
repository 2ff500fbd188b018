//go:build linux

package machine

import (
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	d := Describe()
	if d.Cores < 1 || d.MemoryGiB < 1 || d.Kernel == "" || d.Go == "" {
		t.Errorf("%+v", d)
	}
	got := Description{Cores: 2, Processor: "AMD EPYC", MemoryGiB: 24, Kernel: "6.18", Go: "1.26.8", Node: "20.20.2"}.String()
	if want := "2 cores of AMD EPYC, 24 GiB, Linux 6.18, Go 1.26.8, Node 20.20.2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIdle(t *testing.T) {
	if d, err := Idle(); err != nil || d <= 0 {
		t.Errorf("%v, %v", d, err)
	}
	if got, err := parseIdle("cpu  10 20 30 400 50 60 7 8 0 0\ncpu0 1 2 3\n"); err != nil || got != 4500*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "cpu 1 2 3 x 5 6\n"} {
		if got, err := parseIdle(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseCPU(t *testing.T) {
	const stat = "4711 (a name) of) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 75 3 4 20 0 9 0 100 1000 200 18446744073709551615"
	if got, err := parseCPU(stat); err != nil || got != 3250*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "4711 (name) S 1 2", strings.Replace(stat, "250", "x", 1)} {
		if got, err := parseCPU(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseResident(t *testing.T) {
	if got, err := parseResident("Name:\tx\nVmHWM:\t 20480 kB\nVmRSS:\t 10240 kB\n"); err != nil || got != 10<<20 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := parseResident("Name:\tx\n"); err == nil {
		t.Error("there is no VmRSS, and yet no error")
	}
}

func TestUsed(t *testing.T) {
	if _, peak := Used(); peak < 1<<20 || peak > 1<<40 {
		t.Errorf("a peak of %d bytes", peak)
	}
}
