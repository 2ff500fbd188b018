package operator

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/base"
)

// ProviderOptions are those of an OpenID provider (OpenID Connect Core 1.0) whose users can be
// operators.
type ProviderOptions struct {
	Issuer, ClientID, ClientSecret string
	// RedirectURL is where the provider sends browsers back to; empty for CallbackPath at the host
	// that the browser asked.
	RedirectURL string
	Scopes      []string // besides openid
	// RoleClaim names the claim, a text or a list of texts, whose values grant roles: those of
	// Roles, or where that is empty those that [ParseGrant] reads. Others grant nothing.
	RoleClaim string
	Roles     map[string]Grant
}

// CallbackPath is where the provider sends browsers back to.
const CallbackPath = "/ui/login/oidc/callback"

// meaning is everything that a session depends on: a change ends it.
func (p ProviderOptions) meaning() string {
	return fmt.Sprintf("%q %q %q %v", p.Issuer, p.ClientID, p.RoleClaim, p.Roles) // maps are printed in order
}

const (
	// providerTimeout bounds each step with the provider.
	providerTimeout = 5 * time.Second
	// discoverAgain is how long after a failed discovery the provider is left alone.
	discoverAgain = time.Second
	// signInTime is how long someone may take to sign in at the provider.
	signInTime = 10 * time.Minute
	// maxGrants bounds what is taken from a claim, since it has to fit a cookie.
	maxGrants, maxGrantBytes = 16, 2000
)

// A provider is found out about when it is first needed, so that the server starts without it.
type provider struct {
	opts   ProviderOptions
	client *http.Client

	discovering chan struct{} // holds one for who discovers, and guards the rest
	found       *oidc.Provider
	failed      time.Time
	failure     error
}

func newProvider(o ProviderOptions) *provider {
	return &provider{opts: o, client: &http.Client{Timeout: providerTimeout}, discovering: make(chan struct{}, 1)}
}

// discover returns the provider. One request at a time asks it, and none soon after one that
// failed.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	select {
	case p.discovering <- struct{}{}:
		defer func() { <-p.discovering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.found != nil || time.Since(p.failed) < discoverAgain {
		return p.found, p.failure
	}
	// It outlives the request: the keys are fetched with it.
	p.found, p.failure = oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.opts.Issuer)
	if p.failure != nil {
		p.failed = time.Now()
	}
	return p.found, p.failure
}

func (p *provider) config(at *oidc.Provider, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.opts.ClientID, ClientSecret: p.opts.ClientSecret, Endpoint: at.Endpoint(),
		RedirectURL: redirect, Scopes: append([]string{oidc.ScopeOpenID}, p.opts.Scopes...)}
}

// A signIn is one at the provider that is under way: the state of the authorization code flow
// (RFC 6749 section 4.1) is its ID.
type signIn struct {
	jwt.RegisteredClaims
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // PKCE, RFC 7636
	Redirect string `json:"redirect"`
	Next     string `json:"next"`
}

// HasProvider reports whether operators can sign in at an OpenID provider.
func (o *Operators) HasProvider() bool { return o.opts.Provider.Issuer != "" }

// StartSignIn begins a sign-in at the OpenID provider, which ends at the path next. It sets a
// cookie and returns the address to send the browser to. The error is a *wire.Error.
func (o *Operators) StartSignIn(w http.ResponseWriter, r *http.Request, address, next string) (string, error) {
	at, err := o.provider.discover(r.Context())
	if err != nil {
		return "", o.providerFailed("", address, err)
	}
	now := time.Now()
	s := &signIn{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Redirect: o.redirectURL(r),
		RegisteredClaims: jwt.RegisteredClaims{ID: rand.Text(), Audience: jwt.ClaimStrings{ofSignIn}, ExpiresAt: jwt.NewNumericDate(now.Add(signInTime))}}
	text, err := sign(s, o.keysFor(ofSignIn, o.opts.Provider.meaning()))
	if err != nil {
		return "", err
	}
	http.SetCookie(w, o.cookie(r, signInCookie, text))
	return o.provider.config(at, s.Redirect).AuthCodeURL(s.ID, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)), nil
}

func (o *Operators) redirectURL(r *http.Request) string {
	scheme := "http://"
	if o.secure(r) {
		scheme = "https://"
	}
	return cmp.Or(o.opts.Provider.RedirectURL, scheme+r.Host+base.Path(r.Context(), CallbackPath))
}

// FinishSignIn returns who comes back from the OpenID provider, and the path that StartSignIn was
// given. The error is a *wire.Error.
func (o *Operators) FinishSignIn(w http.ResponseWriter, r *http.Request, address string) (_ Identity, next string, _ error) {
	// It costs what a guess does, and asks the provider.
	if wait := o.returns.Spend(network(address), 1, time.Now()); wait > 0 {
		return Identity{}, "", o.throttled("", address, wait)
	}
	var s signIn
	text := o.read(r, signInCookie)
	http.SetCookie(w, o.forget(r, signInCookie)) // it serves once
	err := verify(text, &s, func() ([]jwt.VerificationKey, error) {
		return o.keysFor(ofSignIn, o.opts.Provider.meaning()), nil
	}, ofSignIn)
	query := r.URL.Query()
	if err != nil || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(s.ID)) != 1 {
		o.refused("", address, whyForged)
		return Identity{}, "", wire.Errorf(wire.CodeUnauthenticated, "this sign-in was not begun in this browser, or took longer than %v: sign in again", signInTime)
	}
	if issuer := query.Get("iss"); issuer != "" && issuer != o.opts.Provider.Issuer { // RFC 9207 section 2.4
		return Identity{}, s.Next, o.providerFailed("", address, errors.New("the answer is of another issuer"))
	}
	if refusal := query.Get("error"); refusal != "" {
		return Identity{}, s.Next, o.providerFailed("", address, fmt.Errorf("%.100q: %.200q", refusal, query.Get("error_description")))
	}
	name, claims, err := o.provider.redeem(r.Context(), &s, query.Get("code"))
	if err != nil {
		return Identity{}, s.Next, o.providerFailed(name, address, err)
	}
	grants := o.opts.Provider.grants(o.opts.Provider.roles(claims))
	if len(grants) == 0 {
		o.refused(name, address, whyNoRole)
		return Identity{}, s.Next, wire.Errorf(wire.CodeForbidden, "you are signed in as %s, but your claim %s grants no role here: "+
			"ask an admin of this server", shown(name), o.opts.Provider.RoleClaim)
	}
	o.returns.Return(network(address), 1)
	o.event(Event{Who: name, Action: SignIn, Result: OK, Why: "OpenID Connect", Address: address})
	return Identity{Name: name, Grants: grants, federated: true}, s.Next, nil
}

func (o *Operators) providerFailed(name, address string, err error) error {
	o.event(Event{Who: name, Action: SignIn, Result: Refused, Why: whyProvider, Address: address, cause: err})
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: discoverAgain.Milliseconds(),
		Message: "the OpenID provider did not sign you in: try again, or sign in otherwise. The server's log says why"}
}

// redeem exchanges the code for an ID token, verifies it, and returns the name and the claims.
func (p *provider) redeem(ctx context.Context, s *signIn, code string) (string, map[string]any, error) {
	at, err := p.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), 2*providerTimeout)
	defer cancel()
	config := p.config(at, s.Redirect)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return "", nil, fmt.Errorf("exchange the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := at.Verifier(&oidc.Config{ClientID: p.opts.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", nil, fmt.Errorf("verify the ID token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(s.Nonce)) != 1 {
		return "", nil, errors.New("the ID token has another nonce")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return "", nil, fmt.Errorf("read the ID token: %w", err)
	}
	if p.opts.roles(claims) == nil { // many providers keep it for the UserInfo endpoint
		info, err := at.UserInfo(ctx, config.TokenSource(ctx, token))
		switch {
		case err != nil:
			return "", nil, fmt.Errorf("ask for the claim %s: %w", p.opts.RoleClaim, err)
		case info.Subject != id.Subject:
			return "", nil, errors.New("the provider told the claims of someone else")
		}
		if err := info.Claims(&claims); err != nil {
			return "", nil, fmt.Errorf("read the claims: %w", err)
		}
	}
	return nameOf(id.Subject, claims), claims, nil
}

// nameOf is what the log and the pages call a user of the provider: never the same as an account's
// here, since those have no colon.
func nameOf(subject string, claims map[string]any) string {
	for _, claim := range []string{"preferred_username", "email"} {
		if text, _ := claims[claim].(string); text != "" {
			return shown("oidc:" + text)
		}
	}
	return shown("oidc:" + subject)
}

// roles returns the value of the claim that has the roles; a.b is the claim b inside a, unless
// there is one of this very name.
func (p ProviderOptions) roles(claims map[string]any) any {
	if value, ok := claims[p.RoleClaim]; ok {
		return value
	}
	outer, inner, _ := strings.Cut(p.RoleClaim, ".")
	inside, _ := claims[outer].(map[string]any)
	return inside[inner]
}

// grants returns what the values of the claim grant.
func (p ProviderOptions) grants(claim any) (all []Grant) {
	values, _ := claim.([]any)
	if text, ok := claim.(string); ok {
		values = []any{text}
	}
	size := 0
	for _, v := range values {
		text, _ := v.(string)
		g, ok := p.Roles[text]
		if len(p.Roles) == 0 {
			var err error
			g, err = ParseGrant(text)
			ok = err == nil
		}
		known := slices.ContainsFunc(all, func(had Grant) bool { return had.String() == g.String() })
		if ok && !known && len(all) < maxGrants && size+len(g.String()) <= maxGrantBytes {
			size += len(g.String())
			all = append(all, g)
		}
	}
	return all
}

// ParseRoles reads what the values of the claim grant: each text is value=grant.
func ParseRoles(texts []string) (map[string]Grant, error) {
	roles := map[string]Grant{}
	var all []error
	for _, text := range texts {
		value, grant, found := strings.Cut(text, "=")
		g, err := ParseGrant(grant)
		if !found || value == "" || err != nil {
			all = append(all, fmt.Errorf("%.80q is not like value=operator@warehouse-1,warehouse-2: write viewer, operator or admin after the =", text))
		}
		roles[value] = g
	}
	return roles, errors.Join(all...)
}
