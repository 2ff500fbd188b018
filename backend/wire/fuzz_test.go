package wire_test

import (
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// What is read as an offset is written as the same text again.
func FuzzParseOffset(f *testing.F) {
	for _, s := range []string{"k3f9-17", "-1", "a-", "a-01", "a-18446744073709551616", "a-b-3", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, give string) {
		o, err := wire.ParseOffset(give)
		if err != nil {
			if e := wire.AsError(err); e.Code == wire.CodeInternal || e.Message == "" {
				t.Errorf("%q is refused with %v", give, err)
			}
			return
		}
		if again, err := wire.ParseOffset(o.String()); err != nil || again != o {
			t.Errorf("%q is %+v, which is written %q and read as %+v, %v", give, o, o, again, err)
		}
	})
}

// What is read as a room is written as the same text again, and may be made of its parts.
func FuzzParseRoom(f *testing.F) {
	for _, s := range []string{"warehouse:w1", "zone:w1:a", "zone:w1", "warehouse:w1:a", "zone::a", "x:y", "", "zone:w:\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, give string) {
		r, err := wire.ParseRoom(give)
		if err != nil {
			if e := wire.AsError(err); e.Code == wire.CodeInternal || e.Message == "" {
				t.Errorf("%q is refused with %v", give, err)
			}
			return
		}
		if made, err := wire.NewRoom(r.Warehouse, r.Zone); r.String() != give || err != nil || made != r {
			t.Errorf("%q is %+v, which is written %q; made of its parts %+v, %v", give, r, r, made, err)
		}
	})
}
