package operator

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/web/base"
)

// SessionOptions are those of sessions, which browsers have instead of HTTP Basic.
type SessionOptions struct {
	// Secrets sign the cookies: the first signs, all are accepted. Instances with the same ones
	// accept each other's sessions. With none, sessions hold for this process alone.
	Secrets []string
	// IdleTimeout is how long a session lasts after its last request, MaxAge after it began.
	// Defaults: 1 h and 12 h.
	IdleTimeout, MaxAge time.Duration
	// Secure reports whether a request came over TLS, maybe to a proxy; nil for never.
	Secure func(*http.Request) bool
	// End ends a session on all instances until it would have expired anyway, and Ended reports
	// whether it was. nil: only its browser forgets it.
	End   func(ctx context.Context, id string, until time.Time) error
	Ended func(id string) bool
}

const (
	// sessionCookie and signInCookie name the cookies of a session, and of a sign-in at an OpenID
	// provider that is under way. Over TLS they begin with hostPrefix: then browsers keep other
	// hosts, and plain HTTP, from setting them (RFC 6265bis section 4.1.3.2). Below a path that
	// other programs of the host are not to see them at, securePrefix has to do: plain HTTP can't
	// set them.
	sessionCookie, signInCookie = "zonecast_session", "zonecast_signin"
	hostPrefix, securePrefix    = "__Host-", "__Secure-"

	// renewals is how often a session in use is renewed within its idle timeout.
	renewals = 10
)

// newSessions is how many sessions one operator may begin at once, and each second from then on: an
// ended session is remembered until it would have expired.
var newSessions = limit.Rate{Tokens: 30, Refill: 1.0 / 60}

// A session is what a cookie says. Nothing is kept of it here.
type session struct {
	jwt.RegisteredClaims
	// End is when it ends, however much it is used, in seconds since 1970. It expires (exp) earlier
	// when it is not used.
	End int64 `json:"end"`
	// Grants are those that an OpenID provider gave. An account's are looked up.
	Grants []Grant `json:"grants,omitempty"`
}

// The audiences of what is signed: none is taken for another.
const (
	ofAccount  = "account"
	ofProvider = "provider"
	ofSignIn   = "sign-in"
)

// deriveKeys returns a key for each secret, so that a secret which has other uses can be shared.
func deriveKeys(secrets []string) [][]byte {
	if len(secrets) == 0 {
		secrets = []string{rand.Text()}
	}
	var keys [][]byte
	for _, s := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(s), nil, "zonecast operators' sessions", sha256.Size)
		if err != nil {
			panic(err) // of a longer key
		}
		keys = append(keys, key)
	}
	return keys
}

// keysFor returns the keys that sign what is bound to these texts: when one of them changes, what
// was signed is refused.
func (o *Operators) keysFor(bound ...string) (keys []jwt.VerificationKey) {
	for _, key := range o.keys {
		h := hmac.New(sha256.New, key)
		for _, s := range bound {
			part := sha256.Sum256([]byte(s))
			h.Write(part[:])
		}
		keys = append(keys, h.Sum(nil))
	}
	return keys
}

// sessionKeys are those of the sessions of an operator: bound to the account's hash and role, or to
// what an OpenID provider's claims mean here.
func (o *Operators) sessionKeys(audience, name string) ([]jwt.VerificationKey, error) {
	if audience == ofProvider {
		if !o.HasProvider() {
			return nil, errors.New("no OpenID provider is configured")
		}
		return o.keysFor(audience, name, o.opts.Provider.meaning()), nil
	}
	account, ok := o.account(name)
	if !ok {
		return nil, errors.New("no such account")
	}
	secret := account.Hash
	if secret == "" {
		secret = o.opts.Password
	}
	return o.keysFor(audience, name, secret, account.Grant.String()), nil
}

func sign(claims jwt.Claims, keys []jwt.VerificationKey) (string, error) {
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(keys[0])
	if err != nil {
		return "", fmt.Errorf("sign the cookie: %w", err)
	}
	return text, nil
}

// maxCookie is the most bytes of a cookie that browsers keep (RFC 6265 section 6.1). Longer ones,
// which strangers send, are not decoded.
const maxCookie = 4 << 10

func verify(text string, claims jwt.Claims, keys func() ([]jwt.VerificationKey, error), audiences ...string) error {
	if len(text) > maxCookie {
		return errors.New("longer than any cookie")
	}
	_, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) {
		all, err := keys()
		return jwt.VerificationKeySet{Keys: all}, err
	}, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithAudience(audiences...))
	return err
}

// Begin begins a session of an operator who has just proved who it is, and sets its cookie. The
// error is a *wire.Error.
func (o *Operators) Begin(w http.ResponseWriter, r *http.Request, address string, who Identity) error {
	now := time.Now()
	if wait := o.begun.Spend(who.Name, 1, now); wait > 0 {
		return o.throttled(who.Name, address, wait)
	}
	audience := ofAccount
	s := &session{End: now.Add(o.opts.Sessions.MaxAge).Unix(), RegisteredClaims: jwt.RegisteredClaims{ID: rand.Text(), Subject: who.Name}}
	if who.federated {
		audience, s.Grants = ofProvider, who.Grants
	}
	s.Audience = jwt.ClaimStrings{audience}
	return o.send(w, r, s, now)
}

// send sets the cookie of a session that is used now.
func (o *Operators) send(w http.ResponseWriter, r *http.Request, s *session, now time.Time) error {
	keys, err := o.sessionKeys(s.Audience[0], s.Subject)
	if err != nil {
		return wire.Errorf(wire.CodeUnauthenticated, "the account has changed meanwhile: sign in again")
	}
	s.IssuedAt = jwt.NewNumericDate(now)
	s.ExpiresAt = jwt.NewNumericDate(time.Unix(min(s.End, now.Add(o.opts.Sessions.IdleTimeout).Unix()), 0))
	text, err := sign(s, keys)
	if err != nil {
		return err
	}
	http.SetCookie(w, o.cookie(r, sessionCookie, text))
	return nil
}

// Renew sets the cookie of a session anew, once in a while, so that one in use does not expire.
func (o *Operators) Renew(w http.ResponseWriter, r *http.Request, who Identity) {
	now := time.Now()
	if s := who.session; s != nil && now.Sub(s.IssuedAt.Time) > o.opts.Sessions.IdleTimeout/renewals {
		renewed := *s
		_ = o.send(w, r, &renewed, now) // the account was there a moment ago; else the session ends
	}
}

// End ends the session of a request, everywhere, and takes the cookie away. It returns nil where
// there is none, or the reason why other instances go on accepting copies of the cookie.
func (o *Operators) End(w http.ResponseWriter, r *http.Request, address string) error {
	http.SetCookie(w, o.forget(r, sessionCookie))
	who, err := o.ofSession(r)
	if err != nil {
		return nil // it has ended already
	}
	if o.opts.Sessions.End != nil {
		err = o.opts.Sessions.End(r.Context(), who.session.ID, time.Unix(who.session.End, 0))
	}
	event := Event{Who: who.Name, Action: SignOut, Result: OK, Address: address}
	if err != nil {
		event.Result, event.Why = Refused, "not told to all instances"
	}
	o.event(event)
	return err
}

// ofSession returns the operator whose session the request's cookie is.
func (o *Operators) ofSession(r *http.Request) (Identity, error) {
	text := o.read(r, sessionCookie)
	if text == "" {
		return Identity{}, http.ErrNoCookie
	}
	var s session
	err := verify(text, &s, func() ([]jwt.VerificationKey, error) {
		if len(s.Audience) != 1 {
			return nil, errors.New("not of one audience")
		}
		return o.sessionKeys(s.Audience[0], s.Subject)
	}, ofAccount, ofProvider)
	switch {
	case err != nil:
		return Identity{}, err
	case s.End <= time.Now().Unix(), s.IssuedAt == nil:
		return Identity{}, jwt.ErrTokenExpired
	case o.opts.Sessions.Ended != nil && o.opts.Sessions.Ended(s.ID):
		return Identity{}, errors.New("signed out")
	}
	who := Identity{Name: s.Subject, Grants: s.Grants, session: &s, federated: s.Audience[0] == ofProvider}
	if !who.federated {
		account, _ := o.account(s.Subject)
		who.Grants = []Grant{account.Grant}
	}
	return who, nil
}

// StillValid reports whether a request that began earlier would still be let in: its session or
// account may have ended.
func (o *Operators) StillValid(r *http.Request) bool {
	who := From(r.Context())
	if who.session != nil {
		_, err := o.ofSession(r)
		return err == nil
	}
	if o.open() {
		return true
	}
	account, ok := o.account(who.Name)
	return ok && account.Hash == who.hash && account.Grant.String() == who.Grants[0].String()
}

// Lasting is the longest that an answer may take, so that a browser which comes back for more after
// it finds its session renewed.
func (o *Operators) Lasting() time.Duration { return o.opts.Sessions.IdleTimeout / 2 }

func (o *Operators) secure(r *http.Request) bool {
	return o.opts.Sessions.Secure != nil && o.opts.Sessions.Secure(r)
}

func (o *Operators) cookieName(r *http.Request, name string) string {
	switch {
	case !o.secure(r):
		return name
	case base.Of(r.Context()) != "":
		return securePrefix + name
	}
	return hostPrefix + name
}

// cookie is one that ends with the browser. It is sent along with links from elsewhere, as that of
// an OpenID provider back to here, and with nothing else that other sites send.
func (o *Operators) cookie(r *http.Request, name, value string) *http.Cookie {
	return &http.Cookie{Name: o.cookieName(r, name), Value: value, Path: base.Path(r.Context(), "/"), HttpOnly: true, Secure: o.secure(r),
		SameSite: http.SameSiteLaxMode}
}

func (o *Operators) forget(r *http.Request, name string) *http.Cookie {
	c := o.cookie(r, name, "")
	c.MaxAge = -1
	return c
}

// read returns the value of a cookie; empty for none.
func (o *Operators) read(r *http.Request, name string) string {
	c, err := r.Cookie(o.cookieName(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}

// HadSession reports whether the request has the cookie of a session, be it over or not.
func (o *Operators) HadSession(r *http.Request) bool { return o.read(r, sessionCookie) != "" }
