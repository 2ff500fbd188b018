// Package operator decides who is an operator, and what kind of.
//
//	access ── Identify(request) ──▶ session's cookie ─────────────────────▶ Identity: its grants
//	                            └─▶ HTTP Basic ──┐                            ▲
//	signin ── Login(name, password) ─────────────┴▶ guesses ── bcrypt ───────┤──▶ Begin: a session
//	       ── FinishSignIn(request) ──▶ OpenID provider ── claims ───────────┘
//
// Programs log in with HTTP Basic (RFC 7617), browsers sign in and get a session: a signed cookie.
// Operators are those of a password file, which is read again when it changes, the one whose
// password is a setting, and those whom an OpenID provider vouches for. A guess costs its address a
// token, and its name one; a login that was right gives both back.
package operator

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/wire"
)

// DefaultName is the operator's whose password is OPERATOR_PASSWORD.
const DefaultName = "operator"

// MinPasswordBytes is the least length of OPERATOR_PASSWORD.
const MinPasswordBytes = 8

var (
	// addressGuesses and nameGuesses are how many wrong logins an address, or a name from
	// everywhere that it has not come from, may try at once, and each second from then on.
	addressGuesses = limit.Rate{Tokens: 10, Refill: 0.2}
	nameGuesses    = limit.Rate{Tokens: 30, Refill: 0.5}
	// refusals is how many of an address are written down.
	refusals = limit.Rate{Tokens: 20, Refill: 0.2}
)

const (
	// hashing is how many passwords are hashed at a time: it takes a core for a tenth of a second.
	hashing = 1
	// maxHashes is how many logins may wait for that or be in it.
	maxHashes = 16
	// rememberFor is how long a login that was right is not hashed again.
	rememberFor = 5 * time.Minute
	// maxRemembered bounds how many are remembered; then all are forgotten.
	maxRemembered = 1000
	// maxCredentials bounds what is hashed. bcrypt itself takes 72 bytes of a password.
	maxCredentials = 256
)

// Options of [Operators].
type Options struct {
	// Password is that of the operator DefaultName, an admin; empty for none.
	Password string
	// File is the name of the password file; empty for none. See [ReadFile].
	File string
	// Provider is the OpenID provider whose users may be operators; without an issuer there is
	// none.
	Provider ProviderOptions
	// Closed lets in nobody, rather than everybody, while there are no operators.
	Closed   bool
	Sessions SessionOptions
	Log      *slog.Logger
	// OnEvent is called for each sign-in and sign-out, also those that failed; nil for nothing.
	OnEvent func(Event)
}

// An Event is that someone signed in or out, or tried to.
type Event struct {
	Who     string // as far as it said; of a stranger, any text of up to 64 bytes
	Action  Action
	Result  Result
	Why     string // how, or why not: one of a few
	Address string
	// Repeated says that this address was refused often lately: such events are to be counted, not
	// written down, since strangers cause as many as they like.
	Repeated bool

	cause error // of the OpenID provider, for the log
}

// An Action is what was done.
type Action string

// The actions.
const (
	SignIn  Action = "sign-in"
	SignOut Action = "sign-out"
)

// Basic is how programs sign in, with each request (RFC 7617): why an event of theirs is one.
const Basic = "HTTP Basic"

// A Result is what came of it.
type Result string

// The results.
const (
	OK      Result = "ok"
	Refused Result = "refused"
)

// Why a sign-in was refused.
const (
	whyWrong     = "wrong"     // name or password
	whyThrottled = "throttled" // too many before
	whyProvider  = "provider"  // the OpenID provider did not answer, or refused
	whyForged    = "forged"    // what came back is not of a sign-in of this browser
	whyNoRole    = "no_role"   // the OpenID provider vouches for it, but nothing is granted to it
)

// Operators are those of a server. The methods may be called by several goroutines.
type Operators struct {
	// Static after New.
	opts     Options
	password [sha256.Size]byte
	file     *file
	guesses  *limit.Guesses // at passwords, by address and name
	begun    *limit.Keyed   // sessions, by name
	refusals *limit.Keyed   // by address
	provider *provider
	returns  *limit.Keyed  // from the OpenID provider, by address
	keys     [][]byte      // of sessions; the first signs
	hash     chan struct{} // holds one for each password being hashed
	hashes   atomic.Int64  // of those and those that wait
	key      [sha256.Size]byte

	mu         sync.Mutex
	remembered map[[sha256.Size]byte]remembered
}

// remembered is a login that was right.
type remembered struct {
	hash  string // what it was compared with
	until time.Time
}

// New returns operators. The error tells what is wrong with the password file.
func New(o Options) (*Operators, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	o.Sessions.IdleTimeout = cmp.Or(o.Sessions.IdleTimeout, time.Hour)
	o.Sessions.MaxAge = cmp.Or(o.Sessions.MaxAge, 12*time.Hour)
	all := &Operators{opts: o, password: sha256.Sum256([]byte(o.Password)), guesses: limit.NewGuesses(addressGuesses, nameGuesses),
		returns: limit.NewKeyed(addressGuesses), begun: limit.NewKeyed(newSessions), refusals: limit.NewKeyed(refusals),
		provider: newProvider(o.Provider), keys: deriveKeys(o.Sessions.Secrets), hash: make(chan struct{}, hashing),
		remembered: map[[sha256.Size]byte]remembered{}}
	_, _ = rand.Read(all.key[:]) // it never fails
	if o.File != "" {
		accounts, err := ReadFile(o.File)
		if err != nil {
			return nil, err
		}
		all.file = newFile(o.File, accounts, o.Log)
	}
	return all, nil
}

// open reports whether there are no operators, so that everybody is one.
func (o *Operators) open() bool { return !o.TakesPasswords() && !o.HasProvider() && !o.opts.Closed }

// Open reports whether everybody is an operator, because there is neither one nor any other secret.
func (o *Operators) Open() bool { return o.open() }

// TakesPasswords reports whether there are operators with passwords.
func (o *Operators) TakesPasswords() bool { return o.opts.Password != "" || o.file != nil }

// Identify returns the operator who sends the request, from this address: by HTTP Basic, or where
// there is none by the cookie of a session. The error is a *wire.Error: wire.CodeUnauthenticated,
// wire.CodeForbidden where there are no operators, or wire.CodeRateLimited for too many wrong
// logins.
func (o *Operators) Identify(r *http.Request, address string) (Identity, error) {
	switch {
	case o.open():
		return Identity{Grants: []Grant{{Role: Admin}}}, nil
	case !o.TakesPasswords() && !o.HasProvider():
		return Identity{}, wire.Errorf(wire.CodeForbidden,
			"there are no operators here: set OPERATOR_PASSWORD, OPERATORS_FILE or OIDC_ISSUER at the server")
	}
	if name, password, ok := r.BasicAuth(); ok {
		return o.login(r, address, name, password, Basic)
	}
	if who, err := o.ofSession(r); err == nil {
		return who, nil
	}
	if o.HadSession(r) {
		return Identity{}, wire.Errorf(wire.CodeUnauthenticated, "your session has ended, and nothing was done: sign in at /ui/login, then try again")
	}
	return Identity{}, wire.Errorf(wire.CodeUnauthenticated, "log in as an operator of this server")
}

// Login returns the operator of this name and password. The errors are those of Identify.
func (o *Operators) Login(r *http.Request, address, name, password string) (Identity, error) {
	return o.login(r, address, name, password, "form")
}

func (o *Operators) login(r *http.Request, address, name, password, how string) (Identity, error) {
	now := time.Now()
	from := network(address)
	account, known := o.account(name)
	who := Identity{Name: name, Grants: []Grant{account.Grant}, hash: account.Hash}
	seen := o.seen(from, name, password)
	if o.remembers(seen, account.Hash, now) { // it costs nothing, whoever guesses at this address
		if how != Basic { // which comes with each request
			o.event(Event{Who: name, Action: SignIn, Result: OK, Why: how, Address: address})
		}
		return who, nil
	}
	if wait := o.guesses.Spend(from, shown(name), now); wait > 0 {
		return Identity{}, o.throttled(name, address, wait)
	}
	right, err := o.compare(r, name, password, account.Hash)
	if err != nil {
		return Identity{}, err
	}
	if !right || !known {
		o.refused(name, address, whyWrong)
		return Identity{}, wire.Errorf(wire.CodeUnauthenticated, "the name or the password is wrong: check both")
	}
	o.guesses.Right(from, shown(name))
	o.remember(seen, account.Hash, now)
	o.event(Event{Who: name, Action: SignIn, Result: OK, Why: how, Address: address})
	return who, nil
}

func (o *Operators) throttled(name, address string, wait time.Duration) error {
	o.refused(name, address, whyThrottled)
	return &wire.Error{Code: wire.CodeRateLimited, Message: "too many failed logins: try again later",
		RetryAfter: (wait + time.Millisecond - 1).Milliseconds()}
}

func (o *Operators) refused(name, address, why string) {
	o.event(Event{Who: name, Action: SignIn, Result: Refused, Why: why, Address: address})
}

// event logs what happened and reports it.
func (o *Operators) event(e Event) {
	e.Who = shown(e.Who)
	level := slog.LevelInfo
	if e.Result == Refused {
		level = slog.LevelWarn
		e.Repeated = o.refusals.Spend(network(e.Address), 1, time.Now()) > 0
	}
	if !e.Repeated {
		said := []any{"operator", e.Who, "result", e.Result, "why", e.Why, "address", e.Address}
		if e.cause != nil {
			said = append(said, "error", e.cause)
		}
		o.opts.Log.Log(context.Background(), level, "operator's "+string(e.Action), said...)
	}
	o.opts.OnEvent(e)
}

// account returns an operator of the file, or the one whose password is a setting: without a hash.
// That of nobody has noHash.
func (o *Operators) account(name string) (Account, bool) {
	if name == DefaultName && o.opts.Password != "" {
		return Account{Grant: Grant{Role: Admin}}, true
	}
	if o.file == nil {
		return Account{}, false // there are no other names to find out
	}
	if a, ok := o.file.accounts()[name]; ok {
		return a, true
	}
	return Account{Hash: noHash}, false
}

// noHash takes as long to compare as that of an operator, so that the time tells nobody which
// names there are.
const noHash = "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5kX7H1zOPpYTrYlCFR8aQdGZ9cQJy"

// compare reports whether the password is right.
func (o *Operators) compare(r *http.Request, name, password, hash string) (bool, error) {
	if len(name)+len(password) > maxCredentials {
		return false, nil
	}
	if hash == "" {
		given := sha256.Sum256([]byte(password))
		return subtle.ConstantTimeCompare(given[:], o.password[:]) == 1, nil
	}
	if o.hashes.Add(1) > maxHashes {
		o.hashes.Add(-1)
		return false, &wire.Error{Code: wire.CodeUnavailable, Message: "too many logins at once: try again", RetryAfter: 1000}
	}
	defer o.hashes.Add(-1)
	select {
	case o.hash <- struct{}{}:
		defer func() { <-o.hash }()
	case <-r.Context().Done():
		return false, wire.Errorf(wire.CodeUnavailable, "the login was not checked in time: try again")
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil && hash != noHash, nil
}

// seen is what is remembered of a login: nothing that it could be found out from, and of this
// address alone, so that nobody else guesses for free.
func (o *Operators) seen(address, name, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, o.key[:])
	for _, s := range []string{address, name, password} {
		part := sha256.Sum256([]byte(s))
		h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

// remembers reports whether the login was right lately, and nothing has changed since. It is
// remembered for as long as it is used, so that who guesses at its name locks nobody out.
func (o *Operators) remembers(seen [sha256.Size]byte, hash string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, ok := o.remembered[seen]
	if !ok || was.hash != hash || !now.Before(was.until) {
		return false
	}
	o.remembered[seen] = remembered{hash, now.Add(rememberFor)}
	return true
}

func (o *Operators) remember(seen [sha256.Size]byte, hash string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.remembered) >= maxRemembered {
		clear(o.remembered)
	}
	o.remembered[seen] = remembered{hash, now.Add(rememberFor)}
}

// shown is a name that a stranger gave, at a length fit for the log.
func shown(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

// network is the address, or the /64 of an IPv6 address, where one guesser has many.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() || a.Is4In6() {
		return address
	}
	p, _ := a.WithZone("").Prefix(64) // an IPv6 address has one
	return p.String()
}
