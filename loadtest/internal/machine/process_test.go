//go:build linux

package machine

import (
	"strings"
	"testing"
	"time"
)

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
