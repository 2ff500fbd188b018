package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Who has as many addresses as he likes tries 200 PINs and then one every two seconds; a screen
// whose PIN was right before is heard meanwhile.
func TestPINsCanNotBeGuessedFromManyAddresses(t *testing.T) {
	p, now := pinsOf(t, "Anna:480231"), time.Now()
	if name, err := p.Owner("192.0.2.1", "w", "480231", now); name != "Anna" || err != nil {
		t.Fatalf("got %q, %v", name, err)
	}
	tried := 0
	for n := range 100_000 {
		if _, err := p.Owner(fmt.Sprint("2001:db8:", n), "w", fmt.Sprintf("%06d", n), now); wire.AsError(err).Code == wire.CodeForbidden {
			tried++
		}
	}
	if tried != 200 {
		t.Errorf("tried %d PINs at once, want 200", tried)
	}
	if _, err := p.Owner("2001:db8:ffff", "w", "480231", now); wire.AsError(err).Code != wire.CodeRateLimited {
		t.Errorf("a right PIN of a new address got %v among the guesses, which tells that it is right", err)
	}
	if name, err := p.Owner("192.0.2.1", "w", "480231", now); name != "Anna" || err != nil {
		t.Errorf("the screen got %q, %v", name, err)
	}
	if name, err := p.Owner("2001:db8:ffff", "w", "480231", now.Add(3*time.Second)); name != "Anna" || err != nil {
		t.Errorf("later a new screen got %q, %v", name, err)
	}
}

func TestAnAddressHasTenWrongPINs(t *testing.T) {
	p, now := pinsOf(t, "Anna:480231"), time.Now()
	for n := range 12 {
		_, err := p.Owner("192.0.2.1", "w", "000000", now)
		want := wire.CodeForbidden
		if n >= 10 {
			want = wire.CodeRateLimited
		}
		if got := wire.AsError(err).Code; got != want {
			t.Errorf("guess %d got %s, want %s", n+1, got, want)
		}
	}
}

func pinsOf(t *testing.T, list ...string) *PINs {
	t.Helper()
	p, err := ParsePINs(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPINOfAWarehouseIsNoneElsewhere(t *testing.T) {
	p, now := pinsOf(t, "w1/Anna:480231", "w2/Ben:480231", "Cem:771904"), time.Now()
	for _, tt := range []struct{ pin, warehouse, want string }{
		{"480231", "w1", "Anna"}, {"480231", "w2", "Ben"}, {"480231", "w3", ""}, {"771904", "w3", "Cem"},
	} {
		if name, err := p.Owner("192.0.2.1", tt.warehouse, tt.pin, now); name != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s in %s is %q's, %v; want %q", tt.pin, tt.warehouse, name, err, tt.want)
		}
	}
}

func TestPINsThatAreNoneAreRefused(t *testing.T) {
	for _, tt := range []struct{ list, want string }{
		{"Anna", "number 1 is neither NAME:PIN nor"},
		{":480231", "number 1 is neither NAME:PIN nor"},
		{"w1/:480231", "number 1 is neither NAME:PIN nor"},
		{"a b/Anna:480231", "before / stands the name of a warehouse"},
		{"Anna:1234", "has fewer than 6 characters"},
		{"Anna:480231,w1/Ben:480231", "have the same PIN"},
		{"w1/Anna:480231,w1/Ben:480231", "have the same PIN"},
	} {
		if _, err := ParsePINs(strings.Split(tt.list, ",")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.list, err, tt.want)
		}
	}
}
