package broker

import (
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// The gap rule: whoever asks for what follows an offset is told of a gap exactly when something
// between that offset and the first message found is lost.
func TestAGapIsToldWhenSomethingIsLost(t *testing.T) {
	const current = 10 // the room stands at now-10
	for _, tt := range []struct {
		name  string
		after wire.Offset
		found uint64 // number of the first message found; 0 for none
		want  uint64 // number at which the gap ends; none for no gap
	}{
		{"the next message is there", wire.Offset{Epoch: "now", N: 4}, 5, none},
		{"the first message is there", wire.Offset{Epoch: "now"}, 1, none},
		{"everything was received", wire.Offset{Epoch: "now", N: 10}, 0, none},
		{"the next message has expired", wire.Offset{Epoch: "now", N: 4}, 8, 7},
		{"only the next message has expired", wire.Offset{Epoch: "now", N: 4}, 6, 5},
		{"all of it has expired", wire.Offset{Epoch: "now", N: 4}, 0, 10},
		{"the offset lies ahead of the room", wire.Offset{Epoch: "now", N: 11}, 0, 10},
		{"another epoch, all is kept", wire.Offset{Epoch: "then", N: 4}, 1, 0},
		{"another epoch, some is kept", wire.Offset{Epoch: "then", N: 4}, 8, 7},
		{"another epoch at the same number", wire.Offset{Epoch: "then", N: 10}, 0, 10},
		{"no offset", wire.Offset{}, 8, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var found []*Message
			for n := tt.found; n != 0 && n <= current; n++ {
				found = append(found, &Message{Message: wire.Message{Offset: wire.Offset{Epoch: "now", N: n}}})
			}
			page := newPage(tt.after, wire.Offset{Epoch: "now", N: current}, found)
			want := Gap{From: tt.after, To: wire.Offset{Epoch: "now", N: tt.want}}
			if page.Gap == nil != (tt.want == none) || page.Gap != nil && *page.Gap != want {
				t.Errorf("the gap is %+v, want %+v", page.Gap, want)
			}
			if len(page.Messages) != len(found) {
				t.Errorf("%d messages of %d", len(page.Messages), len(found))
			}
		})
	}
}

const none = 1 << 32
