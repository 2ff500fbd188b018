//go:build linux

package machine

import (
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
