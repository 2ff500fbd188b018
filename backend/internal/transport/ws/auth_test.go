package ws_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

const secret = transporttest.Secret

// token is one of worker-7.
func token(t testing.TB, expires time.Duration, publish bool) string {
	t.Helper()
	return tokenOf(t, "worker-7", expires, publish)
}

// tokenOf is one of warehouse w1 that expires after that time; negative has expired, 0 never does.
func tokenOf(t testing.TB, user string, expires time.Duration, publish bool) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "warehouses": []string{"w1"}, "publish": publish}
	if expires == 0 {
		signed, err := auth.Sign([]byte(secret), claims)
		testkit.Must(t, err)
		return signed
	}
	claims["exp"] = jwt.NewNumericDate(time.Now().Add(expires))
	return transporttest.Token(t, claims)
}

func TestATokenIsTakenFromEachOfItsPlaces(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	valid := token(t, time.Hour, false)
	for name, c := range map[string]*client{
		"the header": s.dialWith("warehouse=w1", http.Header{"Authorization": {"Bearer " + valid}}),
		"the query":  s.dialWith("warehouse=w1&token="+valid, nil),
		"the subprotocols": s.dialWith("warehouse=w1",
			http.Header{"Sec-Websocket-Protocol": {auth.Subprotocol + ", " + valid}}),
		"the only subprotocol": s.dialWith("warehouse=w1", http.Header{"Sec-Websocket-Protocol": {valid}}),
	} {
		t.Run(name, func(t *testing.T) {
			if f := c.wait("connected", func(wire.ServerFrame) bool { return true }); f.Event != wire.EventConnected {
				t.Errorf("the first frame is %s %s", f.Event, f.Data)
			}
		})
	}
	for _, session := range s.Hub.Sessions() {
		if session.User != "worker-7" {
			t.Errorf("the session's user is %q, want the token's", session.User)
		}
	}
}

func TestWithoutAValidTokenTheConnectionEnds(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	for name, query := range map[string]string{
		"no token":          "warehouse=w1",
		"no JSON Web Token": "warehouse=w1&token=abc",
		"an expired one":    "warehouse=w1&token=" + token(t, -time.Minute, false),
	} {
		t.Run(name, func(t *testing.T) {
			before := s.Counter("zonecast_connections_closed_total", "code=unauthenticated")
			c := s.in(t).dialWith(query, nil)
			c.wantClosed(wire.CloseUnauthenticated)
			frames := c.seen()
			if len(frames) != 1 || frames[0].Event != wire.EventError {
				t.Fatalf("the frames are %+v, want an error alone", frames)
			}
			if e := decode[wire.Error](t, frames[0].Data); e.Code != wire.CodeUnauthenticated {
				t.Errorf("the error is %+v", e)
			}
			s.WantClosed(wire.CloseUnauthenticated, before+1)
		})
	}
	// One that is closing is not served any more, however quick it is.
	c := s.dialWith("", nil)
	c.conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"subscribe","id":1,"data":{"warehouse":"w1"}}`))
	c.wantClosed(wire.CloseUnauthenticated)
	if len(c.of(wire.EventAck)) > 0 {
		t.Error("a stranger could subscribe")
	}
}

func TestATokenPermitsItsWarehousesAlone(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	c := s.dialWith("warehouse=w2&token="+token(t, time.Hour, false), nil)
	c.wantClosed(wire.CloseForbidden)

	c = s.dial("warehouse=w1&zone=a&token=" + token(t, time.Hour, false))
	for i, give := range []struct{ event, data string }{
		{wire.EventSubscribe, `{"warehouse":"w2"}`},
		{wire.EventSubscribe, `{"warehouse":"w2","zone":"a"}`},
		{wire.EventPublish, `{"warehouse":"w1","event":"E","data":1}`}, // not at all with this token
	} {
		f := c.ask(give.event, int64(i+1), give.data)
		if e := decode[wire.Error](t, f.Data); f.Event != wire.EventError || e.Code != wire.CodeForbidden || e.Message == "" {
			t.Errorf("%s %s: %s %s, want the code %s", give.event, give.data, f.Event, f.Data, wire.CodeForbidden)
		}
	}
	acked[wire.Position](c, wire.EventSubscribe, 10, `{"warehouse":"w1","zone":"b"}`)

	p := s.dial("token=" + token(t, time.Hour, true))
	acked[wire.Position](p, wire.EventPublish, 1, `{"warehouse":"w1","event":"E","data":1}`)
	if f := p.ask(wire.EventPublish, 2, `{"warehouse":"w2","event":"E","data":1}`); f.Event != wire.EventError {
		t.Errorf("publishing to another warehouse: %s %s", f.Event, f.Data)
	}
}

func TestAConnectionEndsWithItsTokenUnlessItIsRenewed(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret,
		Tokens: auth.TokenOptions{ExpiryOptional: true}}}})
	// Expiries are whole seconds: this one is 1 to 2 seconds away.
	ending := s.dial("warehouse=w1&token=" + token(t, 2*time.Second, false))
	renewed := s.dial("warehouse=w1&token=" + token(t, 2*time.Second, false))
	later := token(t, time.Hour, false)
	got := acked[wire.Authenticated](renewed, wire.EventAuthenticate, 1, fmt.Sprintf(`{"token":%q}`, later))
	if left := time.Until(time.UnixMilli(got.Expires)); left < 58*time.Minute || left > time.Hour {
		t.Errorf("the new token expires in %v, want an hour", left)
	}
	if f := renewed.ask(wire.EventAuthenticate, 2, `{"token":"nonsense"}`); f.Event != wire.EventError {
		t.Errorf("nonsense was taken for a token: %s", f.Data)
	}
	ending.wantClosed(wire.CloseUnauthenticated)
	renewed.wantAlive()
	forever := acked[wire.Authenticated](renewed, wire.EventAuthenticate, 3, fmt.Sprintf(`{"token":%q}`, token(t, 0, false)))
	if forever.Expires != 0 {
		t.Errorf("a token that never expires: %+v", forever)
	}
}

// A renewal may neither change who the connection is of nor leave it in rooms that the new token
// does not permit.
func TestARenewalOfAnotherUserOrWithFewerRoomsEndsTheConnection(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	of := func(claims jwt.MapClaims) string { return transporttest.Token(t, claims) }
	for _, tt := range []struct {
		name, before, renewal string
		want                  string // a part of the error
	}{
		{"another user", token(t, time.Hour, false), tokenOf(t, "worker-8", time.Hour, false), "another user"},
		{"no user", token(t, time.Hour, false), of(jwt.MapClaims{"warehouses": []string{"w1"}}), "another user"},
		{"a user where there was none", of(jwt.MapClaims{"warehouses": []string{"w1"}}), token(t, time.Hour, false), "another user"},
		{"another warehouse", token(t, time.Hour, false),
			of(jwt.MapClaims{"sub": "worker-7", "warehouses": []string{"w2"}}), "its claim warehouses is w2"},
		{"the zone alone", token(t, time.Hour, false),
			of(jwt.MapClaims{"sub": "worker-7", "warehouses": map[string]any{"w1": []string{"a"}}}), "its claim warehouses is w1 (a)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.in(t).dial("warehouse=w1&zone=a&userId=worker-8&token=" + tt.before)
			f := c.ask(wire.EventAuthenticate, 1, fmt.Sprintf(`{"token":%q}`, tt.renewal))
			if e := decode[wire.Error](t, f.Data); e.Code != wire.CodeForbidden || !strings.Contains(e.Message, tt.want) {
				t.Errorf("answered %s %s, want forbidden with %q", f.Event, f.Data, tt.want)
			}
			c.wantClosed(wire.CloseForbidden)
		})
	}
}

// Permissions that shrink count for what comes next.
func TestARenewalThatMayNotPublishTakesEffect(t *testing.T) {
	s := start(t, options{Options: transporttest.Options{Guard: auth.Options{TokenSecret: secret}}})
	c := s.dial("warehouse=w1&token=" + token(t, time.Hour, true))
	acked[wire.Position](c, wire.EventPublish, 1, `{"warehouse":"w1","event":"E","data":1}`)
	acked[wire.Authenticated](c, wire.EventAuthenticate, 2, fmt.Sprintf(`{"token":%q}`, token(t, time.Hour, false)))
	if f := c.ask(wire.EventPublish, 3, `{"warehouse":"w1","event":"E","data":1}`); f.Event != wire.EventError {
		t.Errorf("published after the renewal: %s", f.Data)
	}
	c.wantAlive()
}
