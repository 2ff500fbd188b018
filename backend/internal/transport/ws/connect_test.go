package ws_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestConnectedComesFirstAndTellsTheRooms(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Heartbeat: 30 * time.Second}})
	at := s.Publish(zone, "ALERT", `{}`)
	whole := wire.Room{Warehouse: "w1"}
	tests := []struct {
		name, query string
		want        []wire.Position // an offset is compared when it is given
	}{
		{name: "no room", query: "", want: []wire.Position{}},
		{name: "a warehouse", query: "warehouse=w1", want: []wire.Position{{Room: whole.String()}}},
		{name: "a zone", query: "warehouse=w1&zone=a&userId=u-7",
			want: []wire.Position{{Room: whole.String()}, wire.PositionOf(zone, at)}},
		{name: "an empty zone is none", query: "warehouse=w1&zone=", want: []wire.Position{{Room: whole.String()}}},
		{name: "parameters of others", query: "v=2&lang=de&warehouse=w1", want: []wire.Position{{Room: whole.String()}}},
	}
	ids := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.in(t).dial(tt.query)
			defer c.hangUp()
			f := c.seen()[0]
			if f.Event != wire.EventConnected {
				t.Fatalf("the first frame is %s %s", f.Event, f.Data)
			}
			got := decode[wire.Connected](t, f.Data)
			if got.ConnectionID == "" || ids[got.ConnectionID] || got.Node != "node-1" || got.Heartbeat != 30_000 || got.Protocol != wire.ProtocolVersion ||
				time.Since(time.UnixMilli(got.ServerTime)).Abs() > time.Minute || got.Rooms == nil || len(got.Rooms) != len(tt.want) {
				t.Fatalf("connected says %s, want the rooms %v", f.Data, tt.want)
			}
			ids[got.ConnectionID] = true
			for i, want := range tt.want {
				if is := got.Rooms[i]; is.Room != want.Room || is.Offset == "" || want.Offset != "" && is.Offset != want.Offset {
					t.Errorf("room %d is %+v, want %+v", i, is, want)
				}
			}
			if len(tt.want) > 0 {
				s.Publish(whole, "HELLO", `1`)
				c.wait("the message to the warehouse", func(f wire.ServerFrame) bool { return f.Event == "HELLO" })
			}
			c.wantAlive()
		})
	}
}

func TestTheUserIsKnownToTheHub(t *testing.T) {
	s := start(t, options{})
	s.dial("userId=scanner+7")
	if sessions := s.Hub.Sessions(); len(sessions) != 1 || sessions[0].User != "scanner 7" {
		t.Errorf("the sessions are %+v, want one of scanner 7", sessions)
	}
}

// A refused request is answered before it becomes a connection, with what to change.
func TestRefusedUpgrades(t *testing.T) {
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	with := func(name, value string) http.Header {
		h := upgrade.Clone()
		h.Del(name)
		if value != "" {
			h.Set(name, value)
		}
		return h
	}
	long := strings.Repeat("x", wire.MaxNameLen+1)
	tests := []struct {
		name, query string
		header      http.Header
		wantStatus  int
		wantCode    wire.ErrorCode // not compared when empty
		wantDetail  string
	}{
		{name: "a zone without a warehouse", query: "zone=a", header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidRoom, wantDetail: "warehouse is missing"},
		{name: "a warehouse with a colon", query: "warehouse=w:1", header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidRoom, wantDetail: "only A-Z a-z 0-9 . _ - are allowed"},
		{name: "a zone with a space", query: "warehouse=w&zone=a+b", header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidRoom, wantDetail: `zone name "a b"`},
		{name: "a zone that is not ASCII", query: "warehouse=w&zone=" + url.QueryEscape("Kühl"), header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidRoom, wantDetail: "only A-Z a-z 0-9 . _ - are allowed"},
		{name: "a warehouse that is too long", query: "warehouse=" + long, header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidRoom, wantDetail: "at most 64"},
		{name: "a malformed cursor", query: "cursor=zone:w1:a", header: upgrade,
			wantStatus: 400, wantCode: wire.CodeInvalidOffset, wantDetail: "as you received it"},
		{name: "a broken escape", query: "warehouse=%zz", header: upgrade, wantStatus: 400},
		{name: "a semicolon between parameters", query: "warehouse=w;zone=a", header: upgrade, wantStatus: 400},
		{name: "a plain request", query: "warehouse=w", wantStatus: 426, wantDetail: "WebSocket"},
		{name: "no upgrade", header: with("Upgrade", ""), wantStatus: 426, wantDetail: "WebSocket"},
		{name: "another protocol", header: with("Upgrade", "h2c"), wantStatus: 426, wantDetail: "WebSocket"},
		{name: "another version", header: with("Sec-Websocket-Version", "8"), wantStatus: 426, wantDetail: "WebSocket"},
		{name: "no key", header: with("Sec-Websocket-Key", ""), wantStatus: 426},
		{name: "a key that is none", header: with("Sec-Websocket-Key", "short"), wantStatus: 400},
	}
	s := start(t, options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Counter("zonecast_connections_refused_total")
			r, err := http.NewRequest(http.MethodGet, "http://"+s.address+"/ws?"+tt.query, nil)
			testkit.Must(t, err)
			if tt.header != nil {
				r.Header = tt.header
			}
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			defer answer.Body.Close()
			if answer.StatusCode == http.StatusSwitchingProtocols {
				t.Fatal("the request was upgraded")
			}
			wantProblem(t, answer, tt.wantStatus, tt.wantCode, tt.wantDetail)
			if tt.wantStatus == http.StatusUpgradeRequired && !strings.EqualFold(answer.Header.Get("Upgrade"), "websocket") {
				t.Errorf("the header Upgrade is %q, want websocket (RFC 9110 section 15.5.22)", answer.Header.Get("Upgrade"))
			}
			s.WantCount(before+1, "zonecast_connections_refused_total")
		})
	}
}

// wantProblem fails unless the answer is this problem (RFC 9457), with a part of its sentence.
func wantProblem(t *testing.T, answer *http.Response, status int, code wire.ErrorCode, detail string) {
	t.Helper()
	p, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	var problem struct {
		Title, Detail string
		Status        int
		Code          wire.ErrorCode
	}
	if err := json.Unmarshal(p, &problem); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s: %s", answer.Status, answer.Header.Get("Content-Type"), p)
	}
	if answer.StatusCode != status || problem.Status != status || code != "" && problem.Code != code ||
		problem.Detail == "" || problem.Title == "" || !strings.Contains(problem.Detail, detail) {
		t.Errorf("%s %s; want %d %s with %q", answer.Status, p, status, code, detail)
	}
}

// Those who come at the same moment must not pass the limit together.
func TestNoMoreConnectionsThanTheLimit(t *testing.T) {
	const most, coming = 10, 60
	s := start(t, options{Options: transporttest.Options{Limits: transport.Limits{Connections: most}}})
	var mu sync.Mutex
	var opened []*websocket.Conn
	var all sync.WaitGroup
	for range coming {
		all.Go(func() {
			conn, answer, err := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				opened = append(opened, conn)
				t.Cleanup(func() { conn.Close() })
			case answer == nil || answer.Header.Get("Retry-After") == "":
				t.Errorf("dial: %v, answered %+v, want when to try again", err, answer)
			default:
				wantProblem(t, answer, http.StatusServiceUnavailable, wire.CodeUnavailable, "MAX_CONNECTIONS")
			}
		})
	}
	all.Wait()
	if len(opened) != most {
		t.Fatalf("%d were let in, want %d", len(opened), most)
	}
	s.WantCount(coming-most, "zonecast_connections_refused_total", "reason=limit_reached")
	opened[0].Close()
	eventually(t, "the place is free", func() bool { return s.Hub.Connections() < most })
	s.dial("").wantAlive()
}

func TestARoomThatCannotBeJoinedEndsTheConnection(t *testing.T) {
	s := start(t, options{})
	s.Broker.Broken.Store(true)
	c := s.dialWith("warehouse=w1", nil)
	f := c.wait("an error", func(f wire.ServerFrame) bool { return f.Event == wire.EventError })
	if e := decode[wire.Error](t, f.Data); e.Code != wire.CodeUnavailable {
		t.Errorf("the error is %+v", e)
	}
	c.wantClosed(wire.CloseRestart)
	s.WantClosed(wire.CloseRestart, 1)
	s.Broker.Broken.Store(false)
	s.dial("warehouse=w1").wantAlive()
}
