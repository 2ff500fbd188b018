package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// nullClaim is a claim that is null, rather than missing.
var nullClaim = json.RawMessage("null")

func TestWrongTokensLetNobodyInOverAnyTransport(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	issuer := issuerOf(t, key)
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret, Tokens: auth.TokenOptions{JWKSURL: issuer, Audience: "zonecast",
		MaxAge: 24 * time.Hour, Leeway: 5 * time.Second}})
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	testkit.Must(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	make := func(signer any, method jwt.SigningMethod, header, claims map[string]any) string {
		c := jwt.MapClaims{"sub": "u", "aud": "zonecast", "exp": time.Now().Add(time.Hour).Unix(), "warehouses": []string{"w1"}, "publish": true}
		for name, value := range claims {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
		token := jwt.NewWithClaims(method, c)
		for name, value := range header {
			token.Header[name] = value
		}
		text, err := token.SignedString(signer)
		testkit.Must(t, err)
		return text
	}
	type m = map[string]any
	hs := func(claims m) string { return make([]byte(transporttest.Secret), jwt.SigningMethodHS256, nil, claims) }
	good := []string{hs(nil), make(key, jwt.SigningMethodES256, m{"kid": "one"}, nil)}
	bad := map[string]string{
		"no token":              "",
		"no JSON Web Token":     "abc",
		"expired":               hs(m{"exp": time.Now().Add(-time.Minute).Unix()}),
		"without expiry":        hs(m{"exp": nil}),
		"future":                hs(m{"nbf": time.Now().Add(time.Minute).Unix()}),
		"issued in the future":  hs(m{"iat": time.Now().Add(time.Minute).Unix()}),
		"too old":               hs(m{"iat": time.Now().Add(-25 * time.Hour).Unix()}),
		"alg none":              make(jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, nil, nil),
		"HS256 of a public key": make(public, jwt.SigningMethodHS256, m{"kid": "one"}, nil),
		"HS512":                 make([]byte(transporttest.Secret), jwt.SigningMethodHS512, nil, nil),
		"another secret":        make([]byte(strings.ToUpper(transporttest.Secret)), jwt.SigningMethodHS256, nil, nil),
		"another audience":      hs(m{"aud": "other"}),
		"unknown kid":           make(key, jwt.SigningMethodES256, m{"kid": "two"}, nil),
		"kid that is a number":  make(key, jwt.SigningMethodES256, m{"kid": 1}, nil),
		"crit":                  make([]byte(transporttest.Secret), jwt.SigningMethodHS256, m{"crit": []string{"exp"}}, nil),
		"huge":                  hs(m{"x": strings.Repeat("x", 8<<10)}),
		"sub that is a number":  hs(m{"sub": 1}),
		"sub that is long":      hs(m{"sub": strings.Repeat("u", 129)}),
		"exp that is a text":    hs(m{"exp": "4102444800"}),
		"warehouses as a text":  hs(m{"warehouses": "w1"}),
		"publish as a text":     hs(m{"publish": "yes"}),
		"retain as a number":    hs(m{"retain": 1}),
		"retain as null":        hs(m{"retain": nullClaim}),
		"acknowledge as a text": hs(m{"acknowledge": "yes"}),
		"zones as a text":       hs(m{"warehouses": m{"w1": "a"}}),
		"zones of numbers":      hs(m{"warehouses": m{"w1": []int{1}}}),
		"a warehouse in a list": hs(m{"warehouses": [][]string{{"w1"}}}),
		"iat as a text":         hs(m{"iat": "1"}),
		"nbf as a truth":        hs(m{"nbf": true}),
		"exp as null":           hs(m{"exp": nullClaim}),
		"exp below zero":        hs(m{"exp": -1}),
		"exp beyond time":       hs(m{"exp": 1e300}),
		"aud as a number":       hs(m{"aud": 1}),
		"jti as a list":         hs(m{"jti": []string{"a"}}),
		"sub as null":           hs(m{"sub": nullClaim}),
	}
	for name, try := range connect {
		t.Run(name, func(t *testing.T) {
			for _, token := range good {
				if got := try(t, s.In(t), "warehouse=w1", token); got.code != "" {
					t.Errorf("a good token: %+v", got)
				}
			}
			for what, token := range bad {
				if got := try(t, s.In(t), "warehouse=w1", token); got.code != wire.CodeUnauthenticated || got.message == "" {
					t.Errorf("%s: %+v, want unauthenticated", what, got)
				}
			}
		})
	}
	for name, try := range send {
		t.Run(name, func(t *testing.T) {
			message := `{"warehouse":"w1","event":"E","data":1}`
			for _, token := range good {
				if got := try(t, s.In(t), message, token); got.code != "" {
					t.Errorf("a good token: %+v", got)
				}
			}
			for what, token := range bad {
				if got := try(t, s.In(t), message, token); got.code != wire.CodeUnauthenticated || got.message == "" {
					t.Errorf("%s: %+v, want unauthenticated", what, got)
				}
			}
		})
	}
}

// A token is judged alike, however it is carried: in the address, as a WebSocket subprotocol, in an
// authenticate frame.
func TestWrongTokensAreRefusedHoweverTheyAreCarried(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	claims := jwt.MapClaims{"sub": "u", "warehouses": []string{"w1"}}
	good := transporttest.Token(t, claims)
	claims["exp"] = time.Now().Add(-time.Minute).Unix()
	expired := transporttest.Token(t, claims)
	for token, want := range map[string]wire.ErrorCode{good: "", expired: wire.CodeUnauthenticated} {
		for name, try := range connect {
			got := try(t, s, "warehouse=w1&token="+token, "")
			if got.code != want {
				t.Errorf("%s with ?token=: %+v, want %q", name, got, want)
			}
			if got.stream != nil {
				got.stream.close()
			}
		}
		address := "ws" + strings.TrimPrefix(s.URL, "http") + "/ws?warehouse=w1"
		dialer := websocket.Dialer{Subprotocols: []string{auth.Subprotocol, token}}
		c, _, err := dialer.Dial(address, nil)
		testkit.Must(t, err)
		if code, _ := nextOf(t, c); code != want {
			t.Errorf("in the subprotocol: %q, want %q", code, want)
		}
		testkit.Must(t, c.Close())

		c, _, err = websocket.DefaultDialer.Dial(address, bearer(good))
		testkit.Must(t, err)
		nextOf(t, c) // connected
		testkit.Must(t, c.WriteMessage(websocket.TextMessage, []byte(`{"event":"authenticate","id":1,"data":{"token":"`+token+`"}}`)))
		if code, f := nextOf(t, c); code != want || f.ID != 1 {
			t.Errorf("in an authenticate frame: %q, want %q", code, want)
		}
		testkit.Must(t, c.Close())
	}
}

// nextOf reads the next frame of a connection, and the code if it is an error.
func nextOf(t *testing.T, c *websocket.Conn) (wire.ErrorCode, wire.ServerFrame) {
	t.Helper()
	_, p, err := c.ReadMessage()
	testkit.Must(t, err)
	f, err := wire.DecodeServer(p)
	testkit.Must(t, err)
	var e wire.Error
	if f.Event == wire.EventError {
		testkit.Must(t, json.Unmarshal(f.Data, &e))
	}
	return e.Code, f
}

// Whoever may be in a zone hears nothing of the warehouse, whatever they ask for.
func TestZoneTokensDoNotOpenTheWarehousesRoom(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "warehouses": map[string]any{"w1": []string{"a"}, "w2": []string{"*"}}})
	whole := wire.Room{Warehouse: "w1"}
	at := wire.Place{Room: whole, Offset: s.Publish(whole, "E", "1")}
	cursor := url.QueryEscape(string(wire.Cursor{at}.Append(nil)))
	for name, try := range connect {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				query string
				rooms []string // nil: forbidden
			}{
				{"warehouse=w1&zone=a", []string{"zone:w1:a"}},
				{"room=zone:w1:a", []string{"zone:w1:a"}},
				{"warehouse=w2&zone=b", []string{"warehouse:w2", "zone:w2:b"}},
				{"warehouse=w1", nil},
				{"warehouse=w1&zone=b", nil},
				{"warehouse=w1&zone=a&room=zone:w1:b", nil},
				{"warehouse=w1&zone=a&room=warehouse:w1", nil},
				{"room=warehouse:w1&warehouse=w1&zone=a", nil},
				{"room=warehouse:w1", nil},
				{"cursor=" + cursor, nil},
				{"warehouse=w1&zone=a&cursor=" + cursor, nil},
			} {
				got := try(t, s.In(t), c.query, token)
				want := wire.ErrorCode("")
				if c.rooms == nil {
					want = wire.CodeForbidden
				}
				slices.Sort(got.rooms)
				if got.code != want || !slices.Equal(got.rooms, c.rooms) {
					t.Errorf("?%s: %q (%s) in %v, want %q in %v", c.query, got.code, got.message, got.rooms, want, c.rooms)
				}
				if got.stream == nil || c.query != "warehouse=w1&zone=a" {
					continue
				}
				s.In(t).Publish(whole, "SECRET", "1")
				s.In(t).Publish(wire.Room{Warehouse: "w1", Zone: "a"}, "NEWS", "1")
				if f, err := got.stream.next(); err != nil || f.Event != "NEWS" {
					t.Errorf("the first event is %s, %v; want that of the zone", f.Event, err)
				}
			}
		})
	}
}

// Publishing and retaining are permitted by zone too, however the event comes in.
func TestPublishingIsHeldToTheTokensScope(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	token := transporttest.Token(t, jwt.MapClaims{"warehouses": []string{"w1"}, "publish": map[string]any{"w1": []string{"a"}}})
	keeper := transporttest.Token(t, jwt.MapClaims{"publish": []string{"w1"}, "retain": map[string]any{"w1": []string{"a"}}})
	for name, try := range send {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				message, token string
				want           wire.ErrorCode
			}{
				{`{"warehouse":"w1","zone":"a","event":"E"}`, token, ""},
				{`{"warehouse":"w1","event":"E"}`, token, wire.CodeForbidden},
				{`{"warehouse":"w1","zone":"b","event":"E"}`, token, wire.CodeForbidden},
				{`{"warehouse":"w2","zone":"a","event":"E"}`, token, wire.CodeForbidden},
			} {
				if got := try(t, s.In(t), c.message, c.token); got.code != c.want {
					t.Errorf("%s: %+v, want %q", c.message, got, c.want)
				}
			}
			if name != "HTTP" && name != "a batch" {
				return // frames have no retain
			}
			for _, c := range []struct {
				message, token string
				want           wire.ErrorCode
			}{
				{`{"warehouse":"w1","zone":"a","event":"E","retain":true}`, keeper, ""},
				{`{"warehouse":"w1","event":"E","retain":true}`, keeper, wire.CodeForbidden},
				{`{"warehouse":"w1","event":"E"}`, keeper, ""},
				{`{"warehouse":"w1","zone":"a","event":"E","retain":true}`, token, wire.CodeForbidden},
			} {
				if got := try(t, s.In(t), c.message, c.token); got.code != c.want {
					t.Errorf("%s: %+v, want %q", c.message, got, c.want)
				}
			}
		})
	}
}

// A revoked token ends the connections that it opened, and opens no further one.
func TestARevokedTokenEndsItsConnectionsOverAnyTransport(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	token := transporttest.Token(t, jwt.MapClaims{"sub": "u", "jti": "t-1", "warehouses": []string{"w1"}, "publish": true})
	other := transporttest.Token(t, jwt.MapClaims{"sub": "u", "jti": "t-2", "warehouses": []string{"w1"}, "publish": true})
	type open struct {
		name string
		result
	}
	var ending, staying []open
	for name, try := range connect {
		if got := try(t, s, "warehouse=w1", token); got.stream != nil {
			ending = append(ending, open{name, got})
			staying = append(staying, open{name, try(t, s, "warehouse=w1", other)})
		}
	}
	waiting := transporttest.Over["HTTP1.1"]
	at := wire.Cursor{{Room: wire.Room{Warehouse: "w1"}, Offset: s.Publish(wire.Room{Warehouse: "w1"}, "E", "1")}}
	polls := make(chan int)
	go func() {
		answer, err := s.Get(waiting, "/poll?cursor="+url.QueryEscape(string(at.Append(nil))), "Authorization", "Bearer "+token)
		if err != nil {
			polls <- 0
			return
		}
		answer.Body.Close()
		polls <- answer.StatusCode
	}()
	testkit.Eventually(t, "the poll waits", func() bool { return s.Gate.Connections(transport.Poll) == 1 })
	s.Gate.Guard.Revocations().Add(auth.Revocation{ID: "r", TokenID: "t-1"})
	if n := s.Gate.CloseRevoked(); n != len(ending)+1 {
		t.Errorf("%d connections were closed, want %d", n, len(ending)+1)
	}
	for _, o := range ending {
		var err error
		for err == nil {
			_, err = o.stream.next()
		}
		if !strings.Contains(err.Error(), "4401") && !strings.Contains(err.Error(), "unauthenticated") {
			t.Errorf("%s ended with %v, want 4401", o.name, err)
		}
	}
	if status := <-polls; status != http.StatusUnauthorized {
		t.Errorf("the poll that waited is answered %d", status)
	}
	for name, try := range connect {
		if got := try(t, s, "warehouse=w1", token); got.code != wire.CodeUnauthenticated || !strings.Contains(got.message, "revoked") {
			t.Errorf("%s with the revoked token: %+v", name, got)
		}
	}
	for name, try := range send {
		if got := try(t, s, `{"warehouse":"w1","event":"LAST","data":1}`, token); got.code != wire.CodeUnauthenticated {
			t.Errorf("%s with the revoked token: %+v", name, got)
		}
	}
	s.Publish(wire.Room{Warehouse: "w1"}, "STILL", "1")
	for _, o := range staying {
		f, err := o.stream.next()
		for err == nil && f.Event == "E" {
			f, err = o.stream.next()
		}
		if err != nil || f.Event != "STILL" {
			t.Errorf("%s of another token: %s, %v", o.name, f.Event, err)
		}
		o.stream.close()
	}
}

// Who has a token without a subject has no name: not the one that they say.
func TestATokenWithoutASubjectCanNotNameItself(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	token := transporttest.Token(t, jwt.MapClaims{"warehouses": []string{"w1"}})
	for name, try := range connect {
		got := try(t, s, "warehouse=w1&userId=boss", token)
		if got.stream == nil {
			continue
		}
		for _, session := range s.Hub.Sessions() {
			if session.User != "" {
				t.Errorf("%s: the user is %q", name, session.User)
			}
		}
		got.stream.close()
	}
}

// While the application that decides is away nobody is let in, and who asks is told to come back
// with the same token; whom it refuses is told not to.
func TestWithoutADecisionNobodyIsLetInAndMayComeBack(t *testing.T) {
	var status atomic.Int64
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer application.Close()
	s := startAll(t, auth.Options{Callback: auth.CallbackOptions{URL: application.URL, CacheFor: time.Hour}})
	for _, tt := range []struct {
		status int
		want   wire.ErrorCode
	}{
		{http.StatusBadGateway, wire.CodeUnavailable},
		{http.StatusUnauthorized, wire.CodeUnauthenticated},
		{http.StatusForbidden, wire.CodeForbidden},
	} {
		status.Store(int64(tt.status))
		token := fmt.Sprint("token-", tt.status)
		for name, try := range connect {
			if got := try(t, s, "warehouse=w1", token); got.code != tt.want {
				t.Errorf("%s, %d: %+v, want %s", name, tt.status, got, tt.want)
			}
		}
		for name, try := range send {
			if got := try(t, s, `{"warehouse":"w1","event":"E","data":1}`, token); got.code != tt.want {
				t.Errorf("%s, %d: %+v, want %s", name, tt.status, got, tt.want)
			}
		}
	}
}

// An idempotency key is its caller's, whatever way it comes: who publishes again gets the offset of
// the first time, and another who uses the same key publishes, and learns nothing of the other's
// event.
func TestAnIdempotencyKeyOfAnotherCallerReplaysNothingOverAnyWay(t *testing.T) {
	s := startAll(t, auth.Options{TokenSecret: transporttest.Secret})
	publisher := func(user string) string {
		return transporttest.Token(t, jwt.MapClaims{"sub": user, "warehouses": []string{"w1"}, "publish": true})
	}
	// Those of a machine may name nobody.
	nameless := func(n int) string {
		return transporttest.Token(t, jwt.MapClaims{"warehouses": []string{"w1"}, "publish": true, "n": n})
	}
	for who, tokens := range map[string][2]string{"users": {publisher("anna"), publisher("bert")}, "tokens": {nameless(1), nameless(2)}} {
		for name, try := range send {
			message := fmt.Sprintf(`{"warehouse":"w1","zone":"a","event":"E","idempotencyKey":%q}`, strings.ReplaceAll(name, " ", "-")+who)
			first, again, other := try(t, s, message, tokens[0]), try(t, s, message, tokens[0]), try(t, s, message, tokens[1])
			if first.offset == "" || again.offset != first.offset {
				t.Errorf("%s: the first of two %s got %+v and then %+v", name, who, first, again)
			}
			if other.offset == "" || other.offset == first.offset {
				t.Errorf("%s: the first of two %s got %s, and the other with the same key %+v", name, who, first.offset, other)
			}
		}
	}
}
