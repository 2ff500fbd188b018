package outbox_test

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

var eventually = testkit.Eventually

// block fills the socket of a queue, so that what is pushed next waits, and returns how many lines
// that took. Its client must read nothing.
func block(q *outbox.Queue) (lines int) {
	for ; !blocked(q); lines++ {
		q.Push(message(lines))
	}
	return lines
}

// blocked reports whether 48 KiB wait for a socket that is full for good, once the writer has
// tried.
func blocked(q *outbox.Queue) bool {
	for !q.Stalled() && q.Stats().QueuedBytes > 0 {
		runtime.Gosched()
	}
	before := q.Stats()
	if !q.Stalled() || before.QueuedBytes < 48<<10 {
		return false
	}
	time.Sleep(250 * time.Millisecond) // the kernel may still move some of it to the other end, with its timer of 200 ms
	return q.Stats() == before || q.Stats().Slow
}

func TestAClientIsSlowWhileItsOldestMessageWaitsTooLong(t *testing.T) {
	p, m := start(t, outbox.Options{SlowAfter: 50 * time.Millisecond})
	s, c := pair(t)
	q := p.NewQueue(s, lines, nil)
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

// A slowCloser is a socket whose peer reads while it is being closed.
type slowCloser struct {
	*net.TCPConn
	client  *net.TCPConn
	closing sync.Once
}

func (s *slowCloser) Close() error {
	s.closing.Do(func() {
		buf := make([]byte, 1<<20)
		for range 8 { // until its writer is back in the socket
			s.client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			io.ReadFull(s.client, buf)
		}
	})
	return s.TCPConn.Close()
}

// The writer of a full socket notes what it took while it holds the socket, which closing waits
// for.
func TestAHangupDoesNotHangWhenTheFullSocketTakesSomething(t *testing.T) {
	p, _ := start(t, outbox.Options{})
	s, c := pair(t)
	q := p.NewQueue(&slowCloser{TCPConn: s, client: c}, lines, nil)
	block(q)
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Hangup(wire.CloseGoingAway)
		q.Stats()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the hangup and the writer wait for each other")
	}
	c.Close()
}

// Two goroutines read the clock and then take the queue's lock in any order: a moment that is read
// earlier and used later is not 49 days after the other, or a client that has just taken something
// would count as gone.
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
