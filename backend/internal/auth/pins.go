package auth

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/wire"
)

// How many wrong PINs an address has, and how fast it gets more; and all addresses together, since
// who has many of them could try all PINs.
var (
	pinGuesses    = limit.Rate{Tokens: 10, Refill: 0.1}
	allPinGuesses = limit.Rate{Tokens: 200, Refill: 0.5}
)

const (
	anyPIN = "*" // what is guessed at: one PIN is as good as another
	minPin = 6   // characters: guesses are limited to a few a minute
)

// PINs tell who acknowledges an alert at a wall screen.
type PINs struct {
	owners  map[[sha256.Size]byte][]pinOwner // by the digest of the PIN
	guesses *limit.Guesses
}

// A pinOwner has a PIN in one warehouse, or in all of them: "".
type pinOwner struct{ name, warehouse string }

// ParsePINs reads a list of NAME:PIN, for all warehouses, and WAREHOUSE/NAME:PIN, for one.
func ParsePINs(list []string) (*PINs, error) {
	p := &PINs{owners: map[[sha256.Size]byte][]pinOwner{}, guesses: limit.NewGuesses(pinGuesses, allPinGuesses)}
	for i, text := range list {
		who, pin, ok := strings.Cut(strings.TrimSpace(text), ":")
		owner := pinOwner{name: strings.TrimSpace(who)}
		if warehouse, name, scoped := strings.Cut(owner.name, "/"); scoped {
			if _, err := wire.NewRoom(warehouse, ""); err != nil {
				return nil, fmt.Errorf("number %d: before / stands the name of a warehouse: %w", i+1, err)
			}
			owner = pinOwner{strings.TrimSpace(name), warehouse}
		}
		switch {
		case !ok || owner.name == "":
			return nil, fmt.Errorf("number %d is neither NAME:PIN nor WAREHOUSE/NAME:PIN", i+1)
		case utf8.RuneCountInString(pin) < minPin:
			return nil, fmt.Errorf("the PIN of %.40q has fewer than %d characters", owner.name, minPin)
		}
		digest := sha256.Sum256([]byte(pin))
		for _, other := range p.owners[digest] {
			if other.warehouse == owner.warehouse || other.warehouse == "" || owner.warehouse == "" {
				return nil, fmt.Errorf("%.40q and %.40q have the same PIN: give each one of their own", other.name, owner.name)
			}
		}
		p.owners[digest] = append(p.owners[digest], owner)
	}
	return p, nil
}

// Owner returns whose PIN it is in a warehouse. While all addresses together guess too much, only
// those are heard that gave a right one before. The error is a *wire.Error.
func (p *PINs) Owner(address, warehouse, pin string, now time.Time) (string, error) {
	if wait := p.guesses.Spend(address, anyPIN, now); wait > 0 {
		return "", &wire.Error{Code: wire.CodeRateLimited, RetryAfter: wait.Milliseconds(), Message: "too many wrong PINs: wait, or sign in as an operator"}
	}
	for _, owner := range p.owners[sha256.Sum256([]byte(pin))] {
		if owner.warehouse != "" && owner.warehouse != warehouse {
			continue
		}
		p.guesses.Right(address, anyPIN)
		return owner.name, nil
	}
	return "", wire.Errorf(wire.CodeForbidden, "this PIN is none of ACKNOWLEDGE_PINS for %s: check it, or sign in as an operator", warehouse)
}
