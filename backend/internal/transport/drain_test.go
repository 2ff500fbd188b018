package transport_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A client that was let in just before the instance left, and whose session opens only then, is
// sent away like the others: it does not stay until it is cut.
func TestDrainSendsLatecomersAway(t *testing.T) {
	var pool *outbox.Pool
	s := transporttest.Start(t, transporttest.Options{Transport: toyName,
		Routes: func(_ *echo.Echo, _ *transport.Gate, p *outbox.Pool) { pool = p }})
	testkit.Must(t, s.Gate.Enter("192.0.2.1"))
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	type outcome struct{ moved, cut int }
	done := make(chan outcome)
	go func() {
		moved, cut := s.Gate.Drain(ctx)
		done <- outcome{moved, cut}
	}()
	testkit.Eventually(t, "nobody is let in any more", func() bool {
		err := s.Gate.Enter("192.0.2.2")
		if err == nil {
			s.Gate.Leave("192.0.2.2")
		}
		return err != nil
	})
	time.Sleep(50 * time.Millisecond) // those who were there have been told
	r, w := io.Pipe()
	go io.Copy(io.Discard, r)
	late := s.Gate.Open("", hub.Peer{}, pool.NewQueue(toySink{w}, toyEncoding, nil), nil)
	testkit.Eventually(t, "the latecomer is sent away", func() bool { return late.Queue.Code() == wire.CloseRestart })
	late.End()
	s.Gate.Leave("192.0.2.1")
	if got := <-done; got != (outcome{1, 0}) {
		t.Errorf("%d were told, %d cut; want 1 and 0", got.moved, got.cut)
	}
	s.WantClosed(wire.CloseRestart, 1)
}

// A drain that is cancelled leaves those alone that it has not come to, and clients are let in
// again.
func TestACancelledDrainLetsClientsInAgain(t *testing.T) {
	s := startToy(t)
	clients := []*toyClient{connectToy(t, s, "warehouse=w1"), connectToy(t, s, "warehouse=w1")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // the second one's turn comes in 15 minutes
	done := make(chan int)
	go func() {
		moved, _ := s.Gate.Drain(ctx)
		done <- moved
	}()
	s.WantClosed(wire.CloseRestart, 1)
	cancel()
	if moved := <-done; moved != 1 {
		t.Errorf("%d were told, want 1", moved)
	}
	if err := s.Gate.Enter("192.0.2.2"); err == nil {
		t.Error("a newcomer is let in before the gate is open again")
	}
	s.Gate.Reopen()
	testkit.Must(t, s.Gate.Enter("192.0.2.2"))
	s.Gate.Leave("192.0.2.2")
	if n := s.Hub.Connections(); n != 1 {
		t.Errorf("of %d clients %d are there, want 1", len(clients), n)
	}
}
