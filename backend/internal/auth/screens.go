package auth

import (
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// screenClaim marks tokens of wall screens, which may be renewed.
	screenClaim = "zonecastScreen"
	// ScreenUser, before its name, is the user of a wall screen.
	ScreenUser = "screen:"
	// screenLifetime is for how long the token of a wall screen is valid, unless MaxAge is less.
	screenLifetime = 30 * 24 * time.Hour
	// screenRenewal is after how long it is renewed, unless a quarter of its lifetime is less.
	screenRenewal = 24 * time.Hour
)

// A ScreenGrant is what a wall screen may see: zones, and the room of their warehouse.
type ScreenGrant struct {
	TokenID   string   `json:"tokenId"` // of all the tokens that it gets, so that a revocation ends them all
	Name      string   `json:"name"`
	Warehouse string   `json:"warehouse"`
	Zones     []string `json:"zones,omitempty"` // empty for the whole warehouse
}

// MaxScreenName is the most bytes of the name of a wall screen: it is part of the claim sub.
const MaxScreenName = maxSubjectBytes - len(ScreenUser)

// MayIssue returns nil if this guard can make tokens that it accepts, or why it can't.
func (g *Guard) MayIssue() error {
	const instead = "put a token of yours into the address of the screen, #token=…"
	switch {
	case !g.needsToken():
		return errors.New("screens need no token here: open /screen/{warehouse}/{zone}")
	case g.callback != nil:
		return errors.New("AUTH_URL decides about tokens here, so there are none to give to screens: " + instead)
	case len(g.tokens.secrets.Load().Keys) == 0:
		return errors.New("tokens are checked by public keys alone here, and there is no AUTH_TOKEN_SECRET to sign those of screens with: " + instead)
	}
	return nil
}

// ScreenTokens says for how long the token of a wall screen is valid, and after how long it is
// renewed.
func (g *Guard) ScreenTokens() (lifetime, renewal time.Duration) {
	lifetime = screenLifetime
	if g.tokens != nil {
		lifetime = min(lifetime, cmp.Or(g.tokens.options.MaxAge, lifetime))
	}
	return lifetime, min(screenRenewal, lifetime/4)
}

// IssueForScreen returns a token with which a wall screen reads what it may see, and can do nothing
// else. It needs a guard that MayIssue.
func (g *Guard) IssueForScreen(s ScreenGrant) (string, error) {
	zones := []string{"*"}
	if len(s.Zones) > 0 {
		zones = append([]string{ownRoom}, s.Zones...) // alerts of the whole building are for every wall
	}
	claims := map[string]any{"sub": ScreenUser + s.Name, "jti": s.TokenID, "warehouses": map[string][]string{s.Warehouse: zones}, screenClaim: true}
	for name, value := range map[string]string{"iss": g.tokens.options.Issuer, "aud": g.tokens.options.Audience} {
		if value != "" {
			claims[name] = value
		}
	}
	return g.signForScreen(claims)
}

// signForScreen signs claims that are valid from now on.
func (g *Guard) signForScreen(claims map[string]any) (string, error) {
	keys := g.tokens.secrets.Load().Keys
	lifetime, _ := g.ScreenTokens()
	now := time.Now()
	claims["iat"], claims["exp"] = now.Unix(), now.Add(lifetime).Unix()
	return Sign(keys[0], claims)
}

// RenewForScreen returns a token like this one, of a wall screen that was let in with it, that is
// valid for longer. The error is a *wire.Error of wire.CodeForbidden where it is no token of a
// screen's. It needs a guard that MayIssue.
func (g *Guard) RenewForScreen(who *Identity, token string) (string, error) {
	if !who.Screen {
		return "", wire.Errorf(wire.CodeForbidden, "only tokens of paired screens are renewed here: get a new one where this one is from")
	}
	var claims map[string]any
	p, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1]) // it was parsed already
	if err == nil {
		err = json.Unmarshal(p, &claims)
	}
	if err != nil {
		return "", fmt.Errorf("read the claims of a token again: %w", err)
	}
	return g.signForScreen(claims)
}

// DerivedKeys returns a key for each secret of tokens, for a purpose of its own: what they sign is
// no token. The first signs, all verify.
func (g *Guard) DerivedKeys(purpose string) (keys [][]byte) {
	if g.tokens == nil {
		return nil
	}
	for _, secret := range g.tokens.secrets.Load().Keys {
		key, err := hkdf.Key(sha256.New, secret.([]byte), nil, purpose, sha256.Size)
		if err != nil {
			panic(err) // of a longer key
		}
		keys = append(keys, key)
	}
	return keys
}
