package cluster

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// FuzzBusMessage: whatever lies in Redis is either refused or something that an instance could have
// said; signed or not, nothing else is believed once there is a key.
func FuzzBusMessage(f *testing.F) {
	secret := []string{"a-secret-of-these-tests-with-32-bytes"}
	for _, seed := range []string{
		`{"id":"ABC","name":"a","state":"ready","connections":1,"zones":[{"warehouse":"w","zone":"a","connections":1}]}`,
		`{"id":"ABC","name":"a","state":"ready","connections":-1,"warehouses":{"w:*":1}}`,
		`{"id":"ABC","from":"DEF","kind":"disconnect","data":{"user":"anna","ban":true}}`,
		`{"id":"ABC} x","node":"a","data":[]}`,
		`ABC zone:w:a`,
		bus.New([]string{"a-secret-that-nobody-here-knows-32-byte"}).Seal(bus.Question, "", `{"id":"ABC","from":"DEF","kind":"disconnect"}`),
	} {
		f.Add(seed)
	}
	trusting := &Redis{log: slog.New(slog.DiscardHandler)}
	careful := &Redis{log: slog.New(slog.DiscardHandler), signer: bus.New(secret)}
	f.Fuzz(func(t *testing.T, sealed string) {
		if n, err := trusting.openAnnouncement(sealed); err == nil {
			totals := View{Nodes: []Node{n}}.Totals()
			for room := range totals.Zones {
				if _, err := wire.ParseRoom(room.String()); err != nil {
					t.Error(err)
				}
			}
			if p, err := json.Marshal(n); err != nil || len(p) > 8*maxAnnouncement {
				t.Errorf("%d bytes, %v", len(p), err)
			}
		}
		if e, err := trusting.openQuestion(sealed); err == nil && !plain(e.ID) {
			t.Errorf("the answers would go to %q", answersPrefix+e.ID)
		}
		if e, err := trusting.openAnswer("Q", sealed); err == nil && !plain(e.ID) {
			t.Errorf("answered by %q", e.ID)
		}
		if _, room, err := trusting.openOverload(sealed); err == nil {
			if _, err := wire.ParseRoom(room.String()); err != nil {
				t.Error(err)
			}
		}
		_, announced := careful.openAnnouncement(sealed)
		_, asked := careful.openQuestion(sealed)
		_, answered := careful.openAnswer("Q", sealed)
		_, _, overloaded := careful.openOverload(sealed)
		for _, err := range []error{announced, asked, answered, overloaded} {
			if err == nil {
				t.Errorf("%q is believed without a signature", sealed)
			}
		}
	})
}
