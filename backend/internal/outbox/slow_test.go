package outbox_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// block fills the socket of a queue, so that what is pushed next waits, and returns how many lines that took. Its client must
// read nothing.
func block(q *outbox.Queue) (lines int) {
	for ; !blocked(q, 48<<10); lines++ {
		q.Push(message(lines))
	}
	return lines
}

// blockWith does so with a frame, until so much waits.
func blockWith(q *outbox.Queue, waiting int, f *outbox.Frame) {
	for !blocked(q, waiting) {
		q.Push(f)
	}
}

// blocked reports whether so much waits for a socket that is full for good. It waits until the writer has tried.
func blocked(q *outbox.Queue, waiting int) bool {
	for !q.Stalled() && q.Stats().Waiting > 0 {
		runtime.Gosched()
	}
	if !q.Stalled() || q.Stats().Waiting < waiting {
		return false
	}
	before := q.Stats()
	time.Sleep(250 * time.Millisecond) // the kernel may still move some of it to the other end, with its timer of 200 ms
	return q.Stats() == before || q.Stats().Slow
}

func TestAClientIsSlowWhileItsOldestMessageWaitsTooLong(t *testing.T) {
	p, m := start(t, outbox.Options{SlowAfter: 50 * time.Millisecond})
	s, c := pair(t)
	q := p.NewQueue(s, lines)
	n := block(q)
	eventually(t, "it counts as slow", func() bool { return q.Stats().Slow && m.slow.Load() == 1 })
	r := bufio.NewReader(c)
	wantLines(t, r, 0, n)
	eventually(t, "it has recovered", func() bool { return !q.Stats().Slow && m.slow.Load() == 0 })

	block(q)
	eventually(t, "it is slow again", func() bool { return m.slow.Load() == 1 })
	endAll(t, []*net.TCPConn{c}, q)
	eventually(t, "one that is gone is not slow", func() bool { return m.slow.Load() == 0 })
}

// state is a message that newer ones of the same name replace.
func state(room, name string, n uint64) *outbox.Frame {
	return outbox.NewMessage(fmt.Appendf(nil, "%s %s %d %s", room, cmp.Or(name, "-"), n, strings.Repeat("x", 100)), time.Now().UnixMicro(),
		outbox.Identity{Room: wire.Room{Warehouse: room}, Offset: wire.Offset{Epoch: "e", N: n}, Conflate: name})
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
	if err != nil {
		t.Fatal(err)
	}
	to, err := wire.ParseOffset(notice.Data.To)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s skipped %d-%d", strings.TrimPrefix(notice.Data.Room, "warehouse:"), from.N+1, to.N)
}

func TestWaitingMessagesAreReplacedByNewerOnes(t *testing.T) {
	for _, c := range []struct {
		name string
		give []*outbox.Frame
		want []string
	}{
		{"nothing to replace", []*outbox.Frame{state("r", "a", 1), state("r", "b", 2)}, []string{"r a 1", "r b 2"}},
		{"one", []*outbox.Frame{state("r", "a", 1), state("r", "a", 2)}, []string{"r skipped 1-1", "r a 2"}},
		{"many become one notice", []*outbox.Frame{state("r", "a", 1), state("r", "a", 2), state("r", "a", 3), state("r", "a", 4)},
			[]string{"r skipped 1-3", "r a 4"}},
		{"two names take turns", []*outbox.Frame{state("r", "a", 1), state("r", "b", 2), state("r", "a", 3), state("r", "b", 4)},
			[]string{"r skipped 1-2", "r a 3", "r b 4"}},
		{"what has no name stays where it is", []*outbox.Frame{state("r", "a", 1), state("r", "", 2), state("r", "a", 3), state("r", "a", 4)},
			[]string{"r skipped 1-1", "r - 2", "r skipped 3-3", "r a 4"}},
		{"another room is another name", []*outbox.Frame{state("r", "a", 1), state("s", "a", 1), state("r", "a", 2)},
			[]string{"r skipped 1-1", "s a 1", "r a 2"}},
		{"notices meet across other rooms", []*outbox.Frame{state("r", "a", 1), state("s", "a", 1), state("r", "b", 2), state("r", "b", 3), state("r", "a", 4)},
			[]string{"r skipped 1-2", "s a 1", "r b 3", "r a 4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, m := start(t, outbox.Options{})
			s, peer := pair(t)
			q := p.NewQueue(s, lines)
			n := block(q)
			replaced := 0
			for _, f := range c.give {
				q.Push(f)
			}
			r := bufio.NewReader(peer)
			wantLines(t, r, 0, n)
			var all []string
			for len(all) < len(c.want) {
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("after %q: %v", all, err)
				}
				all = append(all, got(t, line))
			}
			if !slices.Equal(all, c.want) {
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
			endAll(t, []*net.TCPConn{peer}, q)
		})
	}
}

// However much is published, a client that is behind costs one state and one notice.
func TestASlowClientOfOneStateIsNeverClosed(t *testing.T) {
	p, m := start(t, outbox.Options{MaxBytes: 64 << 10})
	s, c := pair(t)
	q := p.NewQueue(s, lines)
	n := block(q)
	const states = 20_000
	for i := range uint64(states) {
		if err := q.Push(state("r", "a", i+1)); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
	}
	r := bufio.NewReader(c)
	wantLines(t, r, 0, n)
	last := ""
	for seen := uint64(0); seen < states; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
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
	endAll(t, []*net.TCPConn{c}, q)
	io.Copy(io.Discard, c)
}

// Two goroutines read the clock and then take the queue's lock in any order: a moment that is read earlier and used later is not
// 49 days after the other, or a client that has just taken something would count as gone.
func TestAMomentIsNeverInTheFuture(t *testing.T) {
	for _, tt := range []struct {
		then, now uint32
		want      time.Duration
	}{
		{5, 12, 7 * time.Millisecond}, {12, 12, 0}, {13, 12, 0}, {1<<32 - 3, 4, 7 * time.Millisecond}, {4, 1<<32 - 3, 0},
	} {
		if got := outbox.Between(tt.then, tt.now); got != tt.want {
			t.Errorf("from %d to %d it is %v, want %v", tt.then, tt.now, got, tt.want)
		}
	}
}
