package sse_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestAStreamTellsTheWholeCursorWithEachMessage(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{})
			for n := range 8 { // so that the next numbers have one digit more
				s.Publish(zone, "ZONE_UPDATE", fmt.Sprint(n))
			}
			c := s.open(through, "warehouse=w1&zone=a&userId=u-7")
			for name, want := range map[string]string{"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"} {
				if got := c.answer.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			parts := strings.Split(c.events.LastID, ",")
			if len(parts) != 2 || !strings.HasPrefix(parts[0], "warehouse:w1@") || !strings.HasPrefix(parts[1], "zone:w1:a@") ||
				!strings.HasSuffix(parts[1], "-8") {
				t.Fatalf("connected has the id %q", c.events.LastID)
			}
			for n := range 4 {
				at := s.Publish(zone, "ZONE_UPDATE", fmt.Sprintf(`{ "n":%d }`, n))
				e := c.next()
				if e.Name != "" || e.Frame.Offset != at.String() || string(e.Frame.Data) != fmt.Sprintf(`{ "n":%d }`, n) {
					t.Errorf("got %+v", e)
				}
				if want := parts[0] + ",zone:w1:a@" + at.String(); e.ID != want {
					t.Errorf("the id is %q, want %q", e.ID, want)
				}
			}
			whole := wire.Room{Warehouse: "w1"}
			at := s.Publish(whole, "ALERT", `1`)
			if e := c.next(); !strings.HasPrefix(e.ID, "warehouse:w1@"+at.String()+",zone:w1:a@") {
				t.Errorf("the id is %q after %s", e.ID, at)
			}
			if sessions := s.Hub.Sessions(); len(sessions) != 1 || sessions[0].User != "u-7" || sessions[0].Queue.Transport() != "sse" {
				t.Errorf("the sessions are %+v", sessions)
			}
			c.close()
			s.WantClosed(wire.CloseGoingAway, 1)
			s.WantCount(5, "zonecast_messages_delivered_total", "transport=sse")
		})
	}
}

func TestLastEventIDResumesAndCountsMoreThanTheCursor(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{})
			at := s.Publish(zone, "ZONE_UPDATE", "1")
			c := s.open(through, "warehouse=w1&zone=a")
			s.Publish(zone, "ZONE_UPDATE", "2")
			c.next()
			c.close()
			s.Publish(zone, "ZONE_UPDATE", "3")
			s.Publish(zone, "ZONE_UPDATE", "4")
			back := s.open(through, "warehouse=w1&zone=a&cursor=zone:w1:a@"+at.String(), "Last-Event-ID", c.events.LastID)
			if back.events.LastID != c.events.LastID {
				t.Errorf("connected has the id %q, want where the client stands: %q", back.events.LastID, c.events.LastID)
			}
			s.Publish(zone, "ZONE_UPDATE", "5")
			for want := 3; want <= 5; want++ {
				if e := back.next(); string(e.Frame.Data) != fmt.Sprint(want) || !strings.HasSuffix(e.ID, "zone:w1:a@"+e.Frame.Offset) {
					t.Errorf("got %+v, want %d", e, want)
				}
			}
		})
	}
}

// Whoever comes back with the id of connected gets the retained events again, beside what was
// missed: they came after it.
func TestRetainedEventsThatAStreamStillOwedComeOnTheNext(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{})
			s.Send(broker.Publication{Room: zone, Event: "A", Data: []byte(`1`), Retain: true})
			s.Send(broker.Publication{Room: zone, Event: "B", Data: []byte(`2`), Retain: true})
			first := s.open(through, "warehouse=w1&zone=a")
			cut := first.events.LastID
			if a := first.next(); !a.Frame.Retained || a.ID != "" {
				t.Errorf("got %+v, want a retained event without an id", a)
			}
			if b := first.next(); !b.Frame.Retained || b.ID != strings.Replace(cut, ".retained", "", 1) || b.ID == cut {
				t.Errorf("got %+v, want the last retained event with the id %q without its mark", b, cut)
			}
			s.Send(broker.Publication{Room: zone, Event: "B", Data: []byte(`3`), Retain: true})
			back := s.open(through, "warehouse=w1&zone=a", "Last-Event-ID", cut)
			for _, want := range []struct {
				data     string
				retained bool
			}{{"1", true}, {"3", false}} {
				if e := back.next(); string(e.Frame.Data) != want.data || e.Frame.Retained != want.retained {
					t.Errorf("got %+v, want %+v", e, want)
				}
			}
			if id := back.events.LastID; strings.Contains(id, ".retained") {
				t.Errorf("the id %q asks for what came", id)
			}
		})
	}
}

func TestRetainedEventsAndGapsOverAStream(t *testing.T) {
	s := start(t, transporttest.Options{})
	s.Send(broker.Publication{Room: zone, Event: wire.EventShiftSnapshot, Data: []byte(`"old"`), Retain: true})
	at := s.Publish(zone, "ZONE_UPDATE", "1")
	c := s.open(http.DefaultClient, "warehouse=w1&zone=a")
	if e := c.next(); !e.Frame.Retained || !strings.HasSuffix(e.ID, ",zone:w1:a@"+at.String()) {
		t.Errorf("got %+v, want the retained event with the id of whoever has it", e)
	}
	forged := s.open(http.DefaultClient, "cursor=zone:w1:a@forged-7")
	if forged.events.LastID != "zone:w1:a@forged-7" {
		t.Errorf("connected has the id %q, want where the client says that it stands", forged.events.LastID)
	}
	e := forged.next()
	if e.Frame.Event != wire.EventGap || e.ID != "zone:w1:a@"+at.Epoch+"-0" {
		t.Errorf("got %+v, want a gap with an id", e)
	}
}

// A slow reader of state that is replaced gets the newest, and its cursor leads past the rest.
func TestConflatedMessagesMoveTheCursor(t *testing.T) {
	s := start(t, transporttest.Options{})
	c := s.open(http.DefaultClient, "warehouse=w1&zone=a")
	data := strings.Repeat("x", 4000)
	var last wire.Offset
	for n := 0; s.Counter("zonecast_messages_dropped_total", "reason=conflated") < 100; n++ {
		if n == 20_000 {
			t.Fatal("nothing is conflated for a reader that stopped")
		}
		last = s.Send(broker.Publication{Room: zone, Event: "STATE", Conflate: "state", Data: fmt.Appendf(nil, `"%s"`, data)})
	}
	at, told := uint64(0), false
	for at < last.N {
		e := c.next()
		switch e.Frame.Event {
		case wire.EventConflated:
			var skipped wire.Conflated
			if err := wire.DecodeData(e.Frame.Data, &skipped); err != nil || skipped.From != fmt.Sprintf("%s-%d", last.Epoch, at) {
				t.Fatalf("%s after number %d: %v", e.Frame.Data, at, err)
			}
			to, _ := wire.ParseOffset(skipped.To)
			at, told = to.N, true
		case "STATE":
			if at++; e.Frame.Offset != fmt.Sprintf("%s-%d", last.Epoch, at) {
				t.Fatalf("%s instead of number %d", e.Frame.Offset, at)
			}
		}
		if !strings.HasSuffix(e.ID, fmt.Sprintf("zone:w1:a@%s-%d", last.Epoch, at)) {
			t.Fatalf("the id is %q at number %d", e.ID, at)
		}
	}
	if !told {
		t.Error("nobody told that messages were replaced")
	}
}

func TestHeartbeatsAreNamedEvents(t *testing.T) {
	s := start(t, transporttest.Options{Heartbeat: 200 * time.Millisecond})
	c := s.open(http.DefaultClient, "")
	e := c.next()
	if e.Name != wire.EventHeartbeat || e.Frame.Event != wire.EventHeartbeat || e.ID != "" {
		t.Errorf("got %+v", e)
	}
}

// What is wrong is told as a problem, before the stream begins.
func TestRefusalsBeforeTheStream(t *testing.T) {
	tests := []struct {
		name, query, token string
		broken             bool
		limits             transport.Limits
		want               int
		code               string
		retry              string
	}{
		{name: "a room", query: "room=nothing", want: 400, code: "invalid_room"},
		{name: "a cursor", query: "cursor=zone:w1:a@x", want: 400, code: "invalid_offset"},
		{name: "no token", query: "warehouse=w1", token: "-", want: 401, code: "unauthenticated"},
		{name: "another warehouse", query: "warehouse=w2", want: 403, code: "forbidden"},
		{name: "another warehouse in the cursor", query: "cursor=warehouse:w2@k-1", want: 403, code: "forbidden"},
		{name: "too many connections", query: "warehouse=w1", limits: transport.Limits{Connections: 1}, want: 503, code: "unavailable", retry: "5"},
		{name: "too many of the user", query: "warehouse=w1", limits: transport.Limits{ConnectionsPerUser: 1}, want: 429, code: "limit_reached", retry: "5"},
		{name: "too many of the address", query: "warehouse=w1", limits: transport.Limits{ConnectionsPerAddress: 1}, want: 429, code: "limit_reached", retry: "5"},
		{name: "no broker", query: "warehouse=w1&room=warehouse:w1", broken: true, want: 503, code: "unavailable", retry: "1"},
	}
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}})
	for _, tt := range tests {
		for name, through := range transporttest.Over {
			t.Run(tt.name+" over "+name, func(t *testing.T) {
				s := start(t, transporttest.Options{Limits: tt.limits, Guard: auth.Options{TokenSecret: transporttest.Secret}})
				if tt.limits != (transport.Limits{}) {
					s.open(through, "token="+token)
				}
				s.Broker.Broken.Store(tt.broken)
				header := []string{"Authorization", "Bearer " + token}
				if tt.token != "" {
					header = nil
				}
				c := s.get(through, tt.query, header...)
				body, _ := io.ReadAll(c.answer.Body)
				h := c.answer.Header
				if c.answer.StatusCode != tt.want || h.Get("Content-Type") != "application/problem+json" ||
					!strings.Contains(string(body), `"code":"`+tt.code+`"`) || h.Get("Retry-After") != tt.retry {
					t.Errorf("answered %s %v: %s", c.answer.Status, h, body)
				}
				if (tt.want == 401) != (h.Get("WWW-Authenticate") != "") {
					t.Errorf("WWW-Authenticate is %q", h.Get("WWW-Authenticate"))
				}
				if n := s.Counter("zonecast_connections_refused_total"); !tt.broken && n != 1 {
					t.Errorf("%v refusals are counted", n)
				}
			})
		}
	}
}

func TestOtherMethodsAreToldWhatToSend(t *testing.T) {
	s := start(t, transporttest.Options{})
	for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, "BREW"} {
		r, _ := http.NewRequest(method, s.URL+"/sse", nil)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		answer.Body.Close()
		if allow := answer.Header.Get("Allow"); answer.StatusCode != http.StatusMethodNotAllowed ||
			!strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
			t.Errorf("%s: %s, Allow %q", method, answer.Status, allow)
		}
	}
}

func TestTheStreamEndsWithItsToken(t *testing.T) {
	s := start(t, transporttest.Options{Guard: auth.Options{TokenSecret: transporttest.Secret}})
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": []string{"*"}, "exp": time.Now().Add(2 * time.Second).Unix()})
	var all []*client
	for _, through := range transporttest.Over {
		all = append(all, s.open(through, "warehouse=w1&token="+token))
	}
	for _, c := range all {
		c.wantEnd(wire.CloseUnauthenticated)
	}
	s.WantClosed(wire.CloseUnauthenticated, 2)
}

func TestDrainTellsWhenToComeBackAndEndsTheStream(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{})
			c := s.open(through, "warehouse=w1&zone=a")
			done := make(chan struct{})
			go func() { defer close(done); s.Gate.Drain(t.Context()) }()
			e := c.next()
			if e.Frame.Event != wire.EventDrain || e.Retry == "" || !strings.Contains(e.Data, `"retryAfter":`+e.Retry+`}`) {
				t.Errorf("got %+v, want a drain that EventSource understands too", e)
			}
			c.wantEnd(wire.CloseRestart)
			<-done
			s.WantClosed(wire.CloseRestart, 1)
			if again := s.get(through, ""); again.answer.StatusCode != http.StatusServiceUnavailable || again.answer.Header.Get("Retry-After") == "" {
				t.Errorf("a new stream: %s", again.answer.Status)
			}
		})
	}
}

// One who stops reading is closed at its bound and resumes; the others get everything meanwhile.
func TestASlowReaderIsClosedAndHoldsUpNobody(t *testing.T) {
	for name, through := range transporttest.Over {
		t.Run(name, func(t *testing.T) {
			s := start(t, transporttest.Options{Queued: 64 << 10})
			slow, quick := s.open(through, "warehouse=w1&zone=a"), s.open(through, "warehouse=w1&zone=a")
			data := `"` + strings.Repeat("x", 4000) + `"`
			sent := 0
			for ; s.Counter("zonecast_messages_dropped_total", "reason=slow_consumer") == 0; sent++ {
				if sent > 20_000 {
					t.Fatal("the reader that stopped is still there")
				}
				at := s.Publish(zone, "ZONE_UPDATE", data)
				if e := quick.next(); e.Frame.Offset != at.String() {
					t.Fatalf("got %s, want %s", e.Frame.Offset, at)
				}
			}
			read := 0
			for {
				e, err := slow.events.Next()
				if err != nil {
					break // it took too long for the last event, or has it
				}
				if e.Frame.Room == "" {
					continue
				}
				if read++; e.Frame.Offset != fmt.Sprintf("%s-%d", strings.Split(e.Frame.Offset, "-")[0], read) {
					t.Fatalf("message %d has the offset %s", read, e.Frame.Offset)
				}
			}
			s.WantClosed(wire.CloseSlowConsumer, 1)
			back := s.open(through, "", "Last-Event-ID", slow.events.LastID)
			for ; read < sent; read++ {
				e := back.next()
				if !strings.HasSuffix(e.Frame.Offset, fmt.Sprint("-", read+1)) {
					t.Fatalf("resumed with %s, want %d", e.Frame.Offset, read+1)
				}
			}
		})
	}
}

func TestEverythingIsFreedWhenClientsLeave(t *testing.T) {
	s := start(t, transporttest.Options{}) // which checks that no goroutine, room or connection is left
	before := descriptors(t)
	for _, through := range transporttest.Over {
		for range 20 {
			c := s.open(through, "warehouse=w1&zone=a")
			s.Publish(zone, "ZONE_UPDATE", "1")
			c.next()
			c.close()
		}
	}
	s.WantClosed(wire.CloseGoingAway, 40)
	for _, through := range transporttest.Over {
		through.CloseIdleConnections()
	}
	testkit.Eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
	testkit.Eventually(t, "no room is left", func() bool { return s.Hub.Rooms() == 0 && s.Gate.Connections(transport.SSE) == 0 })
}

// descriptors returns how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, fs.ErrNotExist) {
		return 0 // not Linux
	}
	testkit.Must(t, err)
	return len(open)
}

// HTTP/1.0 has no chunks: the body ends with the connection.
func TestAStreamOverHTTP10(t *testing.T) {
	s := start(t, transporttest.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	testkit.Must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "GET /sse?warehouse=w1&zone=a HTTP/1.0\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || len(answer.TransferEncoding) > 0 {
		t.Fatalf("%+v %v", answer, err)
	}
	c := &client{t, answer, transporttest.ReadEvents(answer.Body)}
	c.next()
	s.Publish(zone, "ZONE_UPDATE", "1")
	if e := c.next(); string(e.Frame.Data) != "1" {
		t.Errorf("got %+v", e)
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	tests := []struct {
		name    string
		origins []string
		origin  string
		status  int
		allowed string
	}{
		{name: "another host when none is named", origin: "https://wall.example", status: 403},
		{name: "any when all are let in", origins: []string{"*"}, origin: "https://wall.example", status: 200, allowed: "*"},
		{name: "a program", origins: []string{"https://wall.example"}, status: 200},
		{name: "one of those", origins: []string{"https://wall.example"}, origin: "https://wall.example", status: 200, allowed: "https://wall.example"},
		{name: "another one", origins: []string{"https://wall.example"}, origin: "https://evil.example", status: 403},
		{name: "a file", origins: []string{"https://wall.example"}, origin: "null", status: 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, transporttest.Options{Origins: tt.origins})
			header := []string{}
			if tt.origin != "" {
				header = []string{"Origin", tt.origin}
			}
			c := s.get(http.DefaultClient, "", header...)
			if got := c.answer.Header.Get("Access-Control-Allow-Origin"); c.answer.StatusCode != tt.status || got != tt.allowed {
				t.Errorf("answered %s, allowed for %q", c.answer.Status, got)
			}
			r, _ := http.NewRequest(http.MethodOptions, s.URL+"/sse", nil)
			r.Header.Set("Origin", tt.origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			answer, err := http.DefaultClient.Do(r)
			testkit.Must(t, err)
			answer.Body.Close()
			if ok := answer.StatusCode == http.StatusNoContent && strings.Contains(answer.Header.Get("Access-Control-Allow-Headers"), "Authorization"); ok != (tt.status == 200) {
				t.Errorf("the question before is answered %s %v", answer.Status, answer.Header)
			}
		})
	}
}
