package transport

import (
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/limit"
)

// An address that has used up its limit does not use up that of a user who shares it.
func TestARefusalByTheAddressCostsTheUserNothing(t *testing.T) {
	now := time.Now()
	g := NewGate(Options{Limits: Limits{UserFrames: limit.Rate{Tokens: 2, Refill: 1}, AddressFrames: limit.Rate{Tokens: 1, Refill: 0.001}}})
	if g.Allow("another", "busy", 1, now) != 0 {
		t.Fatal("the first frame is refused")
	}
	for range 5 {
		if g.Allow("u", "busy", 1, now) == 0 {
			t.Fatal("the address has no limit")
		}
	}
	if wait := g.Allow("u", "elsewhere", 1, now); wait != 0 {
		t.Errorf("the user has to wait %v elsewhere", wait)
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	for give, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7",
		"::ffff:192.0.2.7":         "::ffff:192.0.2.7",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":     "2001:db8:1:2::/64",
		"2001:db8:1:3::1":          "2001:db8:1:3::/64",
		"fe80::1%eth0":             "fe80::/64",
		"what a proxy may send in": "what a proxy may send in",
		"":                         "",
	} {
		if got := network(give); got != want {
			t.Errorf("%q is %q, want %q", give, got, want)
		}
	}
}
