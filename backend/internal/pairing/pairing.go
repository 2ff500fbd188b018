// Package pairing gives wall screens tokens of their own, each confirmed by an operator.
//
//	screen ── api, each 3 s, with its ticket ──▶ Desk of whatever instance: a code to show, or its token
//	operator ── api, dashboard: the code ──▶ Client ── cluster.Ask ──▶ Handler of every instance ──▶ its Desk
//
// A ticket is signed by an instance and understood by all of them, so nothing is stored for it. An
// instance remembers, in memory and for minutes, which codes screens show now, as they come with
// their tickets, and what operators confirmed, which all instances are told. The code is what
// people read and type; the ticket, which no person sees, is what the token is given for.
package pairing

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// Valid is how long a code, and its ticket, may be confirmed and used.
	Valid = 10 * time.Minute
	// Interval is how often a screen comes, and silence after how long it counts as switched off.
	Interval = 3 * time.Second
	silence  = 5 * Interval
	// MaxOpen is how many codes screens may show at once, as far as an instance knows, and
	// maxOfAddress how many of them at one address: a warehouse may be behind one.
	MaxOpen, maxOfAddress = 512, 64
	// maxConfirmed bounds what operators confirmed within Valid.
	maxConfirmed = 1024
	// codeLetters are those that can't make up words, nor be taken for digits (RFC 8628 section
	// 6.1). Eight of them are 34 bits.
	codeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength  = 8
)

// The results that are counted.
const (
	Opened    = "opened"    // a code
	Full      = "full"      // there were too many
	Confirmed = "confirmed" // by an operator, at this instance
	Fetched   = "fetched"   // a token
	Renewed   = "renewed"
	Refused   = "refused" // a renewal
)

// Results are all of them.
var Results = []string{Opened, Full, Confirmed, Fetched, Renewed, Refused}

// A Request is a screen that shows a code.
type Request struct {
	ID      string `json:"id"` // of its ticket
	Code    string `json:"code"`
	Address string `json:"address,omitempty"`
	Agent   string `json:"userAgent,omitempty"`
	// Name and Place are what it says of itself: what people call it, and the zone that it was
	// opened for.
	Name  string `json:"name,omitempty"`
	Place string `json:"place,omitempty"`
	Since int64  `json:"since"` // ms since 1970, when this instance first heard of it
}

// Check reports what is wrong with what a screen says of itself. The error is a *wire.Error.
func (r Request) Check() error {
	if utf8.RuneCountInString(r.Name) > 64 || strings.ContainsFunc(r.Name, unicode.IsControl) {
		return wire.Errorf(wire.CodeInvalidData, "name is %.80q: at most 64 characters are allowed, and none that control", r.Name)
	}
	return nil
}

// An Answer is what a screen gets: a code, or a token.
type Answer struct {
	Code, Ticket string
	New          bool // whether the code is
	ExpiresIn    time.Duration
	Token        string
	Grant        auth.ScreenGrant
}

// Options of a [Desk].
type Options struct {
	Keys     func() [][]byte // of tickets: the first signs
	Issue    func(auth.ScreenGrant) (string, error)
	OnResult func(result string)
}

// A Desk is where screens come at one instance. It is safe for concurrent use.
type Desk struct {
	Options

	mu        sync.Mutex
	open      map[string]*shown // by ID of the ticket
	ofAddress map[string]int    // of them
	confirmed map[string]confirmed
}

// A shown code is on a screen now.
type shown struct {
	Request
	seen time.Time
}

type confirmed struct {
	grant auth.ScreenGrant
	until time.Time
}

// NewDesk returns one where nobody has come yet.
func NewDesk(o Options) *Desk {
	return &Desk{Options: o, open: map[string]*shown{}, ofAddress: map[string]int{}, confirmed: map[string]confirmed{}}
}

// Come is what a screen gets for its ticket: a token when it was confirmed, and else the code to
// show. With a ticket that is over, or none, it is another code. The error is a *wire.Error of
// wire.CodeRateLimited where too many screens show one.
func (d *Desk) Come(ticket string, from Request, now time.Time) (Answer, error) {
	claims, err := d.parse(ticket, now)
	isNew := err != nil
	if isNew {
		claims = jwt.RegisteredClaims{ID: rand.Text(), Subject: newCode(), ExpiresAt: jwt.NewNumericDate(now.Add(Valid))}
	}
	from.ID, from.Code, from.Since = claims.ID, claims.Subject, now.UnixMilli()
	grant, found, err := d.check(from, now)
	switch {
	case err != nil:
		d.OnResult(Full)
		return Answer{}, err
	case found:
		token, err := d.Issue(grant)
		if err == nil {
			d.OnResult(Fetched)
		}
		return Answer{Token: token, Grant: grant}, err
	case isNew:
		if ticket, err = d.sign(claims); err != nil {
			return Answer{}, err
		}
		d.OnResult(Opened)
	}
	return Answer{Code: claims.Subject, Ticket: ticket, New: isNew, ExpiresIn: claims.ExpiresAt.Sub(now)}, nil
}

// check returns what was confirmed for a screen, or remembers that it shows its code.
func (d *Desk) check(from Request, now time.Time) (grant auth.ScreenGrant, found bool, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.confirmed[from.ID]; ok && now.Before(c.until) {
		return c.grant, true, nil
	}
	if s := d.open[from.ID]; s != nil && s.Address == from.Address {
		s.seen = now
		return grant, false, nil
	}
	d.forget(from.ID) // it has moved
	if len(d.open) >= MaxOpen || d.ofAddress[from.Address] >= maxOfAddress {
		for id, s := range d.open {
			if now.Sub(s.seen) > silence {
				d.forget(id)
			}
		}
	}
	if len(d.open) >= MaxOpen || d.ofAddress[from.Address] >= maxOfAddress {
		return grant, false, &wire.Error{Code: wire.CodeRateLimited, RetryAfter: silence.Milliseconds(),
			Message: "too many screens show a code: confirm some of them, or wait"}
	}
	d.open[from.ID] = &shown{from, now}
	d.ofAddress[from.Address]++
	return grant, false, nil
}

// forget forgets a code; the caller holds the lock.
func (d *Desk) forget(id string) {
	s := d.open[id]
	if s == nil {
		return
	}
	delete(d.open, id)
	if d.ofAddress[s.Address]--; d.ofAddress[s.Address] <= 0 {
		delete(d.ofAddress, s.Address)
	}
}

// find returns the screens that show a code.
func (d *Desk) find(code string, now time.Time) []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := []Request{}
	for _, s := range d.open {
		if s.Code == code && now.Sub(s.seen) <= silence {
			found = append(found, s.Request)
		}
	}
	return found
}

// confirm lets the holder of a ticket have a token. What was confirmed first stays.
func (d *Desk) confirm(id string, grant auth.ScreenGrant, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for other, c := range d.confirmed {
		if !now.Before(c.until) {
			delete(d.confirmed, other)
		}
	}
	if _, done := d.confirmed[id]; done {
		return nil
	}
	if len(d.confirmed) >= maxConfirmed {
		return errors.New("too many screens were paired within minutes")
	}
	d.confirmed[id] = confirmed{grant, now.Add(Valid)}
	d.forget(id)
	return nil
}

func (d *Desk) sign(claims jwt.RegisteredClaims) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(d.Keys()[0])
}

// parse reads a ticket.
func (d *Desk) parse(ticket string, now time.Time) (claims jwt.RegisteredClaims, _ error) {
	_, err := jwt.ParseWithClaims(ticket, &claims, func(*jwt.Token) (any, error) {
		var keys jwt.VerificationKeySet
		for _, key := range d.Keys() {
			keys.Keys = append(keys.Keys, key)
		}
		return keys, nil
	}, jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
	return claims, err
}

// newCode returns a code that nobody can guess: XXXX-XXXX.
func newCode() string {
	code := make([]byte, 0, codeLength+1)
	for len(code) <= codeLength {
		if len(code) == codeLength/2 {
			code = append(code, '-')
		}
		code = append(code, codeLetters[randomBelow(len(codeLetters))])
	}
	return string(code)
}
