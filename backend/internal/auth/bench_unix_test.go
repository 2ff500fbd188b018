//go:build unix

package auth_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// cpu is the processor time that this process has taken.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	testkit.Must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The processor time counts, which a busy machine does not stretch as it does the other.
func BenchmarkToken(b *testing.B) {
	g := open(b, auth.Options{TokenSecret: secret, Tokens: auth.TokenOptions{
		PublicKeyFile: write(b, "keys.pem", publicPEM(b, rsaKey, ecKey, edKey)), MaxAge: 24 * time.Hour}})
	claims := jwt.MapClaims{"sub": "scanner-7", "iat": ago(0), "jti": "t-1", "publish": true,
		"warehouses": map[string]any{"warehouse-1": []string{"zone-a", "zone-b"}, "warehouse-2": []string{"*"}}}
	for _, c := range []struct {
		name   string
		key    any
		method jwt.SigningMethod
	}{
		{"HS256", []byte(secret), jwt.SigningMethodHS256},
		{"RS256", rsaKey, jwt.SigningMethodRS256},
		{"ES256", ecKey, jwt.SigningMethodES256},
		{"EdDSA", edKey, jwt.SigningMethodEdDSA},
	} {
		token := sign(b, c.key, c.method, claims)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				if _, err := g.Token(token, ""); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
