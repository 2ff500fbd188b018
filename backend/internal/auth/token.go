package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/wire"
)

// MinSecretBytes is the least length of a token secret: as long as the hash that it keys (RFC 7518
// section 3.2).
const MinSecretBytes = 32

const (
	// maxTokenBytes bounds what is parsed at all.
	maxTokenBytes = 8 << 10
	// maxSubjectBytes and maxTokenIDBytes bound the claims sub and jti, which the connection keeps.
	maxSubjectBytes, maxTokenIDBytes = 128, 128
)

// The algorithms of signatures (RFC 7518 section 3.1, RFC 8037). Which of them count is decided by
// the keys that are configured, never by the token.
const (
	hs256 = "HS256"
	rs256 = "RS256"
	es256 = "ES256"
	edDSA = "EdDSA"
)

// TokenOptions say which tokens are accepted: JSON Web Tokens (RFC 7519) that one of the keys has
// signed.
type TokenOptions struct {
	// Secrets are those of HS256: the first signs, all verify.
	Secrets []string
	// PublicKeyFile has the public keys of an issuer (PEM): RS256, ES256 or EdDSA by their type.
	PublicKeyFile string
	// JWKSURL is where an issuer publishes its keys (RFC 7517).
	JWKSURL string
	// Issuer and Audience, if not empty, are what the claims iss and aud must be and contain.
	Issuer, Audience string
	// Leeway is how far the clock of the issuer may be off, for exp, nbf and iat.
	Leeway time.Duration
	// MaxAge is for how long a token is accepted, from its iat on; 0 for as long as exp says. One
	// without iat must expire within it.
	MaxAge time.Duration
	// ExpiryOptional accepts tokens without exp.
	ExpiryOptional bool
}

// A verifier verifies tokens. It is safe for concurrent use.
type verifier struct {
	secrets atomic.Pointer[jwt.VerificationKeySet] // replaced as a whole

	// Static after construction.
	options TokenOptions
	parser  *jwt.Parser
	public  *publicKeys // nil without a file
	issuer  *issuerKeys // nil without a URL
}

// newVerifier returns one for the secrets of o, and for the public keys that there are. It is nil
// when there are no keys at all.
func newVerifier(o TokenOptions, public *publicKeys, issuer *issuerKeys) *verifier {
	v := &verifier{options: o, public: public, issuer: issuer}
	var algorithms []string
	v.setSecrets(o.Secrets)
	if len(o.Secrets) > 0 {
		algorithms = append(algorithms, hs256)
	}
	if public != nil || issuer != nil {
		algorithms = append(algorithms, rs256, es256, edDSA)
	}
	if algorithms == nil {
		return nil
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(algorithms), jwt.WithIssuedAt(), jwt.WithLeeway(o.Leeway)}
	if !o.ExpiryOptional {
		options = append(options, jwt.WithExpirationRequired())
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v
}

func (v *verifier) setSecrets(all []string) {
	var keys jwt.VerificationKeySet
	for _, s := range all {
		keys.Keys = append(keys.Keys, []byte(s))
	}
	v.secrets.Store(&keys)
}

// verify returns whose token this is. The error is a *wire.Error of wire.CodeUnauthenticated.
func (v *verifier) verify(token string) (*Identity, error) {
	var c claims
	parsed, err := v.parser.ParseWithClaims(token, &c, v.key)
	if err != nil {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token %s", v.why(err))
	}
	who, err := c.identity(v.options, time.Now())
	if err != nil {
		return nil, err
	}
	who.Screen = c.screen && parsed.Method.Alg() == hs256 // nobody else's key makes a token that is renewed
	who.setDigest(token)
	return who, nil
}

// errCritical is a header that says that something must be understood which is not (RFC 7515
// section 4.1.11).
var errCritical = errors.New("crit")

// key returns the keys that may have signed a token of its algorithm.
func (v *verifier) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	switch {
	case t.Method.Alg() == hs256:
		return *v.secrets.Load(), nil
	case v.issuer != nil:
		return v.issuer.key(t)
	}
	return v.public.of(t.Method.Alg()), nil
}

// algorithmOf returns the algorithm of a public key, or what is wrong with it.
func algorithmOf(key any) (string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 {
			return "", fmt.Errorf("an RSA key of %d bits: at least 2048 are needed", bits)
		}
		return rs256, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("an ECDSA key on %s: only P-256 is supported (ES256)", k.Curve.Params().Name)
		}
		return es256, nil
	case ed25519.PublicKey:
		return edDSA, nil
	}
	return "", fmt.Errorf("a key of type %T: RSA, ECDSA on P-256 or Ed25519 is needed", key)
}

// why ends the sentence "the token …".
func (v *verifier) why(err error) string {
	var claim *badClaim
	switch {
	case errors.As(err, &claim):
		return "is not a JSON Web Token with the claims of this server: " + claim.problem
	case errors.Is(err, errCritical):
		return "has the header crit: extensions are not supported"
	case errors.Is(err, jwkset.ErrKeyNotFound):
		return "is signed with a key (kid) that its issuer does not list"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "is not signed with " + v.signing()
	case errors.Is(err, jwt.ErrTokenExpired):
		return "has expired: get a new one"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "is not valid yet: check the clock of its issuer"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "is of another issuer: its claim iss must be AUTH_ISSUER"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "is for another audience: its claim aud must contain AUTH_AUDIENCE"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "lacks a claim that this server requires: exp, and iss and aud where AUTH_ISSUER and AUTH_AUDIENCE are set"
	}
	return "is not a JSON Web Token with the claims of this server"
}

// signing names the keys that are configured.
func (v *verifier) signing() string {
	switch {
	case len(v.secrets.Load().Keys) == 0:
		return "a key that this server trusts: RS256, ES256 or EdDSA"
	case v.public == nil && v.issuer == nil:
		return "HS256 and the secret of this server"
	}
	return "a key that this server trusts: HS256 and its secret, or RS256, ES256 or EdDSA"
}

// A badClaim is a claim that can't be used.
type badClaim struct{ problem string }

func (e *badClaim) Error() string { return e.problem }

func claimError(format string, args ...any) error {
	return &badClaim{fmt.Sprintf(format, args...)}
}

// claims are what a token says (RFC 7519 section 4.1, and what it permits). Names are compared
// exactly; others are ignored, as the RFC says.
type claims struct {
	issuer, subject, id        string
	audience                   jwt.ClaimStrings
	expires, notBefore, issued *jwt.NumericDate
	join, publish, retain      grant
	acknowledge                grant
	screen                     bool // see screenClaim
}

var _ jwt.Claims = (*claims)(nil)

// UnmarshalJSON reads a claims set. The error is a *badClaim.
func (c *claims) UnmarshalJSON(p []byte) error {
	// A map, since encoding/json takes "Exp" for "exp" in a struct.
	var all map[string]json.RawMessage
	if err := json.Unmarshal(p, &all); err != nil || all == nil {
		return claimError("they must be a JSON object")
	}
	for _, text := range []struct {
		name string
		into *string
		most int
	}{{"iss", &c.issuer, maxTokenBytes}, {"sub", &c.subject, maxSubjectBytes}, {"jti", &c.id, maxTokenIDBytes}} {
		raw, ok := all[text.name]
		if !ok {
			continue
		}
		if raw[0] != '"' || json.Unmarshal(raw, text.into) != nil {
			return claimError("%s must be a string", text.name)
		}
		if n := len(*text.into); n > text.most {
			return claimError("%s has %d bytes: at most %d are allowed", text.name, n, text.most)
		}
	}
	for _, date := range []struct {
		name string
		into **jwt.NumericDate
	}{{"exp", &c.expires}, {"nbf", &c.notBefore}, {"iat", &c.issued}} {
		raw, ok := all[date.name]
		if !ok {
			continue
		}
		var seconds float64
		if raw[0] == '"' || raw[0] == 'n' || json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > lastSecond {
			return claimError("%s must be a number of seconds since 1970", date.name)
		}
		*date.into = jwt.NewNumericDate(time.Unix(int64(seconds), 0))
	}
	if raw, ok := all["aud"]; ok {
		if raw[0] == 'n' || json.Unmarshal(raw, &c.audience) != nil {
			return claimError("aud must be a string or a list of strings")
		}
	}
	c.screen = string(all[screenClaim]) == "true"
	return c.permissions(all)
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

func (c *claims) permissions(all map[string]json.RawMessage) (err error) {
	if raw, ok := all["warehouses"]; ok {
		if c.join, err = parseGrant("warehouses", raw); err != nil {
			return err
		}
	}
	if raw, ok := all["publish"]; ok {
		if c.publish, err = parseAction("publish", raw, c.join); err != nil {
			return err
		}
	}
	if raw, ok := all["retain"]; ok {
		if c.retain, err = parseAction("retain", raw, c.publish); err != nil {
			return err
		}
	}
	if raw, ok := all["acknowledge"]; ok {
		if c.acknowledge, err = parseAction("acknowledge", raw, c.join); err != nil {
			return err
		}
	}
	return nil
}

// identity returns who the claims are of, if they are not too old. The error is a *wire.Error of
// wire.CodeUnauthenticated.
func (c *claims) identity(o TokenOptions, now time.Time) (*Identity, error) {
	i := &Identity{User: c.subject, TokenID: c.id, join: c.join, publish: c.publish, retain: c.retain, seesTo: c.acknowledge}
	if c.expires != nil {
		i.Expires = c.expires.Time
	}
	if c.issued != nil {
		i.IssuedAt = c.issued.Time
	}
	switch {
	case o.MaxAge == 0:
	case c.issued != nil:
		oldest := i.IssuedAt.Add(o.MaxAge)
		if now.After(oldest.Add(o.Leeway)) {
			return nil, wire.Errorf(wire.CodeUnauthenticated, "the token was issued more than %v ago (AUTH_MAX_AGE): get a new one", o.MaxAge)
		}
		if i.Expires.IsZero() || i.Expires.After(oldest) {
			i.Expires = oldest
		}
	case c.expires != nil && i.Expires.After(now.Add(o.MaxAge+o.Leeway)):
		return nil, wire.Errorf(wire.CodeUnauthenticated,
			"the token has no iat, and exp is more than %v ahead (AUTH_MAX_AGE): let it expire sooner, or add iat", o.MaxAge)
	}
	if !i.Expires.IsZero() {
		i.until = i.Expires.Add(o.Leeway)
	}
	return i, nil
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.notBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.issued, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }
