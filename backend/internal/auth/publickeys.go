package auth

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/zonecast/zonecast/backend/internal/logging"
)

// maxPublicKeys bounds the keys of one file: each may be tried for a token.
const maxPublicKeys = 16

// publicKeys are those of a file, by algorithm. It is safe for concurrent use.
type publicKeys struct {
	now atomic.Pointer[map[string]jwt.VerificationKeySet]
}

// of returns those of an algorithm.
func (k *publicKeys) of(algorithm string) jwt.VerificationKeySet { return (*k.now.Load())[algorithm] }

// use takes over the public keys and certificates of a file (PEM, RFC 7468).
func (k *publicKeys) use(p []byte) error {
	keys := map[string]jwt.VerificationKeySet{}
	n := 0
	for block, rest := pem.Decode(p); block != nil; block, rest = pem.Decode(rest) {
		key, err := parsePublicKey(block)
		if err != nil {
			return fmt.Errorf("key %d: %w", n+1, err)
		}
		algorithm, err := algorithmOf(key)
		if err != nil {
			return fmt.Errorf("key %d is %w", n+1, err)
		}
		keys[algorithm] = jwt.VerificationKeySet{Keys: append(keys[algorithm].Keys, key)}
		n++
	}
	switch {
	case n == 0:
		return errors.New("there is no public key in it: write it as PEM (-----BEGIN PUBLIC KEY-----)")
	case n > maxPublicKeys:
		return fmt.Errorf("%d keys are in it: at most %d are allowed", n, maxPublicKeys)
	}
	k.now.Store(&keys)
	return nil
}

func parsePublicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("%s can't verify: write the public key alone (openssl pkey -pubout)", block.Type)
}

const (
	// jwksRefresh is how often the keys of an issuer are fetched again.
	jwksRefresh = 5 * time.Minute
	// jwksUnknown is the least time between two fetches because of a kid that is not known: tokens
	// of strangers name any.
	jwksUnknown = 10 * time.Second
	// jwksTimeout bounds one fetch; jwksStart is for how long the first one is tried again.
	jwksTimeout, jwksStart = 5 * time.Second, 15 * time.Second
	// maxJWKSBytes bounds what is read of an answer.
	maxJWKSBytes = 1 << 20
)

// issuerKeys are the keys that an issuer publishes. They are fetched in the background, and stay in
// force while the issuer can't be reached.
type issuerKeys struct {
	jwkset.Storage                // what was fetched last
	fetcher        jwkset.Storage // fetches when it does not know a key
	unknown        *rate.Limiter
	fetching       singleflight.Group
	find           jwt.Keyfunc
}

// openIssuer fetches the keys for the first time. It waits for the issuer for jwksStart at most,
// and ends what it began with ctx.
func openIssuer(ctx context.Context, url string, log *slog.Logger) (*issuerKeys, error) {
	client := &http.Client{Transport: boundedBodies{http.DefaultTransport, maxJWKSBytes}}
	refused := func(_ context.Context, err error) {
		log.Warn("keys of the issuer not fetched: those from before stay in force", "setting", "AUTH_JWKS_URL", "error", logging.WithoutURL(err))
	}
	var store jwkset.Storage
	for until, wait := time.Now().Add(jwksStart), 250*time.Millisecond; ; wait *= 2 {
		attempt, stop := context.WithCancel(ctx) // else each attempt leaves its goroutine
		var err error
		store, err = jwkset.NewStorageFromHTTP(url, jwkset.HTTPClientStorageOptions{Ctx: attempt, Client: client,
			HTTPTimeout: jwksTimeout, RefreshInterval: jwksRefresh, RefreshErrorHandler: refused})
		if err == nil {
			context.AfterFunc(ctx, stop)
			break
		}
		stop()
		if time.Now().Add(wait).After(until) || ctx.Err() != nil {
			return nil, fmt.Errorf("AUTH_JWKS_URL: no keys from %s within %v: %w: check the URL, and that its server runs", logging.URL(url), jwksStart, logging.WithoutURL(err))
		}
		log.Warn("keys of the issuer not fetched: trying again", "setting", "AUTH_JWKS_URL", "error", logging.WithoutURL(err))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	fetcher, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{HTTPURLs: map[string]jwkset.Storage{url: store},
		RateLimitWaitMax: jwksTimeout, RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1)})
	if err != nil {
		return nil, fmt.Errorf("AUTH_JWKS_URL: %w", err)
	}
	k := &issuerKeys{Storage: store, fetcher: fetcher, unknown: rate.NewLimiter(rate.Every(jwksUnknown), 1)}
	found, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: k, UseWhitelist: []jwkset.USE{jwkset.UseSig, ""}})
	if err != nil {
		return nil, fmt.Errorf("AUTH_JWKS_URL: %w", err)
	}
	k.find = found.Keyfunc
	return k, nil
}

// KeyRead implements jwkset.Storage. A key that is not known is fetched: by one of those who want
// it, while the others wait, and not more often than jwksUnknown.
func (k *issuerKeys) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	if key, err := k.Storage.KeyRead(ctx, kid); err == nil {
		return key, nil
	}
	_, _, _ = k.fetching.Do("", func() (any, error) {
		if k.unknown.Allow() {
			return k.fetcher.KeyRead(ctx, kid)
		}
		return nil, nil
	})
	return k.Storage.KeyRead(ctx, kid)
}

// key returns the keys that may have signed a token.
func (k *issuerKeys) key(t *jwt.Token) (any, error) {
	found, err := k.find(t)
	if err != nil {
		return nil, err
	}
	all, ok := found.(jwt.VerificationKeySet) // the token has no kid
	if !ok {
		all.Keys = []jwt.VerificationKey{found}
	}
	var fit jwt.VerificationKeySet
	for _, key := range all.Keys {
		if algorithm, err := algorithmOf(key); err == nil && algorithm == t.Method.Alg() && len(fit.Keys) < maxPublicKeys {
			fit.Keys = append(fit.Keys, key)
		}
	}
	return fit, nil
}

// boundedBodies are requests whose answers end after most bytes.
type boundedBodies struct {
	http.RoundTripper
	most int64
}

func (b boundedBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, b.most), answer.Body}
	}
	return answer, err
}
