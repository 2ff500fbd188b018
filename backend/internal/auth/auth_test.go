package auth_test

import (
	"errors"
	"maps"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

const secret = "0123456789abcdef0123456789abcdef"

// sign returns a token that expires in an hour unless the claims say otherwise.
func sign(t testing.TB, key any, method jwt.SigningMethod, c jwt.MapClaims) string {
	t.Helper()
	if _, ok := c["exp"]; !ok {
		c = maps.Clone(c)
		c["exp"] = time.Now().Add(time.Hour).Unix()
	} else if c["exp"] == nil {
		delete(c, "exp") // without
	}
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	testkit.Must(t, err)
	return s
}

func code(err error) wire.ErrorCode {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func room(t testing.TB, warehouse, zone string) wire.Room {
	t.Helper()
	r, err := wire.NewRoom(warehouse, zone)
	testkit.Must(t, err)
	return r
}

func TestTokenIsFound(t *testing.T) {
	token := sign(t, []byte(secret), jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u-1", "exp": 4102444800})
	g := auth.New(auth.Options{TokenSecret: secret})
	for _, c := range []struct{ name, url, header, value string }{
		{"header", "/ws", "Authorization", "Bearer " + token},
		{"header in small letters", "/ws", "Authorization", "bearer " + token},
		{"query", "/ws?token=" + token, "", ""},
		{"subprotocol", "/ws", "Sec-WebSocket-Protocol", "zonecast, " + token},
		{"subprotocol alone", "/ws", "Sec-WebSocket-Protocol", token},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.url, nil)
			r.Header.Set(c.header, c.value)
			i, err := g.Client(r, auth.Visit{})
			if err != nil || i.User != "u-1" || i.Expires.Unix() != 4102444800 {
				t.Errorf("got %+v, %v", i, err)
			}
		})
	}
}

func TestService(t *testing.T) {
	token := func(c jwt.MapClaims) string { return sign(t, []byte(secret), jwt.SigningMethodHS256, c) }
	mayPublish := token(jwt.MapClaims{"warehouses": []string{"w1"}, "publish": true})
	elsewhere := token(jwt.MapClaims{"warehouses": []string{"w2"}, "publish": true})
	past := time.Now().Add(-time.Minute).Unix()
	expired := token(jwt.MapClaims{"warehouses": []string{"*"}, "publish": true, "exp": past})
	mayNot := token(jwt.MapClaims{"warehouses": []string{"w1"}})
	for _, c := range []struct {
		name string
		give auth.Options
		auth string
		want wire.ErrorCode
	}{
		{"nothing is asked for", auth.Options{}, "", ""},
		{"key", auth.Options{PublishKeys: []string{"k1", "k2"}}, "Bearer k2", ""},
		{"key in another case of the scheme", auth.Options{PublishKeys: []string{"k1"}}, "bearer k1", ""},
		{"no key", auth.Options{PublishKeys: []string{"k1"}}, "", wire.CodeUnauthenticated},
		{"key without scheme", auth.Options{PublishKeys: []string{"k1"}}, "k1", wire.CodeUnauthenticated},
		{"wrong key", auth.Options{PublishKeys: []string{"k1"}}, "Bearer k", wire.CodeUnauthenticated},
		{"wrong scheme", auth.Options{PublishKeys: []string{"k1"}}, "Basic k1", wire.CodeUnauthenticated},
		{"token", auth.Options{TokenSecret: secret}, "Bearer " + mayPublish, ""},
		{"token beside keys", auth.Options{TokenSecret: secret, PublishKeys: []string{"k1"}}, "Bearer " + mayPublish, ""},
		{"token without the claim", auth.Options{TokenSecret: secret}, "Bearer " + mayNot, wire.CodeForbidden},
		{"token of another warehouse", auth.Options{TokenSecret: secret}, "Bearer " + elsewhere, wire.CodeForbidden},
		{"expired token beside keys", auth.Options{TokenSecret: secret, PublishKeys: []string{"k1"}}, "Bearer " + expired,
			wire.CodeUnauthenticated},
		{"no token", auth.Options{TokenSecret: secret}, "", wire.CodeUnauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			i, err := auth.New(c.give).Service(r, auth.Visit{})
			if err == nil {
				err = i.MayPublish(room(t, "w1", "a"))
			}
			if got := code(err); got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestClientsPublishUnlessServicesNeedKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		give auth.Options
		want wire.ErrorCode
	}{
		{"nothing set", auth.Options{}, ""},
		{"keys set", auth.Options{PublishKeys: []string{"k"}}, wire.CodeForbidden},
	} {
		i, err := auth.New(c.give).Token("", "")
		testkit.Must(t, err)
		if got := code(i.MayPublish(room(t, "w1", ""))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
