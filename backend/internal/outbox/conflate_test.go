package outbox_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// state is a message that newer ones of the same name replace.
func state(room, name string, n uint64) *outbox.Frame {
	return &outbox.Frame{Kind: outbox.Message, Accepted: time.Now().UnixMicro(),
		JSON:    fmt.Appendf(nil, "%s %s %d %s", room, cmp.Or(name, "-"), n, strings.Repeat("x", 100)),
		Message: outbox.Identity{Room: wire.Room{Warehouse: room}, Offset: wire.Offset{Epoch: "e", N: n}, Conflate: name}}
}

// got is a line as "room name n" or, for a notice, "room skipped from-to".
func got(t *testing.T, line string) string {
	t.Helper()
	if !strings.HasPrefix(line, "{") {
		f := strings.Fields(line)
		return strings.Join(f[:3], " ")
	}
	var notice struct {
		Event string
		Data  wire.Conflated
	}
	if err := json.Unmarshal([]byte(line), &notice); err != nil || notice.Event != wire.EventConflated {
		t.Fatalf("%s: %v", line, err)
	}
	from, err := wire.ParseOffset(notice.Data.From)
	to, terr := wire.ParseOffset(notice.Data.To)
	if err != nil || terr != nil {
		t.Fatal(err, terr)
	}
	return fmt.Sprintf("%s skipped %d-%d", strings.TrimPrefix(notice.Data.Room, "warehouse:"), from.N+1, to.N)
}

func TestWaitingMessagesAreReplacedByNewerOnes(t *testing.T) {
	for _, c := range []struct{ name, give, want string }{
		{"nothing to replace", "r a 1, r b 2", "r a 1, r b 2"},
		{"one", "r a 1, r a 2", "r skipped 1-1, r a 2"},
		{"many become one notice", "r a 1, r a 2, r a 3, r a 4", "r skipped 1-3, r a 4"},
		{"two names take turns", "r a 1, r b 2, r a 3, r b 4", "r skipped 1-2, r a 3, r b 4"},
		{"what has no name stays", "r a 1, r - 2, r a 3, r a 4", "r skipped 1-1, r - 2, r skipped 3-3, r a 4"},
		{"another room is another name", "r a 1, s a 1, r a 2", "r skipped 1-1, s a 1, r a 2"},
		{"notices meet across other rooms", "r a 1, s a 1, r b 2, r b 3, r a 4", "r skipped 1-2, s a 1, r b 3, r a 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, m := start(t, outbox.Options{})
			q, client := stalledQueue(t, p, lines)
			replaced := 0
			for f := range strings.SplitSeq(c.give, ", ") {
				var room, name string
				var n uint64
				fmt.Sscan(f, &room, &name, &n)
				q.Push(state(room, strings.Trim(name, "-"), n))
			}
			var all []string
			for _, line := range written(t, q, client)[1:] {
				all = append(all, got(t, line))
			}
			if strings.Join(all, ", ") != c.want {
				t.Errorf("got %q, want %q", all, c.want)
			}
			for _, line := range all {
				var room string
				var from, to int
				if n, _ := fmt.Sscanf(line, "%s skipped %d-%d", &room, &from, &to); n == 3 {
					replaced += to - from + 1
				}
			}
			if m.conflated.Load() != int64(replaced) {
				t.Errorf("%d counted, want %d", m.conflated.Load(), replaced)
			}
			endAll(t, nil, q)
		})
	}
}

// However much is published, a client that is behind costs one state and one notice.
func TestASlowClientOfOneStateIsNeverClosed(t *testing.T) {
	p, m := start(t, outbox.Options{MaxQueuedBytes: 64 << 10})
	q, client := stalledQueue(t, p, lines)
	const states = 5_000
	for i := range uint64(states) {
		if err := q.Push(state("r", "a", i+1)); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
	}
	last, seen := "", uint64(0)
	for _, line := range written(t, q, client)[1:] {
		var from, to uint64
		last = got(t, line)
		if _, err := fmt.Sscanf(last, "r skipped %d-%d", &from, &to); err != nil {
			if _, err := fmt.Sscanf(last, "r a %d", &from); err != nil {
				t.Fatal(last)
			}
			to = from
		}
		if from != seen+1 {
			t.Fatalf("after %d came %s", seen, last)
		}
		seen = to
	}
	if want := fmt.Sprintf("r a %d", states); last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
	if m.conflated.Load() == 0 || m.dropped.Load() != 0 {
		t.Errorf("%d conflated, %d dropped", m.conflated.Load(), m.dropped.Load())
	}
	endAll(t, nil, q)
}
