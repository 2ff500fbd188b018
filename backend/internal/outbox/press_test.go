package outbox_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
)

// A client that takes nothing presses for a moment, then counts as lagging, and at last for nobody: it can't be waited for.
func TestAQueuePressesWhileItsClientTakesSomething(t *testing.T) {
	p, _ := start(t, outbox.Options{SlowAfter: time.Second, MaxBytes: 128 << 10})
	s, c := pair(t)
	q := p.NewQueue(s, lines, nil)
	queues := []*outbox.Queue{q}
	if b := p.Backlog(queues); b.Behind != 0 {
		t.Errorf("an empty queue counts: %+v", b)
	}
	block(q)
	if b := p.Fanout(message(0), queues); b.Behind != 1 {
		t.Errorf("a queue with more than a quarter of its bound waiting is not behind: %+v", b)
	}
	eventually(t, "it lags", func() bool { return p.Backlog(queues) == outbox.Backlog{Behind: 1, Lagging: 1} })
	eventually(t, "it is asleep", func() bool { return p.Backlog(queues) == outbox.Backlog{Behind: 1, Lagging: 1, Asleep: 1} })
	eventually(t, "a client that takes nothing presses nobody", func() bool { return p.Backlog(queues) == outbox.Backlog{} })
	endAll(t, []*net.TCPConn{c}, q)
}

// A large buffer in the kernel hides that a slow client reads: it lets more in only when a third of it is free.
func TestAClientThatReadsSlowlyThroughALargeBufferIsSeenToRead(t *testing.T) {
	p, _ := start(t, outbox.Options{SlowAfter: 200 * time.Millisecond})
	s, c := pair(t)
	s.SetWriteBuffer(1 << 20)
	q := p.NewQueue(s, lines, nil)
	blockWith(q, 512<<10, outbox.NewRaw(make([]byte, 4<<10)))
	sent := q.Stats().Bytes
	buf := make([]byte, 16<<10)
	for i := range 20 {
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		if b := p.Backlog([]*outbox.Queue{q}); b.Behind != 1 {
			t.Fatalf("after %d reads a client that reads presses nobody", i+1)
		}
	}
	t.Logf("%d bytes more went into the socket meanwhile", q.Stats().Bytes-sent)
	endAll(t, []*net.TCPConn{c}, q)
}
