package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
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

// Private keys of each kind.
var (
	rsaKey, _      = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _       = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _    = ed25519.GenerateKey(rand.Reader)
	strangerKey, _ = rsa.GenerateKey(rand.Reader, 2048)
)

func hs256(t testing.TB, c jwt.MapClaims) string {
	t.Helper()
	return sign(t, []byte(secret), jwt.SigningMethodHS256, c)
}

// publicPEM is the file of these keys' public halves.
func publicPEM(t testing.TB, keys ...crypto.Signer) []byte {
	t.Helper()
	var all []byte
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		testkit.Must(t, err)
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return all
}

func write(t testing.TB, name string, p []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	testkit.Must(t, os.WriteFile(path, p, 0o600))
	return path
}

// open returns a guard that is closed at the end of the test.
func open(t testing.TB, o auth.Options) *auth.Guard {
	t.Helper()
	g, err := auth.Open(t.Context(), o)
	testkit.Must(t, err)
	t.Cleanup(g.Close)
	return g
}

// withHeader returns a token of secret whose header has these fields too.
func withHeader(t testing.TB, header map[string]any, c jwt.MapClaims) string {
	t.Helper()
	c["exp"] = time.Now().Add(time.Hour).Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	for name, value := range header {
		token.Header[name] = value
	}
	s, err := token.SignedString([]byte(secret))
	testkit.Must(t, err)
	return s
}

func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

func TestTokenIsRefused(t *testing.T) {
	o := auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{Issuer: "login", Audience: "zonecast", Leeway: 5 * time.Second,
		MaxAge: 24 * time.Hour}}
	g := auth.New(o)
	claims := func(name string, value any) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "u", "iss": "login", "aud": "zonecast", "warehouses": []string{"w1"}}
		c[name] = value
		return c
	}
	with := func(name string, value any) string { return hs256(t, claims(name, value)) }
	good := with("sub", "u")
	if who, err := g.Token(good, ""); err != nil || who.User != "u" {
		t.Fatalf("a good token: %+v, %v", who, err)
	}
	huge := with("x", strings.Repeat("a", 9000))
	for _, c := range []struct{ name, give, want string }{
		{"none", "", "a token is needed"},
		{"not a token", "abc", "is not a JSON Web Token"},
		{"too long", huge, "more than"},
		{"expired", with("exp", ago(time.Minute)), "has expired"},
		{"not valid yet", with("nbf", ago(-time.Hour)), "is not valid yet"},
		{"issued in the future", with("iat", ago(-time.Hour)), "is not valid yet"},
		{"no expiry", with("exp", nil), "requires: exp"},
		{"expiry in other letters", strings.Clone(hs256(t, jwt.MapClaims{"Exp": 4102444800, "exp": nil, "iss": "login", "aud": "zonecast"})), "requires: exp"},
		{"older than AUTH_MAX_AGE", hs256(t, jwt.MapClaims{"iss": "login", "aud": "zonecast", "iat": ago(25 * time.Hour)}), "AUTH_MAX_AGE"},
		{"lives longer than AUTH_MAX_AGE", with("exp", ago(-48*time.Hour)), "AUTH_MAX_AGE"},
		{"another issuer", with("iss", "other"), "AUTH_ISSUER"},
		{"another audience", with("aud", []string{"a", "b"}), "AUTH_AUDIENCE"},
		{"no audience", with("aud", []string{}), "aud"},
		{"another secret", sign(t, []byte(strings.ToUpper(secret)), jwt.SigningMethodHS256, claims("sub", "u")), "is not signed"},
		{"another method", sign(t, []byte(secret), jwt.SigningMethodHS512, claims("sub", "u")), "is not signed"},
		{"a public key's method", sign(t, rsaKey, jwt.SigningMethodRS256, claims("sub", "u")), "is not signed"},
		{"no signature", sign(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, claims("sub", "u")), "is not signed"},
		{"changed", good[:len(good)-10] + "AAAAAAAAAA", "is not signed"},
		{"crit", withHeader(t, map[string]any{"crit": []string{"b64"}, "b64": false}, claims("sub", "u")), "crit"},
		{"empty crit", withHeader(t, map[string]any{"crit": nil}, claims("sub", "u")), "crit"},
		{"sub of 129 bytes", with("sub", strings.Repeat("s", 129)), "sub has 129 bytes"},
		{"jti of 129 bytes", with("jti", strings.Repeat("s", 129)), "jti has 129 bytes"},
		{"sub is a number", with("sub", 5), "sub must be a string"},
		{"exp is a string", with("exp", "4102444800"), "exp must be a number"},
		{"exp is beyond all calendars", with("exp", 1e300), "exp must be a number"},
		{"iat is a list", with("iat", []int{1}), "iat must be a number"},
		{"aud is a number", with("aud", 5), "aud must be a string or a list"},
		{"warehouses is a string", with("warehouses", "w1"), "warehouses must be a list"},
		{"warehouses is null", with("warehouses", nil), "warehouses must be a list"},
		{"warehouses has a number", with("warehouses", []any{"w1", 5}), "item 1"},
		{"zones is a string", with("warehouses", map[string]any{"w1": "a"}), "warehouses.w1 must be a list"},
		{"zones is null", with("warehouses", map[string]any{"w1": nil}), "warehouses.w1 must be a list"},
		{"publish is a string", with("publish", "true"), "publish must be true, false"},
		{"retain is null", with("retain", nil), "retain must be true, false"},
		{"claims are a list", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(`[]`)) + ".AAAA", "must be a JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := g.Token(c.give, "")
			if code(err) != wire.CodeUnauthenticated || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want unauthenticated with %q", err, c.want)
			}
		})
	}
}

// At the limits.
func TestTokenIsAccepted(t *testing.T) {
	for _, c := range []struct {
		name string
		o    auth.TokenOptions
		give jwt.MapClaims
	}{
		{"an issuer 2 s ahead", auth.TokenOptions{Leeway: 5 * time.Second}, jwt.MapClaims{"iat": ago(-2 * time.Second), "nbf": ago(-2 * time.Second)}},
		{"expired 2 s ago", auth.TokenOptions{Leeway: 5 * time.Second}, jwt.MapClaims{"exp": ago(2 * time.Second)}},
		{"no expiry where it is optional", auth.TokenOptions{ExpiryOptional: true}, jwt.MapClaims{"exp": nil}},
		{"sub of 128 bytes", auth.TokenOptions{}, jwt.MapClaims{"sub": strings.Repeat("s", 128)}},
		{"one audience of several", auth.TokenOptions{Audience: "z"}, jwt.MapClaims{"aud": []string{"y", "z"}}},
		{"young enough", auth.TokenOptions{MaxAge: time.Hour}, jwt.MapClaims{"iat": ago(59 * time.Minute), "exp": ago(-90 * time.Hour)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := auth.New(auth.Options{TokenSecret: secret, Tokens: c.o}).Token(hs256(t, c.give), ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// A token that says more than AUTH_MAX_AGE ends with it, and one that is within the leeway stays
// for the rest of that.
func TestExpiryIsBoundedByTheMaximumAge(t *testing.T) {
	g := auth.New(auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{MaxAge: time.Hour, Leeway: 5 * time.Second}})
	issued := ago(30 * time.Minute)
	who, err := g.Token(hs256(t, jwt.MapClaims{"iat": issued, "exp": ago(-time.Hour * 900)}), "")
	if err != nil || who.Expires.Unix() != issued+3600 || who.Until().Unix() != issued+3605 {
		t.Errorf("expires %v, until %v, %v", who.Expires, who.Until(), err)
	}
}

func TestSeveralSecretsVerify(t *testing.T) {
	next := strings.ToUpper(secret)
	g := auth.New(auth.Options{TokenSecret: next, Tokens: auth.TokenOptions{Secrets: []string{secret}}})
	for _, s := range []string{secret, next} {
		if _, err := g.Token(sign(t, []byte(s), jwt.SigningMethodHS256, jwt.MapClaims{}), ""); err != nil {
			t.Error(err)
		}
	}
}

// The algorithm is that of the key that is configured, whatever the token says.
func TestPublicKeysVerifyTheirOwnAlgorithm(t *testing.T) {
	file := publicPEM(t, rsaKey, ecKey, edKey)
	g := open(t, auth.Options{Tokens: auth.TokenOptions{PublicKeyFile: write(t, "keys.pem", file)}})
	claims := jwt.MapClaims{"sub": "u"}
	for _, c := range []struct {
		name, give string
		want       wire.ErrorCode
	}{
		{"RS256", sign(t, rsaKey, jwt.SigningMethodRS256, claims), ""},
		{"ES256", sign(t, ecKey, jwt.SigningMethodES256, claims), ""},
		{"EdDSA", sign(t, edKey, jwt.SigningMethodEdDSA, claims), ""},
		{"RS256 of a stranger", sign(t, strangerKey, jwt.SigningMethodRS256, claims), wire.CodeUnauthenticated},
		{"RS512", sign(t, rsaKey, jwt.SigningMethodRS512, claims), wire.CodeUnauthenticated},
		{"PS256", sign(t, rsaKey, jwt.SigningMethodPS256, claims), wire.CodeUnauthenticated},
		{"HS256 keyed with the file", sign(t, file, jwt.SigningMethodHS256, claims), wire.CodeUnauthenticated},
		{"HS256 keyed with the key", sign(t, publicPEM(t, rsaKey), jwt.SigningMethodHS256, claims), wire.CodeUnauthenticated},
		{"none", sign(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, claims), wire.CodeUnauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := g.Token(c.give, ""); code(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestPublicKeyFilesThatCanNotVerifyAreRefused(t *testing.T) {
	private, err := x509.MarshalPKCS8PrivateKey(edKey)
	testkit.Must(t, err)
	weak, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	testkit.Must(t, err)
	for _, c := range []struct {
		name string
		give []byte
		want string
	}{
		{"empty", nil, "no public key"},
		{"a private key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), "public key alone"},
		{"another curve", publicPEM(t, weak), "only P-256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := auth.Open(t.Context(), auth.Options{Tokens: auth.TokenOptions{PublicKeyFile: write(t, "keys.pem", c.give)}})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "AUTH_PUBLIC_KEY_FILE") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	g := auth.New(auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{ExpiryOptional: true}})
	f.Add(sign(f, []byte(secret)[:31], jwt.SigningMethodHS256, jwt.MapClaims{"sub": "u"}), `{"sub":"u"}`)
	f.Add("a.b.c", `{"exp":1e400,"warehouses":{"w":["*"]},"publish":{"w":["a"]},"retain":true}`)
	f.Add("", `{"warehouses":["w",{}],"aud":[[]]}`)
	f.Fuzz(func(t *testing.T, token, claims string) {
		if i, err := g.Token(token, ""); err == nil {
			t.Errorf("%q was taken for a token of %q", token, i.User)
		}
		// What an issuer may sign.
		body := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		signature, err := jwt.SigningMethodHS256.Sign(body, []byte(secret))
		testkit.Must(t, err)
		who, err := g.Token(body+"."+base64.RawURLEncoding.EncodeToString(signature), "")
		if err != nil {
			return
		}
		if len(who.User) > 128 {
			t.Errorf("a user of %d bytes", len(who.User))
		}
		_ = who.Permissions()
		room := wire.Room{Warehouse: "w", Zone: "a"}
		if who.MayJoin(wire.Room{Warehouse: "w"}) == nil && who.MayJoin(room) != nil {
			t.Errorf("%s opens the room of the warehouse, and not its zones", claims)
		}
	})
}
