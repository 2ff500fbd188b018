package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestRevokedTokensAreRefused(t *testing.T) {
	hourAgo := time.Now().Add(-time.Hour)
	tokens := map[string]jwt.MapClaims{
		"anna, old":          {"sub": "anna", "jti": "1", "iat": hourAgo.Unix() - 1},
		"anna, new":          {"sub": "anna", "jti": "2", "iat": hourAgo.Unix() + 1},
		"anna, without iat":  {"sub": "anna"},
		"bert, old":          {"sub": "bert", "jti": "3", "iat": hourAgo.Unix() - 1},
		"nobody, of unknown": {},
	}
	for _, c := range []struct {
		name string
		give auth.Revocation
		want string // those that are refused
	}{
		{"a user", auth.Revocation{User: "anna"}, "anna, old; anna, new; anna, without iat"},
		{"a token", auth.Revocation{TokenID: "3"}, "bert, old"},
		{"issued before", auth.Revocation{IssuedBefore: hourAgo.UnixMilli()}, "anna, old; anna, without iat; bert, old; nobody, of unknown"},
		{"of a user, issued before", auth.Revocation{User: "anna", IssuedBefore: hourAgo.UnixMilli()}, "anna, old; anna, without iat"},
		{"one that is over", auth.Revocation{User: "anna", Until: hourAgo.UnixMilli()}, ""},
		{"another user", auth.Revocation{User: "Anna"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := auth.New(auth.Options{TokenSecret: secret})
			c.give.ID = "r"
			g.Revocations().Add(c.give)
			for name, claims := range tokens {
				_, err := g.Token(hs256(t, claims), "")
				want := strings.Contains("; "+c.want+";", "; "+name+";")
				if got := code(err) == wire.CodeUnauthenticated; got != want {
					t.Errorf("%s: refused %v (%v), want %v", name, got, err, want)
				}
			}
			g.Revocations().Remove("r")
			if _, err := g.Token(hs256(t, tokens["anna, old"]), ""); err != nil {
				t.Errorf("after it was lifted: %v", err)
			}
		})
	}
}

func TestRevocationsThatMakeNoSenseAreRefused(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name string
		give auth.Revocation
		want string
	}{
		{"nothing", auth.Revocation{Reason: "?"}, "revoke nothing"},
		{"a token of a user", auth.Revocation{TokenID: "1", User: "u"}, "leave user"},
		{"seconds", auth.Revocation{IssuedBefore: now.Unix()}, "not seconds"},
		{"the future", auth.Revocation{IssuedBefore: now.Add(time.Hour).UnixMilli()}, "in the future"},
		{"over already", auth.Revocation{User: "u", Until: now.UnixMilli() - 1}, "until is over"},
		{"a long user", auth.Revocation{User: strings.Repeat("u", 129)}, "at most 128"},
	} {
		if err := c.give.Check(now); code(err) != wire.CodeInvalidData || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
