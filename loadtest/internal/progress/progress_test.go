package progress

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var halfway = Snapshot{
	Phase: "run", Elapsed: 30*time.Second + 400*time.Millisecond, Of: time.Minute,
	Connected: 999, Connections: 1000, Sent: 3000, Received: 2_997_000, Errors: 1, P99: 4230 * time.Microsecond,
}

func TestLine(t *testing.T) {
	for _, tt := range []struct {
		name    string
		give    Snapshot
		withBar bool
		want    string
	}{
		{"on a terminal", halfway, true,
			"run     [██████████░░░░░░░░░░] 30s/1m0s  connected 999/1,000  sent 3,000  received 2,997,000  p99 4.23 ms  errors 1"},
		{"elsewhere", halfway, false,
			"run     30s/1m0s  connected 999/1,000  sent 3,000  received 2,997,000  p99 4.23 ms  errors 1"},
		{"at the beginning", Snapshot{Phase: "connect", Connections: 10}, true,
			"connect [░░░░░░░░░░░░░░░░░░░░] 0s  connected 0/10  sent 0  received 0"},
		{"a phase that is over in no time", Snapshot{Phase: "connect", Of: 400 * time.Millisecond, Elapsed: 200 * time.Millisecond, Connected: 5, Connections: 10}, true,
			"connect [██████████░░░░░░░░░░] 0s  connected 5/10  sent 0  received 0"},
		{"past the end", Snapshot{Phase: "settle", Elapsed: 9 * time.Second, Of: 5 * time.Second}, true,
			"settle  [████████████████████] 9s/5s  connected 0/0  sent 0  received 0"},
	} {
		if got := line(tt.give, tt.withBar); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func watch(t *testing.T, p Printer, d time.Duration) string {
	t.Helper()
	var out bytes.Buffer
	p.W = &out
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		p.Watch(ctx, func() Snapshot { return halfway })
	})
	return out.String()
}

func TestWatchElsewhereWritesALinePerTenSeconds(t *testing.T) {
	got := watch(t, Printer{}, 35*time.Second)
	if n := strings.Count(got, "\n"); n != 3 || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("%d lines in 35 s:\n%q", n, got)
	}
}

func TestWatchOnATerminalDrawsOverItsLine(t *testing.T) {
	got := watch(t, Printer{Live: true, Width: 40}, 1100*time.Millisecond)
	lines := strings.Split(got, "\r\x1b[K")
	if len(lines) != 7 || lines[6] != "" || strings.Contains(got, "\n") {
		t.Fatalf("5 lines and an empty one wanted: %q", lines)
	}
	for _, l := range lines[1:6] {
		if n := len([]rune(l)); n != 39 {
			t.Errorf("%d columns in a terminal of 40: %q", n, l)
		}
	}
}
