package hub_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// wantUnbroken holds what a client saw to the promise of order: from each joining on, the numbers
// of a room rise by one; only a gap leaps; nothing comes before joining or after leaving; retained
// events come before all others. It returns the number of messages of each room.
func wantUnbroken(t testing.TB, frames []wire.ServerFrame) map[string]int {
	t.Helper()
	next := map[string]uint64{} // of the rooms that the client is in
	fresh := map[string]bool{}  // nothing but retained events came since joining
	count := map[string]int{}
	for i, f := range frames {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("frame %d, %s: %s\n%s", i, describe(f), fmt.Sprintf(format, args...), around(frames, i))
		}
		switch f.Event {
		case "joined":
			j := decode[joined](t, f.Data)
			next[j.Room], fresh[j.Room] = j.Next, true
			continue
		case "left":
			delete(next, decode[joined](t, f.Data).Room)
			continue
		case wire.EventGap:
			g := decode[wire.Gap](t, f.Data)
			from, _ := wire.ParseOffset(g.From)
			to, err := wire.ParseOffset(g.To)
			if n, in := next[g.Room]; err != nil || !in || from.N+1 != n {
				fail("from %s to %s (%v), want the gap to begin before number %d", g.From, g.To, err, n)
			}
			next[g.Room] = to.N + 1
			continue
		case wire.EventHeartbeat, "closed", "ping":
			continue
		}
		n, in := next[f.Room]
		o, err := wire.ParseOffset(f.Offset)
		switch {
		case err != nil || !in:
			fail("the client is not in this room: %v", err)
		case f.Retained && !fresh[f.Room]:
			fail("a retained event after others")
		case f.Retained && o.N >= n:
			fail("a retained event that is not older than number %d", n)
		case f.Retained:
			continue
		case o.N != n:
			fail("want number %d", n)
		}
		next[f.Room]++
		fresh[f.Room] = false
		count[f.Room]++
	}
	return count
}

func decode[T any](t testing.TB, p []byte) (v T) {
	t.Helper()
	testkit.Must(t, json.Unmarshal(p, &v))
	return v
}

func describe(f wire.ServerFrame) string {
	if f.Room == "" {
		return fmt.Sprintf("%s %s", f.Event, f.Data)
	}
	return fmt.Sprintf("%s %s retained=%v", f.Room, f.Offset, f.Retained)
}

func around(frames []wire.ServerFrame, i int) (s string) {
	for k := max(0, i-5); k < min(len(frames), i+6); k++ {
		s += fmt.Sprintf("  %d: %s\n", k, describe(frames[k]))
	}
	return s
}

// numbers returns the numbers of the room's messages, retained ones negative, and "gap a-b".
func numbers(t testing.TB, frames []wire.ServerFrame, room wire.Room) (got []string) {
	t.Helper()
	for _, f := range frames {
		switch {
		case f.Event == wire.EventGap && decode[wire.Gap](t, f.Data).Room == room.String():
			g := decode[wire.Gap](t, f.Data)
			from, _ := wire.ParseOffset(g.From)
			to, _ := wire.ParseOffset(g.To)
			got = append(got, fmt.Sprintf("gap %d-%d", from.N, to.N))
		case f.Room == room.String():
			o, err := wire.ParseOffset(f.Offset)
			testkit.Must(t, err)
			s := fmt.Sprint(o.N)
			if f.Retained {
				s = "retained " + s
			}
			got = append(got, s)
		}
	}
	return got
}

func wantNumbers(t testing.TB, g *guest, room wire.Room, want ...string) {
	t.Helper()
	if got := numbers(t, g.flush(), room); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%s got of %s: %q, want %q", g.ID, room, got, want)
	}
}
