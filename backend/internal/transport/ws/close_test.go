package ws_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestAFrameOverTheLimitEndsTheConnection(t *testing.T) {
	s := start(t, options{})
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		c := s.dial("")
		testkit.Must(t, c.conn.WriteMessage(kind, bytes.Repeat([]byte("x"), frameLimit+1)))
		eventually(t, "the connection ends", func() bool { return s.Hub.Connections() == 0 })
		<-c.done
		if !websocket.IsCloseError(c.err, int(wire.CloseTooBig)) {
			t.Errorf("the connection ended with %v, want %d", c.err, wire.CloseTooBig)
		}
	}
	s.WantClosed(wire.CloseTooBig, 2)
}

func TestAClientThatLeavesIsCountedAsGoingAway(t *testing.T) {
	s := start(t, options{})
	polite, silent := s.dial("warehouse=w1"), s.dial("warehouse=w1")
	if err := polite.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")); err != nil {
		t.Fatal(err)
	}
	<-polite.done
	if !websocket.IsCloseError(polite.err, websocket.CloseNormalClosure) {
		t.Errorf("the close frame was answered with %v, want the same code", polite.err)
	}
	s.WantClosed(wire.CloseGoingAway, 1)
	silent.conn.UnderlyingConn().(*net.TCPConn).SetLinger(0) // as if it lost its power
	silent.hangUp()
	s.WantClosed(wire.CloseGoingAway, 2)
	if s.Hub.Rooms() != 0 || s.Hub.Connections() != 0 {
		t.Errorf("%d rooms, %d connections, want none", s.Hub.Rooms(), s.Hub.Connections())
	}
	if opened, all := s.Counter("zonecast_connections_opened_total"), s.Counter("zonecast_connections_closed_total"); opened != 2 || all != 2 {
		t.Errorf("%v opened, %v closed, want 2 and 2", opened, all)
	}
}

func TestHeartbeatsComeWithPings(t *testing.T) {
	const interval = 50 * time.Millisecond
	s := start(t, options{Options: transporttest.Options{Heartbeat: interval}})
	c := s.dialWith("", nil)
	other := s.dial("")
	f := c.wait("a heartbeat", func(f wire.ServerFrame) bool { return f.Event == wire.EventHeartbeat })
	beat := decode[wire.Heartbeat](t, f.Data)
	if beat.Connections < 1 || beat.Connections > 2 || time.Since(time.UnixMilli(beat.Time)).Abs() > patience {
		t.Errorf("the heartbeat says %+v", beat)
	}
	eventually(t, "heartbeats go on", func() bool { return len(c.of(wire.EventHeartbeat)) >= 5 && len(other.of(wire.EventHeartbeat)) >= 5 })
	all := c.of(wire.EventHeartbeat)
	if got := decode[wire.Heartbeat](t, all[len(all)-1].Data); got.Connections != 2 {
		t.Errorf("the heartbeat says %+v, want 2 connections", got)
	}
}

// A peer that answers pings lives, however silent it is otherwise; one that does not is found
// within an interval and a timeout, and closed.
func TestADeadPeerIsFound(t *testing.T) {
	const interval, timeout = 200 * time.Millisecond, time.Second
	s := start(t, options{Options: transporttest.Options{Heartbeat: interval, Pong: timeout}})
	alive := s.dial("warehouse=w1")
	dead := s.raw("warehouse=w1") // never answers
	polite := s.raw("warehouse=w1")
	began := time.Now()
	polite.Write(frame(final|closing, "\x03\xe8"))
	polite.end()
	polite.Close()
	const goingAway = "\x03\xe9" // 1001
	if reason := dead.until(closing); !strings.HasPrefix(reason, goingAway+"no pong") {
		t.Errorf("the dead peer was closed with %q", reason)
	}
	const noise = 2 * time.Second
	if took := time.Since(began); took < timeout || took > interval+timeout+noise {
		t.Errorf("the dead peer was found after %v, with an interval of %v and a timeout of %v", took, interval, timeout)
	}
	s.WantClosed(wire.CloseGoingAway, 2)
	s.WantCount(1, "zonecast_pong_timeouts_total")
	dead.Close()
	alive.wantAlive()
}

// While a subscription takes longer than a pong may, no pong is read: the peer is alive.
func TestAPeerThatTheServerKeptWaitingIsNotDead(t *testing.T) {
	const interval, timeout = 200 * time.Millisecond, 200 * time.Millisecond
	s := start(t, options{Options: transporttest.Options{Heartbeat: interval, Pong: timeout}})
	c := s.dial("warehouse=w1")
	s.Broker.Pause.Store(int64(2 * (interval + timeout)))
	acked[wire.Position](c, wire.EventSubscribe, 1, `{"warehouse":"w2"}`)
	c.wantAlive()
	s.WantCount(0, "zonecast_pong_timeouts_total")
}

func TestDrainSendsEverybodyAway(t *testing.T) {
	const clients = 20
	s := start(t, options{})
	var all []*client
	for i := range clients {
		all = append(all, s.dial(fmt.Sprintf("warehouse=w%d", i%3)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); s.Gate.Drain(ctx) }()
	eventually(t, "newcomers are refused", func() bool {
		_, answer, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", nil)
		if err == nil || answer == nil {
			return false
		}
		wantProblem(t, answer, http.StatusServiceUnavailable, wire.CodeUnavailable, "connect again")
		return answer.Header.Get("Retry-After") != ""
	})
	later := map[int64]bool{}
	for _, c := range all {
		c.wantClosed(wire.CloseRestart)
		frames := c.of(wire.EventDrain)
		if len(frames) != 1 {
			t.Fatalf("a client got %d drain frames, want 1", len(frames))
		}
		d := decode[wire.Drain](t, frames[0].Data)
		if d.RetryAfter < 1 || d.RetryAfter > 60_000 {
			t.Errorf("a client is told to come back after %d ms", d.RetryAfter)
		}
		later[d.RetryAfter] = true
	}
	if len(later) < clients/4 {
		t.Errorf("%d clients are told to come back at %d different times only", clients, len(later))
	}
	<-done
	if n := s.Hub.Connections(); n != 0 {
		t.Errorf("%d connections are left when Drain returns", n)
	}
	s.WantClosed(wire.CloseRestart, clients)
	if got := s.Counter("zonecast_connections_refused_total", "reason=draining"); got == 0 {
		t.Error("the refused newcomers were not counted")
	}
}

// Draining ends when its time is over, whoever does not answer or is still on its way in, and
// whatever waits for clients that do not read. What is documented on top is a second, for what a
// connection is in the middle of.
func TestDrainEndsInTimeAlthoughNobodyReads(t *testing.T) {
	const clients, given = 10, 500 * time.Millisecond
	const most, noise = given + time.Second, 2 * time.Second
	const queued = 16 << 20 // so much that publishers wait for nobody
	s := start(t, options{Options: transporttest.Options{Queued: queued}})
	for range clients {
		r := s.raw("warehouse=w1")
		testkit.Must(t, r.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
	}
	full := func() bool {
		sessions := s.Hub.Sessions()
		return len(sessions) == clients &&
			!slices.ContainsFunc(sessions, func(h *hub.Session) bool { return h.Queue.Stats().QueuedBytes == 0 })
	}
	for more := 20; more > 0; { // the kernel may still move some of it on
		s.Publish(wire.Room{Warehouse: "w1"}, "E", `"`+strings.Repeat("x", 60_000)+`"`)
		if full() {
			more--
		}
	}
	s.raw("") // nothing waits for it, and it does not answer either
	halfway, err := net.Dial("tcp", s.address)
	testkit.Must(t, err)
	defer halfway.Close()
	fmt.Fprintf(halfway, "GET /ws HTTP/1.1\r\nHost: %s\r\n", s.address)
	eventually(t, "all are there", func() bool { return s.Hub.Connections() == clients+1 })
	all := s.Hub.Sessions()
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
	s.WantClosed(wire.CloseRestart, clients+1)
	for _, h := range all {
		eventually(t, "nothing of it is kept", func() bool { return h.Queue.Stats().QueuedBytes == 0 })
	}
}
