//go:build linux

package machine

import (
	"errors"
	"strings"
	"testing"
)

func TestDescriptors(t *testing.T) {
	if err := Descriptors(10); err != nil {
		t.Errorf("10 connections: %v", err)
	}
	err := Descriptors(1 << 40)
	var e *DescriptorError
	if !errors.As(err, &e) || e.Need != 1<<40+reserved || e.Have == 0 || e.Have >= e.Need {
		t.Fatalf("a million million connections: %v", err)
	}
}

func TestDescriptorErrorSaysWhatToDo(t *testing.T) {
	got := (&DescriptorError{Need: 30_050, Have: 1024}).Error()
	for _, want := range []string{"30050", "1024", "ulimit -n 30050", "at most 974 connections"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	// With next to no descriptors, fewer connections would not help, so it does not suggest that.
	if got := (&DescriptorError{Need: 267, Have: 20}).Error(); !strings.HasSuffix(got, "raise the limit (ulimit -n 267)") {
		t.Errorf("%q", got)
	}
}

func TestPorts(t *testing.T) {
	if n := Ports(); n < 1 || n > 65_535 {
		t.Errorf("%d ports", n)
	}
	got := (&PortError{Need: 60_000, Have: 28_232, Sources: 1}).Error()
	for _, want := range []string{"60000", "28232", "--source-address", "ip_local_port_range", "--ws-url"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

func TestProcesses(t *testing.T) {
	if n := Processes(10); n != 1 {
		t.Errorf("%d processes for 10 connections", n)
	}
	have, err := descriptorLimit()
	if err != nil {
		t.Fatal(err)
	}
	if have < 1<<20 {
		if n := Processes(2 * int(have)); n != 3 {
			t.Errorf("%d processes for twice as many connections as one may have", n)
		}
	}
	if n := Processes(1 << 40); n != 1 {
		t.Errorf("%d processes for a slip of the keyboard", n)
	}
}
