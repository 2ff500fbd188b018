package ws_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// A client that is behind gets the newest state of each name, and is told what was replaced; its
// offsets have no hole.
func TestAClientThatIsBehindGetsTheNewestStates(t *testing.T) {
	const states = 2000
	s := start(t, options{Options: transporttest.Options{Queued: 256 << 10}})
	r := s.raw("warehouse=w1&zone=a")
	_ = r.Conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	r.until(text) // connected: it is in the room
	s.fillSocket(zone)
	var last wire.Offset
	for i := range states { // many times its bound
		last = s.Send(broker.Publication{Room: zone, Event: wire.EventZoneUpdate, Conflate: fmt.Sprint("zone-", i%3),
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"x":%q}`, i, strings.Repeat("x", 500)))})
	}
	newest := map[int]bool{}
	for seen := uint64(0); seen < last.N; {
		f, err := wire.DecodeServer([]byte(r.until(text)))
		if err != nil {
			t.Fatal(err)
		}
		from, to := seen, seen
		switch {
		case f.Event == wire.EventConflated:
			c := decode[wire.Conflated](t, f.Data)
			first, _ := wire.ParseOffset(c.From)
			end, _ := wire.ParseOffset(c.To)
			from, to = first.N, end.N
		case f.Room != "":
			at, _ := wire.ParseOffset(f.Offset)
			from, to = at.N-1, at.N
			var state struct{ N int }
			if json.Unmarshal(f.Data, &state) == nil && state.N >= states-3 {
				newest[state.N] = true
			}
		}
		if from != seen {
			t.Fatalf("after number %d came %s %s", seen, f.Event, f.Data)
		}
		seen = to
	}
	if len(newest) != 3 {
		t.Errorf("of the newest states came %v", newest)
	}
	if n := s.Counter("zonecast_messages_dropped_total", "reason=conflated"); n < states/2 {
		t.Errorf("%v are counted as conflated", n)
	}
}

// fillSocket publishes to the room until something waits for its members.
func (s *server) fillSocket(room wire.Room) {
	s.t.Helper()
	data := `"` + strings.Repeat("x", 60_000) + `"`
	behind := func() bool {
		for _, session := range s.Hub.Sessions() {
			if session.SessionStats().Waiting > 100<<10 {
				return true
			}
		}
		return false
	}
	eventually(s.t, "something waits", func() bool {
		s.Publish(room, "FILL", data)
		return behind()
	})
}
