package broker

import (
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

// silent may be told of no message.
type silent struct{ Handler }

func (silent) Message(*Message) { panic("delivered before the history was read") }

// A room that has to read its history again delivers nothing before: offsets may have been given
// again, and what has the next number would follow what others never had.
func TestARoomDeliversNothingBeforeItHasReadItsHistory(t *testing.T) {
	at := func(n uint64) wire.Offset { return wire.Offset{Epoch: "e", N: n} }
	r := &redisRoom{broker: &Redis{handler: silent{}}, state: stateRepairing, reread: true, last: at(10), lastAccepted: 100}
	for n := uint64(8); n <= 13; n++ { // 8 to 10 are other ones than were delivered
		r.pending = append(r.pending, &Message{Message: wire.Message{Offset: at(n)}, Accepted: wire.Micros(200 + n)})
	}
	if r.deliverPendingLocked() || r.state != stateRepairing || r.last != at(10) {
		t.Errorf("the room is live, at %s", r.last)
	}
}
