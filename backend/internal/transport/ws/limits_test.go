package ws_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

func limited(t *testing.T, limits transport.Limits) *server {
	return start(t, options{Options: transporttest.Options{Limits: limits}})
}

func TestFramesAreLimitedByRate(t *testing.T) {
	s := limited(t, transport.Limits{Frames: limit.Rate{Tokens: 5, Refill: 10}})
	c, calm := s.dial(""), s.dial("")
	for i := range 5 {
		acked[int](c, wire.EventEcho, int64(i+1), `1`)
	}
	f := c.ask("echo", 6, `1`)
	e := decode[wire.Error](t, f.Data)
	if f.Event != wire.EventError || e.Code != wire.CodeRateLimited || e.RetryAfter < 1 || e.RetryAfter > 100 {
		t.Fatalf("the sixth frame was answered %s %s, want rate_limited with retryAfter up to 100", f.Event, f.Data)
	}
	s.WantCount(1, "zonecast_messages_dropped_total", "reason=rate_limited")
	time.Sleep(time.Duration(e.RetryAfter) * time.Millisecond)
	acked[int](c, wire.EventEcho, 7, `1`)
	calm.wantAlive()
}

func TestAClientThatHammersIsClosed(t *testing.T) {
	hammers := map[string]func(c *client){
		"frames":    func(c *client) { c.conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"echo","id":1}`)) },
		"no frames": func(c *client) { c.conn.WriteMessage(websocket.TextMessage, []byte(`x`)) },
		"pongs":     func(c *client) { c.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second)) },
		"pings":     func(c *client) { c.conn.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)) },
	}
	for name, hammer := range hammers {
		t.Run(name, func(t *testing.T) {
			s := limited(t, transport.Limits{Frames: limit.Rate{Tokens: 3, Refill: 0.001}})
			c, calm := s.dial(""), s.dial("")
			for range 3 + wire.RefusalsBeforeClose + 50 {
				hammer(c)
			}
			c.wantClosed(wire.CloseLimit)
			s.WantClosed(wire.CloseLimit, 1)
			if got := s.Counter("zonecast_messages_dropped_total", "reason=rate_limited"); got <= wire.RefusalsBeforeClose || got > wire.RefusalsBeforeClose+50 {
				t.Errorf("counted %v times, want a little more than %d", got, wire.RefusalsBeforeClose)
			}
			calm.wantAlive()
		})
	}
}

// A client has only so many bytes, whatever they are.
func TestBytesAreLimited(t *testing.T) {
	s := limited(t, transport.Limits{Frames: limit.Rate{Tokens: 2, Refill: 0.001}})
	r := s.raw("")
	defer r.Close()
	calm := s.dial("")
	part := strings.Repeat("x", 80)
	for range 3 { // messages as long as may be, in many fragments
		r.Write(frame(text, part))
		for range 98 {
			r.Write(frame(continuation, part))
		}
		r.Write(frame(final|continuation, part))
	}
	s.WantClosed(wire.CloseLimit, 1)
	calm.wantAlive()
}

func TestConnectionsOfAnAddressAreLimited(t *testing.T) {
	s := limited(t, transport.Limits{ConnectionsPerAddress: 2})
	c, _ := s.dial(""), s.dial("")
	_, answer, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", nil)
	if err == nil || answer == nil || answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("the third of two: %v, %v; want 429 with Retry-After", answer, err)
	}
	s.WantCount(1, "zonecast_connections_refused_total", "reason=address_limit")
	c.hangUp()
	eventually(t, "there is room again", func() bool {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", nil)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// wantThreeFrames fails unless both may send three frames together.
func (s *server) wantThreeFrames(one, two *client) {
	s.t.Helper()
	for i, c := range []*client{one, two, one} {
		acked[int](c, wire.EventEcho, int64(i+1), `1`)
	}
	if f := two.ask("echo", 4, `1`); f.Event != wire.EventError || !strings.Contains(string(f.Data), "rate_limited") {
		s.t.Errorf("the fourth frame: %s %s", f.Event, f.Data)
	}
	s.WantCount(1, "zonecast_messages_dropped_total", "reason=rate_limited")
}

func TestFramesOfAnAddressAreLimited(t *testing.T) {
	s := limited(t, transport.Limits{AddressFrames: limit.Rate{Tokens: 3, Refill: 0.001}})
	one, two := s.dial(""), s.dial("")
	s.wantThreeFrames(one, two)
}

// 200 frames a second are too many in the long run, although some are let through between.
func TestAClientThatIsALittleTooFastForLongIsClosed(t *testing.T) {
	s := limited(t, transport.Limits{Frames: limit.Rate{Tokens: wire.RateLimitTokens, Refill: wire.RateLimitRefill}})
	c := s.dial("")
	for range 1000 {
		if c.conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"echo"}`)) != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.wantClosed(wire.CloseLimit)
	s.WantClosed(wire.CloseLimit, 1)
}

func TestConnectionsAndFramesOfAUserAreLimited(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}, Limits: transport.Limits{ConnectionsPerUser: 2,
		UserFrames: limit.Rate{Tokens: 3, Refill: 0.001}}}})
	as := func(user string) string { return "token=" + tokenOf(t, user, time.Hour, false) }
	one, two := s.dial(as("u-1")), s.dial(as("u-1"))
	third := s.dialWith(as("u-1"), nil)
	third.wantClosed(wire.CloseLimit)
	other := s.dial(as("u-2"))
	s.wantThreeFrames(one, two)
	s.WantCount(1, "zonecast_connections_closed_total", "code=limit_reached")
	other.wantAlive()
	one.hangUp()
	eventually(t, "the user may connect again", func() bool {
		c := s.dialWith(as("u-1"), nil)
		defer c.hangUp()
		eventually(t, "the server says something", func() bool { return len(c.seen()) > 0 })
		return c.seen()[0].Event == wire.EventConnected
	})
}
