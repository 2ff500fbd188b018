package ws_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestAFrameOverTheLimitEndsTheConnection(t *testing.T) {
	s := start(t, options{})
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		c := s.dial("")
		if err := c.conn.WriteMessage(kind, bytes.Repeat([]byte("x"), frameLimit+1)); err != nil {
			t.Fatal(err)
		}
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
	if n := s.Counter("zonecast_pong_timeouts_total"); n != 1 {
		t.Errorf("%v dead peers are counted, want 1", n)
	}
	dead.Close()
	alive.wantAlive()
}

// While a subscription takes longer than a pong may, no pong is read: the peer is alive all the
// same.
func TestAPeerThatTheServerKeptWaitingIsNotDead(t *testing.T) {
	const interval, timeout = 200 * time.Millisecond, 200 * time.Millisecond
	s := start(t, options{Options: transporttest.Options{Heartbeat: interval, Pong: timeout}})
	c := s.dial("warehouse=w1")
	s.Broker.Pause.Store(int64(2 * (interval + timeout)))
	if f := c.ask("subscribe", 1, `{"warehouse":"w2"}`); f.Event != wire.EventAck {
		t.Fatalf("subscribe was answered %s %s", f.Event, f.Data)
	}
	if f := c.ask("echo", 2, `1`); f.Event != wire.EventAck {
		t.Errorf("echo was answered %s %s", f.Event, f.Data)
	}
	if n := s.Counter("zonecast_pong_timeouts_total"); n != 0 {
		t.Errorf("%v peers that answer pings are taken for dead", n)
	}
}

func TestASlowReaderIsClosedAndDisturbsNobody(t *testing.T) {
	const size = 64 << 10
	s := start(t, options{Options: transporttest.Options{Queued: 256 << 10}})
	quick := s.dial("warehouse=w1&zone=a")
	dialer := websocket.Dialer{NetDial: func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(128 << 10) // so that the socket is full early
		}
		return c, err
	}}
	slow, _, err := dialer.Dial("ws://"+s.address+"/ws?warehouse=w1&zone=a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	eventually(t, "both are there", func() bool { return s.Hub.Connections() == 2 })
	data := `"` + strings.Repeat("x", size) + `"`
	sent := 0
	for slowClosed := false; !slowClosed; sent++ {
		if sent > 2000 {
			t.Fatalf("%d MB were taken for a client that reads nothing", sent*size>>20)
		}
		s.Publish(zone, "E", data)
		eventually(t, "the quick one gets it", func() bool { return quick.messages() == sent+1 })
		for _, h := range s.Hub.Sessions() {
			slowClosed = slowClosed || h.Queue.Code() == wire.CloseSlowConsumer
		}
	}
	for { // what was on its way still comes, then the reason
		if _, _, err = slow.ReadMessage(); err != nil {
			break
		}
	}
	if !websocket.IsCloseError(err, int(wire.CloseSlowConsumer)) {
		t.Errorf("the slow one ended with %v, want %d", err, wire.CloseSlowConsumer)
	}
	slow.Close()
	s.WantClosed(wire.CloseSlowConsumer, 1)
	quick.wantAlive()
	if got := s.Counter("zonecast_messages_dropped_total", "reason=slow_consumer"); got == 0 {
		t.Error("nothing was counted as dropped")
	}
	if got := s.Counter("zonecast_messages_delivered_total"); got < float64(sent) {
		t.Errorf("%v messages were counted as delivered, the quick one alone got %d", got, sent)
	}
}

// messages returns how many published events came.
func (c *client) messages() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		if f.Room != "" {
			n++
		}
	}
	return n
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

// Whoever does not answer, or is still on its way in, must not hold up the end.
func TestDrainEndsInTime(t *testing.T) {
	s := start(t, options{})
	for range 3 {
		s.raw("warehouse=w1") // never reads
	}
	halfway, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer halfway.Close()
	fmt.Fprintf(halfway, "GET /ws HTTP/1.1\r\nHost: %s\r\n", s.address)
	eventually(t, "they are there", func() bool { return s.Hub.Connections() == 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	s.Gate.Drain(ctx)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("draining took %v, it had 200 ms", took)
	}
	if n := s.Hub.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	s.WantClosed(wire.CloseRestart, 3)
}
