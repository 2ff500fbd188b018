package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A token that is made here is accepted by a server of the same settings, and shown as such.
func TestTokensAreMadeAndShown(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.Must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	testkit.Must(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	testkit.Must(t, err)
	privateFile, publicFile := filepath.Join(t.TempDir(), "private.pem"), filepath.Join(t.TempDir(), "public.pem")
	testkit.Must(t, os.WriteFile(privateFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	testkit.Must(t, os.WriteFile(publicFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	secret := "--auth-token-secret=" + tokenSecret
	for _, tt := range []struct {
		name       string
		make, show []string // flags
		code       int
		want       string // of what is shown
	}{
		{"a secret", []string{secret, "--user=anna", "--warehouse=w1:a,w2", "--publish"}, []string{secret}, 0,
			"join: w1 (a), w2; publish: w1 (a), w2; retain: empty"},
		{"all rooms", []string{secret, "--warehouse=*", "--publish", "--retain"}, []string{secret}, 0, "user: (none)"},
		{"rooms to publish to", []string{secret, "--warehouse=w1", "--publish-to=w2:a", "--retain", "--acknowledge"}, []string{secret}, 0,
			"join: w1; publish: w2 (a); retain: w2 (a); acknowledge: w1"},
		{"a private key", []string{"--private-key-file=" + privateFile, "--user=anna"}, []string{"--auth-public-key-file=" + publicFile}, 0, "user: anna"},
		{"a secret that was replaced", []string{"--auth-token-secrets=" + tokenSecret},
			[]string{"--auth-token-secret=" + strings.Repeat("y", 32), "--auth-token-secrets=" + tokenSecret}, 0, "accepted"},
		{"issuer and audience", []string{secret, "--auth-issuer=i", "--auth-audience=a"}, []string{secret, "--auth-issuer=i", "--auth-audience=a"}, 0, "accepted"},
		{"another audience", []string{secret}, []string{secret, "--auth-audience=a"}, 1, "refused: the token lacks a claim"},
		{"another secret", []string{secret}, []string{"--auth-token-secret=" + strings.Repeat("y", 32)}, 1, "refused: the token is not signed"},
		{"no settings", []string{secret}, nil, 2, "nothing to verify it with"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, token, mistakes := tool(append([]string{"token", "new"}, tt.make...)...)
			if code != 0 {
				t.Fatalf("%d %s", code, mistakes)
			}
			code, shown, mistakes := tool(append([]string{"token", "show", token}, tt.show...)...)
			if code != tt.code || !strings.Contains(shown+mistakes, tt.want) || !strings.Contains(shown, `"exp":`) {
				t.Errorf("%d %s%s, want %d with %q", code, shown, mistakes, tt.code, tt.want)
			}
		})
	}
}

func TestMistakesInMakingTokensSayWhatToChange(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []string
		want string
	}{
		{"no secret", []string{"new"}, "set AUTH_TOKEN_SECRET"},
		{"a short secret", []string{"new", "--auth-token-secret=abc"}, "at least 32"},
		{"no such key", []string{"new", "--private-key-file=/nothing"}, "--private-key-file"},
		{"publish twice", []string{"new", "--auth-token-secret=" + tokenSecret, "--publish", "--publish-to=w"}, "don't go together"},
		{"an empty zone to publish to", []string{"new", "--auth-token-secret=" + tokenSecret, "--publish-to=w:"}, "--publish-to"},
		{"neither token nor keys", []string{"show", "x"}, "PUBLISH_KEYS_FILE"},
		{"an empty zone", []string{"new", "--auth-token-secret=" + tokenSecret, "--warehouse=w:"}, "warehouse:zone"},
		{"retain alone", []string{"new", "--auth-token-secret=" + tokenSecret, "--retain"}, "--publish"},
		{"a key without a scope", []string{"key", "--name=k"}, "--warehouse"},
		{"a key with a bad name", []string{"key", "--name=a b", "--warehouse=*"}, "has a space in it"},
		{"a key with a name of other letters", []string{"key", "--name=a/b", "--warehouse=*"}, "the name"},
		{"two issuers", []string{"show", "x.y.z", "--auth-jwks-url=http://a.example", "--auth-public-key-file=f"}, "don't go together"},
	} {
		if code, _, mistakes := tool(append([]string{"token"}, tt.give...)...); code != 2 || !strings.Contains(mistakes, tt.want) {
			t.Errorf("%s: %d %s, want 2 with %q", tt.name, code, mistakes, tt.want)
		}
	}
}

// A key that is made here, with its line in the file, publishes where it may.
func TestKeysAreMade(t *testing.T) {
	code, line, shown := tool("token", "key", "--name=billing", "--warehouse=w1:a", "--event=ALERT", "--expires=1h")
	_, key, _ := strings.Cut(strings.TrimSpace(shown), ": ")
	if code != 0 || key == "" || strings.Contains(line, key) {
		t.Fatalf("%d %s, %s", code, line, shown)
	}
	file := filepath.Join(t.TempDir(), "keys")
	testkit.Must(t, os.WriteFile(file, []byte(line+"\n"), 0o600))
	for _, tt := range []struct {
		key  string
		code int
		want string
	}{
		{key, 0, "accepted key: billing; expires: 20"},
		{key, 0, "publish: w1 (a); events: ALERT; retain: empty"},
		{"another", 1, "refused: this is none of the publish keys"},
	} {
		if code, shown, mistakes := tool("token", "show", tt.key, "--publish-keys-file="+file); code != tt.code || !strings.Contains(shown+mistakes, tt.want) {
			t.Errorf("%d %s%s, want %d with %q", code, shown, mistakes, tt.code, tt.want)
		}
	}
	s := serving(t, "--publish-keys-file="+file)
	for _, tt := range []struct {
		path, event, key string
		want             int
	}{
		{"/api/v1/warehouses/w1/zones/a/broadcast", "ALERT", key, http.StatusOK},
		{"/api/v1/warehouses/w1/zones/a/broadcast", "OTHER", key, http.StatusForbidden},
		{"/api/v1/warehouses/w1/broadcast", "ALERT", key, http.StatusForbidden},
		{"/api/v1/warehouses/w1/zones/a/broadcast", "ALERT", "", http.StatusUnauthorized},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+tt.path, strings.NewReader(`{"event":"`+tt.event+`"}`))
		testkit.Must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+tt.key)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%s %s: %s, want %d", tt.path, tt.event, answer.Status, tt.want)
		}
	}
}
