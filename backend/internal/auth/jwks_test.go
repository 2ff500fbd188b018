package auth_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An issuer publishes its keys, and can fail.
type issuer struct {
	*httptest.Server
	fetched atomic.Int64
	broken  atomic.Bool
	set     atomic.Value // json.RawMessage
}

func newIssuer(t testing.TB) *issuer {
	i := new(issuer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		if i.broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(i.set.Load().(json.RawMessage))
	}))
	t.Cleanup(i.Close)
	return i
}

// publish publishes the public halves of keys by their IDs.
func (i *issuer) publish(t testing.TB, keys map[string]crypto.Signer) {
	t.Helper()
	store := jwkset.NewMemoryStorage()
	for kid, k := range keys {
		jwk, err := jwkset.NewJWKFromKey(k.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		testkit.Must(t, err)
		testkit.Must(t, store.KeyWrite(t.Context(), jwk))
	}
	set, err := store.JSONPublic(t.Context())
	testkit.Must(t, err)
	i.set.Store(set)
}

// signed returns a token with the ID of its key in the header.
func signed(t testing.TB, kid string, key any, method jwt.SigningMethod) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "u", "exp": time.Now().Add(time.Hour).Unix()})
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	testkit.Must(t, err)
	return s
}

func TestKeysOfAnIssuerVerify(t *testing.T) {
	i := newIssuer(t)
	i.publish(t, map[string]crypto.Signer{"r": rsaKey, "e": ecKey, "d": edKey})
	g := open(t, auth.Options{Tokens: auth.TokenOptions{JWKSURL: i.URL}})
	for _, c := range []struct {
		name, give string
		want       wire.ErrorCode
		part       string
	}{
		{"RS256", signed(t, "r", rsaKey, jwt.SigningMethodRS256), "", ""},
		{"ES256", signed(t, "e", ecKey, jwt.SigningMethodES256), "", ""},
		{"EdDSA", signed(t, "d", edKey, jwt.SigningMethodEdDSA), "", ""},
		{"without a kid", signed(t, "", ecKey, jwt.SigningMethodES256), "", ""},
		{"another key under the kid", signed(t, "r", strangerKey, jwt.SigningMethodRS256), wire.CodeUnauthenticated, "is not signed"},
		{"the kid of a key of another kind", signed(t, "e", rsaKey, jwt.SigningMethodRS256), wire.CodeUnauthenticated, "is not signed"},
		{"an unknown kid", signed(t, "x", rsaKey, jwt.SigningMethodRS256), wire.CodeUnauthenticated, "does not list"},
		{"HS256 keyed with the public key", signed(t, "r", publicPEM(t, rsaKey), jwt.SigningMethodHS256), wire.CodeUnauthenticated, "is not signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := g.Token(c.give, "")
			if code(err) != c.want || err != nil && !strings.Contains(err.Error(), c.part) {
				t.Errorf("got %v, want %q with %q", err, c.want, c.part)
			}
		})
	}
}

// A key that was added a moment ago verifies for all who come with it, and strangers who name keys
// that there are not make no more than one request.
func TestAnIssuerIsNotAskedForEachUnknownKey(t *testing.T) {
	i := newIssuer(t)
	i.publish(t, map[string]crypto.Signer{"r": rsaKey})
	g := open(t, auth.Options{Tokens: auth.TokenOptions{JWKSURL: i.URL}})
	i.publish(t, map[string]crypto.Signer{"r": rsaKey, "e": ecKey})
	rotated := signed(t, "e", ecKey, jwt.SigningMethodES256)
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			if _, err := g.Token(rotated, ""); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	for n := range 200 {
		clients.Go(func() {
			if _, err := g.Token(signed(t, fmt.Sprint("x", n), ecKey, jwt.SigningMethodES256), ""); code(err) != wire.CodeUnauthenticated {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	clients.Wait()
	if n := i.fetched.Load(); n > 4 { // at the start, for the key that is new, and for one of strangers on a slow machine
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestTokensVerifyWhileTheIssuerIsAway(t *testing.T) {
	i := newIssuer(t)
	i.publish(t, map[string]crypto.Signer{"r": rsaKey})
	g := open(t, auth.Options{Tokens: auth.TokenOptions{JWKSURL: i.URL}})
	i.broken.Store(true)
	if _, err := g.Token(signed(t, "x", ecKey, jwt.SigningMethodES256), ""); code(err) != wire.CodeUnauthenticated {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := g.Token(signed(t, "r", rsaKey, jwt.SigningMethodRS256), ""); err != nil {
		t.Error(err)
	}
}

// An issuer that is late is waited for at the start.
func TestAnIssuerIsWaitedForAtTheStart(t *testing.T) {
	i := newIssuer(t)
	i.publish(t, map[string]crypto.Signer{"r": rsaKey})
	i.broken.Store(true)
	go func() {
		for i.fetched.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		i.broken.Store(false)
	}()
	open(t, auth.Options{Tokens: auth.TokenOptions{JWKSURL: i.URL}})
}

// One that does not come is no reason to wait for ever, nor to start without keys.
func TestWithoutAnIssuerTheStartFails(t *testing.T) {
	i := newIssuer(t)
	i.broken.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // before the 15 s are over
	defer cancel()
	g, err := auth.Open(ctx, auth.Options{Tokens: auth.TokenOptions{JWKSURL: i.URL}})
	if err == nil || !strings.Contains(err.Error(), "AUTH_JWKS_URL: no keys from "+i.URL) {
		t.Errorf("got %v, %v", g, err)
	}
}
