package api

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	ratelimit "github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/wire"
)

// How many wrong PINs an address has, and how fast it gets more; and all addresses together, since who
// has many of them could try all PINs.
var (
	pinGuesses    = ratelimit.Rate{Tokens: 10, Refill: 0.1}
	allPinGuesses = ratelimit.Rate{Tokens: 200, Refill: 0.5}
)

const (
	everybody  = "*"    // the key of the bucket of all addresses
	maxTrusted = 10_000 // addresses that gave a right PIN, kept
)

// pins tell who acknowledges an alert at a wall screen.
type pins struct {
	names            map[[sha256.Size]byte]string // by the digest of the PIN
	ofAddress, ofAll *ratelimit.Keyed             // wrong ones
	trustedByAddress *lru.Cache[string, struct{}] // they gave a right one before
}

func newPins(names map[string]string) *pins {
	p := &pins{names: map[[sha256.Size]byte]string{}, ofAddress: ratelimit.NewKeyed(pinGuesses), ofAll: ratelimit.NewKeyed(allPinGuesses)}
	p.trustedByAddress, _ = lru.New[string, struct{}](maxTrusted) // which fails for a size of 0
	for pin, name := range names {
		p.names[sha256.Sum256([]byte(pin))] = name
	}
	return p
}

// owner returns whose PIN it is. While all addresses together guess too much, only those are heard that
// gave a right one before. The error is a *wire.Error.
func (p *pins) owner(address, pin string, now time.Time) (string, error) {
	trusted := p.trustedByAddress.Contains(address)
	wait := p.ofAddress.Spend(address, 1, now)
	if wait == 0 && !trusted {
		wait = p.ofAll.Spend(everybody, 1, now)
	}
	if wait > 0 {
		return "", &wire.Error{Code: wire.CodeRateLimited, RetryAfter: wait.Milliseconds(), Message: "too many wrong PINs: wait, or sign in as an operator"}
	}
	name, ok := p.names[sha256.Sum256([]byte(pin))]
	if !ok {
		return "", wire.Errorf(wire.CodeForbidden, "this PIN is none of ACKNOWLEDGE_PINS: check it, or sign in as an operator")
	}
	p.ofAddress.Return(address, 1)
	if !trusted {
		p.ofAll.Return(everybody, 1)
		p.trustedByAddress.Add(address, struct{}{})
	}
	return name, nil
}
