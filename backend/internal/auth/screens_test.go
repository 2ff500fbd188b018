package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// The token of a screen reads the zones that it was paired for and the alerts of the building, and
// does nothing else.
func TestTheTokenOfAScreenOnlyReads(t *testing.T) {
	g := auth.New(auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{Issuer: "login", Audience: "zonecast"}})
	testkit.Must(t, g.MayIssue())
	token, err := g.IssueForScreen(auth.ScreenGrant{TokenID: "screen-1", Name: "Dock 3", Warehouse: "w1", Zones: []string{"a"}})
	testkit.Must(t, err)
	who, err := g.Token(token, "")
	testkit.Must(t, err)
	if who.User != "screen:Dock 3" || who.TokenID != "screen-1" || !who.Screen || who.Until().Sub(time.Now()) < 29*24*time.Hour {
		t.Errorf("it is %+v", who)
	}
	for name, may := range map[string]func(wire.Room) error{"publish": who.MayPublish, "retain": who.MayRetain, "acknowledge": who.MayAcknowledge} {
		if may(room(t, "w1", "a")) == nil {
			t.Errorf("it may %s", name)
		}
	}
	for r, want := range map[wire.Room]bool{room(t, "w1", "a"): true, room(t, "w1", ""): true, room(t, "w1", "b"): false, room(t, "w2", "a"): false} {
		if got := who.MayJoin(r) == nil; got != want {
			t.Errorf("it may join %s: %v", r, got)
		}
	}
	all, err := g.IssueForScreen(auth.ScreenGrant{TokenID: "screen-2", Name: "Lead", Warehouse: "w1"})
	testkit.Must(t, err)
	if who, err = g.Token(all, ""); err != nil || who.MayJoin(room(t, "w1", "b")) != nil || who.MayJoin(room(t, "w2", "b")) == nil {
		t.Errorf("that of a warehouse: %+v, %v", who, err)
	}
}

// A renewed token keeps its ID, by which it is revoked, and its rooms; it is signed with the first
// secret.
func TestATokenOfAScreenIsRenewed(t *testing.T) {
	before := auth.New(auth.Options{TokenSecret: secret})
	old, err := before.IssueForScreen(auth.ScreenGrant{TokenID: "screen-1", Name: "Dock 3", Warehouse: "w1", Zones: []string{"a"}})
	testkit.Must(t, err)
	next := strings.Repeat("n", 32)
	g := auth.New(auth.Options{TokenSecret: next, Tokens: auth.TokenOptions{Secrets: []string{secret}, MaxAge: time.Hour}})
	who, err := g.Token(old, "")
	testkit.Must(t, err)
	token, err := g.RenewForScreen(who, old)
	testkit.Must(t, err)
	only := auth.New(auth.Options{TokenSecret: next})
	who, err = only.Token(token, "")
	testkit.Must(t, err)
	if who.TokenID != "screen-1" || who.User != "screen:Dock 3" || !who.Screen || who.MayJoin(room(t, "w1", "a")) != nil || who.MayJoin(room(t, "w1", "b")) == nil {
		t.Errorf("renewed: %+v", who)
	}
	if left := time.Until(who.Expires); left > time.Hour {
		t.Errorf("it is valid for %v, longer than AUTH_MAX_AGE", left)
	}
	if lifetime, renewal := g.ScreenTokens(); lifetime != time.Hour || renewal != 15*time.Minute {
		t.Errorf("with AUTH_MAX_AGE of 1 h: valid for %v, renewed after %v", lifetime, renewal)
	}
	if lifetime, renewal := only.ScreenTokens(); lifetime != 30*24*time.Hour || renewal != 24*time.Hour {
		t.Errorf("valid for %v, renewed after %v", lifetime, renewal)
	}
}

// Who has another token, whatever an issuer put into it, has none that is renewed.
func TestOnlyTokensOfScreensAreRenewed(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	testkit.Must(t, err)
	file := filepath.Join(t.TempDir(), "public.pem")
	testkit.Must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	g := open(t, auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{PublicKeyFile: file}})
	claims := map[string]any{"sub": "screen:x", "exp": time.Now().Add(time.Hour).Unix(), "warehouses": []string{"w1"}}
	plain, err := auth.Sign([]byte(secret), claims)
	testkit.Must(t, err)
	claims["zonecastScreen"] = true
	issuers, err := auth.Sign(key, claims)
	testkit.Must(t, err)
	claims["zonecastScreen"] = "true"
	text, err := auth.Sign([]byte(secret), claims)
	testkit.Must(t, err)
	for name, token := range map[string]string{"of a client": plain, "of an issuer that marks it": issuers, "with a text as the mark": text} {
		who, err := g.Token(token, "")
		testkit.Must(t, err)
		if _, err := g.RenewForScreen(who, token); code(err) != wire.CodeForbidden {
			t.Errorf("a token %s: %v", name, err)
		}
	}
}

// Where there is nothing to sign tokens with it is said what there is instead.
func TestWithoutASecretNoScreenIsPaired(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	testkit.Must(t, err)
	file := filepath.Join(t.TempDir(), "public.pem")
	testkit.Must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	for _, c := range []struct {
		give *auth.Guard
		want string
	}{
		{auth.New(auth.Options{}), "screens need no token here"},
		{open(t, auth.Options{Tokens: auth.TokenOptions{PublicKeyFile: file}}), "by public keys alone"},
		{auth.New(auth.Options{TokenSecret: secret, Callback: auth.CallbackOptions{URL: "http://127.0.0.1:1"}}), "AUTH_URL decides"},
	} {
		if err := c.give.MayIssue(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// What is signed for another purpose is no token.
func TestADerivedKeySignsNoToken(t *testing.T) {
	g := auth.New(auth.Options{TokenSecret: secret})
	keys := g.DerivedKeys("tickets")
	if len(keys) != 1 || bytes.Equal(keys[0], g.DerivedKeys("others")[0]) {
		t.Fatalf("derived: %d keys", len(keys))
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "warehouses": []string{"*"}}).SignedString(keys[0])
	testkit.Must(t, err)
	if _, err := g.Token(token, ""); code(err) != wire.CodeUnauthenticated {
		t.Errorf("it is accepted: %v", err)
	}
}
