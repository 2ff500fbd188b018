// Package operator decides who is an operator, and what kind of.
//
//	access ── Check(request, role) ──▶ address's guesses ── known lately? ── name's guesses ── bcrypt
//	                                                                       failed logins ──▶ log, metric
//
// Operators log in with HTTP Basic (RFC 7617). They are those of a password file, which is read
// again when it changes, and the one whose password is a setting. A guess costs its address a token,
// and its name one; a login that was right gives both back.
package operator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/wire"
)

// DefaultName is the operator's whose password is OPERATOR_PASSWORD.
const DefaultName = "operator"

// MinPasswordBytes is the least length of OPERATOR_PASSWORD.
const MinPasswordBytes = 8

// A Role permits what the roles before it do, and more.
type Role int

// The roles.
const (
	Viewer   Role = iota + 1 // looks
	Operator                 // disconnects clients
	Admin                    // everything
)

var roleNames = map[string]Role{"viewer": Viewer, "operator": Operator, "admin": Admin}

func (r Role) String() string {
	for name, role := range roleNames {
		if role == r {
			return name
		}
	}
	return "nobody"
}

var (
	// addressGuesses and nameGuesses are how many wrong logins an address, or a name from anywhere,
	// may try at once, and each second from then on.
	addressGuesses = limit.Rate{Tokens: 10, Refill: 0.2}
	nameGuesses    = limit.Rate{Tokens: 30, Refill: 0.5}
)

const (
	// hashing is how many passwords are hashed at a time: it takes a core for a tenth of a second.
	hashing = 1
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
	// Closed lets in nobody, rather than everybody, while there are no operators.
	Closed bool
	Log    *slog.Logger
	// OnFailure is called for each failed login with why: "wrong" or "throttled"; nil for nothing.
	OnFailure func(why string)
}

// Operators are those of a server. The methods may be called by several goroutines.
type Operators struct {
	// Static after New.
	opts             Options
	password         [sha256.Size]byte
	file             *file
	addresses, names *limit.Keyed
	hash             chan struct{} // holds one for each password being hashed
	key              [sha256.Size]byte

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
	if o.OnFailure == nil {
		o.OnFailure = func(string) {}
	}
	all := &Operators{opts: o, password: sha256.Sum256([]byte(o.Password)), addresses: limit.NewKeyed(addressGuesses),
		names: limit.NewKeyed(nameGuesses), hash: make(chan struct{}, hashing), remembered: map[[sha256.Size]byte]remembered{}}
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

// Check returns nil if the request, from this address, is that of an operator of at least the role,
// or a *wire.Error: wire.CodeUnauthenticated, wire.CodeForbidden, or wire.CodeRateLimited for too
// many wrong logins.
func (o *Operators) Check(r *http.Request, address string, need Role) error {
	if o.opts.Password == "" && o.file == nil {
		if o.opts.Closed {
			return wire.Errorf(wire.CodeForbidden, "there are no operators here: set OPERATOR_PASSWORD or OPERATORS_FILE at the server")
		}
		return nil
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return wire.Errorf(wire.CodeUnauthenticated, "log in as an operator of this server")
	}
	role, err := o.login(r, network(address), name, password)
	if err != nil {
		return err
	}
	if role < need {
		return wire.Errorf(wire.CodeForbidden, "this needs the role %v, and you have %v: ask an admin of this server", need, role)
	}
	return nil
}

func (o *Operators) login(r *http.Request, address, name, password string) (Role, error) {
	now := time.Now()
	if wait := o.addresses.Spend(address, 1, now); wait > 0 {
		return 0, o.throttled(name, address, wait)
	}
	hash, role := o.account(name)
	seen := o.seen(address, name, password)
	if o.remembers(seen, hash, now) {
		o.addresses.Return(address, 1)
		return role, nil
	}
	if wait := o.names.Spend(shown(name), 1, now); wait > 0 {
		return 0, o.throttled(name, address, wait)
	}
	right, err := o.compare(r, name, password, hash)
	if err != nil {
		return 0, err
	}
	if !right {
		o.opts.OnFailure("wrong")
		o.opts.Log.Warn("login failed", "operator", shown(name), "address", address)
		return 0, wire.Errorf(wire.CodeUnauthenticated, "the name or the password is wrong: log in as an operator of this server")
	}
	o.addresses.Return(address, 1)
	o.names.Return(shown(name), 1)
	o.remember(seen, hash, now)
	return role, nil
}

// Record logs what an operator has changed: who, what, from where, and why it failed if it did.
func (o *Operators) Record(r *http.Request, address string, err error) {
	name, _, _ := r.BasicAuth()
	query := r.URL.Query()
	query.Del("token")
	o.opts.Log.Info("operator's request", "operator", shown(name), "method", r.Method, "path", r.URL.Path, "query", query.Encode(),
		"address", address, "error", err)
}

func (o *Operators) throttled(name, address string, wait time.Duration) error {
	o.opts.OnFailure("throttled")
	o.opts.Log.Warn("login refused: too many failed before", "operator", shown(name), "address", address)
	return &wire.Error{Code: wire.CodeRateLimited, Message: "too many failed logins: try again later",
		RetryAfter: (wait + time.Millisecond - 1).Milliseconds()}
}

// account returns the bcrypt hash of an operator of the file, or none.
func (o *Operators) account(name string) (hash string, role Role) {
	if o.file != nil {
		if a, ok := o.file.accounts()[name]; ok {
			return a.Hash, a.Role
		}
	}
	if name == DefaultName && o.opts.Password != "" {
		return "", Admin
	}
	return noHash, 0
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

// remembers reports whether the login was right lately, and nothing has changed since.
func (o *Operators) remembers(seen [sha256.Size]byte, hash string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, ok := o.remembered[seen]
	return ok && was.hash == hash && now.Before(was.until)
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
