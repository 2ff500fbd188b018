//go:build linux

package worker

import (
	"testing"
	"time"
)

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
