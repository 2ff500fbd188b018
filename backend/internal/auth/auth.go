// Package auth decides who may do what: clients by token, services by token or key. Operators
// are package operator's.
//
//	transport/ws ── Client, Token ──▶ Guard ──▶ Identity ── MayJoin, MayPublish
//	api          ── Service ────────▶ Guard
//
// What is not set is not asked for: without a token secret every client is welcome, without keys
// and secret every service. The configuration refuses that on an address which others can reach.
package auth

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/wire"
)

// MinSecretBytes is the least length of a token secret: as long as the hash that it keys (RFC 7518
// section 3.2).
const MinSecretBytes = 32

// Subprotocol is what a WebSocket client offers beside its token, and what the server answers with
// (RFC 6455 section 1.9).
const Subprotocol = "zonecast"

// maxTokenBytes bounds what is parsed at all.
const maxTokenBytes = 8 << 10

// Options of a [Guard]. What is empty is not asked for.
type Options struct {
	// TokenSecret is the key of the tokens' signatures: HS256, RFC 7518 section 3.2.
	TokenSecret string
	// PublishKeys are those of services that may publish anything.
	PublishKeys []string
}

// A Guard answers for the whole server. Its methods may be called by several goroutines.
type Guard struct {
	secret []byte
	keys   [][sha256.Size]byte
	parser *jwt.Parser
	anyone *Identity // who comes without a token, when none is needed
}

// New returns a guard.
func New(o Options) *Guard {
	g := &Guard{secret: []byte(o.TokenSecret),
		anyone: &Identity{all: true, publish: len(o.PublishKeys) == 0},
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuedAt())}
	for _, k := range o.PublishKeys {
		g.keys = append(g.keys, sha256.Sum256([]byte(k)))
	}
	return g
}

// claims are what a token says (RFC 7519), beside what is registered: sub, exp, nbf, iat.
type claims struct {
	jwt.RegisteredClaims
	// Warehouses are those whose rooms may be joined; "*" is all of them.
	Warehouses []string `json:"warehouses"`
	// Publish permits to publish to those rooms.
	Publish bool `json:"publish"`
}

// An Identity is someone who was let in.
type Identity struct {
	// User is the token's subject; empty for someone anonymous.
	User string
	// Expires is when the token does; zero for never.
	Expires time.Time

	all        bool
	warehouses []string
	publish    bool
}

// Client returns who connects. The error is a *wire.Error of wire.CodeUnauthenticated.
func (g *Guard) Client(r *http.Request) (*Identity, error) {
	return g.Token(tokenOf(r))
}

// Token returns whose token this is. Without a secret any token, and none, is someone anonymous.
func (g *Guard) Token(token string) (*Identity, error) {
	if len(g.secret) == 0 {
		return g.anyone, nil
	}
	switch {
	case token == "":
		return nil, wire.Errorf(wire.CodeUnauthenticated,
			"a token is needed: in the header Authorization: Bearer, in ?token=, or among the WebSocket subprotocols")
	case len(token) > maxTokenBytes:
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token has more than %d bytes", maxTokenBytes)
	}
	var c claims
	_, err := g.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return g.secret, nil })
	if err != nil {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "the token %s", why(err))
	}
	i := &Identity{User: c.Subject, all: slices.Contains(c.Warehouses, "*"), warehouses: c.Warehouses, publish: c.Publish}
	if c.ExpiresAt != nil {
		i.Expires = c.ExpiresAt.Time
	}
	return i, nil
}

func why(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "has expired: get a new one"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "is not valid yet: check the clock of its issuer"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "is not signed with HS256 and the secret of this server"
	}
	return "is not a JSON Web Token with the claims of this server"
}

// tokenOf finds the token of a request; empty for none.
func tokenOf(r *http.Request) string {
	if t, ok := bearer(r); ok {
		return t
	}
	if t := r.URL.Query().Get("token"); t != "" {
		return t
	}
	for _, p := range Offered(r) {
		if p != Subprotocol {
			return p
		}
	}
	return ""
}

// bearer reads RFC 6750 section 2.1.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// Offered returns the subprotocols that a WebSocket client offers.
func Offered(r *http.Request) []string {
	var all []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" {
				all = append(all, p)
			}
		}
	}
	return all
}

// ServiceNeedsKey tells whether publishing over HTTP needs a key or a token.
func (g *Guard) ServiceNeedsKey() bool { return len(g.keys) > 0 || len(g.secret) > 0 }

// Service returns who calls the publish API: the holder of a key, or of a token that permits
// publishing. The error is a *wire.Error of wire.CodeUnauthenticated.
func (g *Guard) Service(r *http.Request) (*Identity, error) {
	if !g.ServiceNeedsKey() {
		return &Identity{all: true, publish: true}, nil
	}
	given, _ := bearer(r)
	hash := sha256.Sum256([]byte(given))
	known := 0
	for _, k := range g.keys {
		known |= subtle.ConstantTimeCompare(hash[:], k[:])
	}
	if known == 1 {
		return &Identity{all: true, publish: true}, nil
	}
	if len(g.secret) == 0 || given == "" {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "send the header Authorization: Bearer with a key or a token that may publish")
	}
	who, err := g.Token(given)
	if err != nil && len(g.keys) > 0 {
		return nil, wire.Errorf(wire.CodeUnauthenticated, "this is none of the keys that may publish, and as a token: %v", err)
	}
	return who, err
}

// MayJoin returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayJoin(room wire.Room) error {
	if i.all || slices.Contains(i.warehouses, room.Warehouse) {
		return nil
	}
	return wire.Errorf(wire.CodeForbidden, "the token does not permit %s: its claim warehouses is %s", room,
		cmp.Or(strings.Join(i.warehouses, ", "), "empty"))
}

// MayPublish returns nil, or a *wire.Error of wire.CodeForbidden.
func (i *Identity) MayPublish(room wire.Room) error {
	if !i.publish {
		return wire.Errorf(wire.CodeForbidden, "publishing is not permitted here: use a token with the claim publish, or the HTTP API with a key")
	}
	return i.MayJoin(room)
}
