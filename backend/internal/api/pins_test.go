package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Who has as many addresses as he likes tries 200 PINs and then one every two seconds; a screen whose
// PIN was right before is heard meanwhile.
func TestPINsCanNotBeGuessedFromManyAddresses(t *testing.T) {
	p, now := newPins(map[string]string{"480231": "Anna"}), time.Now()
	if name, err := p.owner("192.0.2.1", "480231", now); name != "Anna" || err != nil {
		t.Fatalf("got %q, %v", name, err)
	}
	tried := 0
	for n := range 100_000 {
		if _, err := p.owner(fmt.Sprint("2001:db8:", n), fmt.Sprintf("%06d", n), now); wire.AsError(err).Code == wire.CodeForbidden {
			tried++
		}
	}
	if tried != 200 {
		t.Errorf("tried %d PINs at once, want 200", tried)
	}
	if _, err := p.owner("2001:db8:ffff", "480231", now); wire.AsError(err).Code != wire.CodeRateLimited {
		t.Errorf("a right PIN of a new address got %v among the guesses, which tells that it is right", err)
	}
	if name, err := p.owner("192.0.2.1", "480231", now); name != "Anna" || err != nil {
		t.Errorf("the screen got %q, %v", name, err)
	}
	if name, err := p.owner("2001:db8:ffff", "480231", now.Add(3*time.Second)); name != "Anna" || err != nil {
		t.Errorf("later a new screen got %q, %v", name, err)
	}
}

func TestAnAddressHasTenWrongPINs(t *testing.T) {
	p, now := newPins(map[string]string{"480231": "Anna"}), time.Now()
	for n := range 12 {
		_, err := p.owner("192.0.2.1", "000000", now)
		want := wire.CodeForbidden
		if n >= 10 {
			want = wire.CodeRateLimited
		}
		if got := wire.AsError(err).Code; got != want {
			t.Errorf("guess %d got %s, want %s", n+1, got, want)
		}
	}
}
