package limits

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
	if !errors.As(err, &e) || e.Need != 1<<40+spare || e.Have == 0 || e.Have >= e.Need {
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
}

func TestUsed(t *testing.T) {
	if _, peak := Used(); peak < 1<<20 || peak > 1<<40 {
		t.Errorf("a peak of %d bytes", peak)
	}
}
