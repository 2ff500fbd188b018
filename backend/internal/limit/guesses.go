package limit

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxTrusted is how many pairs of an address and what it knew are kept.
const maxTrusted = 10_000

// Guesses bound wrong logins: of an address, and at one secret from all addresses together, since
// who has many could try everything. An address that was right spends its own alone from then on,
// so that who guesses locks out nobody who was in.
type Guesses struct {
	ofAddress, ofSecret *Keyed
	trusted             *lru.Cache[guess, struct{}]
}

type guess struct{ address, secret string }

// NewGuesses returns guesses of these rates.
func NewGuesses(ofAddress, ofSecret Rate) *Guesses {
	trusted, _ := lru.New[guess, struct{}](maxTrusted) // which fails for a size of 0
	return &Guesses{NewKeyed(ofAddress), NewKeyed(ofSecret), trusted}
}

// Spend takes a guess at a secret, or returns how long to wait for one.
func (g *Guesses) Spend(address, secret string, now time.Time) (wait time.Duration) {
	wait = g.ofAddress.Spend(address, 1, now)
	if wait == 0 && !g.trusted.Contains(guess{address, secret}) {
		wait = g.ofSecret.Spend(secret, 1, now)
	}
	return wait
}

// Right gives back a guess that was spent, because it was none.
func (g *Guesses) Right(address, secret string) {
	g.ofAddress.Return(address, 1)
	if known, _ := g.trusted.ContainsOrAdd(guess{address, secret}, struct{}{}); !known {
		g.ofSecret.Return(secret, 1)
	}
}
