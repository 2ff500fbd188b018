package ws_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// Draining ends when its time is over, whatever waits for clients that do not read. What is
// documented on top is a second, for what a connection is in the middle of.
func TestDrainEndsInTimeAlthoughNobodyReads(t *testing.T) {
	const clients, given = 10, 500 * time.Millisecond
	const most, noise = given + time.Second, 2 * time.Second
	const queued = 16 << 20 // so much that publishers wait for nobody
	s := start(t, options{Options: transporttest.Options{Queued: queued}})
	for range clients {
		r := s.raw("warehouse=w1")
		if err := r.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
	}
	queues := func() (all []*outbox.Queue) {
		for _, h := range s.Hub.Sessions() {
			all = append(all, h.Queue)
		}
		return all
	}
	full := func() bool {
		n := 0
		for _, q := range queues() {
			if q.Stats().Waiting > 0 {
				n++
			}
		}
		return n == clients
	}
	for more := 20; more > 0; { // the kernel may still move some of it on
		s.Publish(wire.Room{Warehouse: "w1"}, "E", `"`+strings.Repeat("x", 60_000)+`"`)
		if full() {
			more--
		}
	}
	all := queues()
	ctx, cancel := context.WithTimeout(t.Context(), given)
	defer cancel()
	began := time.Now()
	s.Gate.Drain(ctx)
	if took := time.Since(began); took < given/2 || took > most+noise {
		t.Errorf("draining took %v, it had %v", took, given)
	}
	if n := s.Hub.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	s.WantClosed(wire.CloseRestart, clients)
	for _, q := range all {
		eventually(t, "nothing of it is kept", func() bool { return q.Stats().Waiting == 0 })
	}
}
