package ws

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/zonecast/zonecast/backend/wire"
)

// subscribeID is the number of a connection's subscribe. Echoes count from 1, so no answer is taken for another one's.
const subscribeID = -1

// Subscribe joins a room and asks for what was missed there after an offset; the zero Offset asks for nothing. It returns
// where the room stood; what was missed follows, and then everything newer, for Read to take. It belongs before Read.
//
// The error is a [*Refused] when the server does not let the connection into the room.
func (c *Conn) Subscribe(ctx context.Context, room wire.Room, after wire.Offset) (wire.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	data, err := json.Marshal(wire.Subscribe{
		Target: wire.Target{Warehouse: room.Warehouse, Zone: room.Zone}, Offset: after.String(),
	})
	if err != nil {
		return wire.Offset{}, err
	}
	if err := c.Send(fmt.Appendf(nil, `{"event":%q,"id":%d,"data":%s}`, wire.EventSubscribe, subscribeID, data)); err != nil {
		return wire.Offset{}, err
	}
	for {
		f, err := c.next(ctx, "the answer to subscribe")
		switch {
		case err != nil:
			return wire.Offset{}, err
		case f.ID == subscribeID && f.Event == wire.EventAck:
			var at wire.Position
			if err := wire.DecodeData(f.Data, &at); err != nil {
				return wire.Offset{}, &ProtocolError{fmt.Sprintf("the answer to subscribe: %v", err)}
			}
			o, _ := wire.ParseOffset(at.Offset) // the zero Offset when it has none: the first message is the beginning then
			return o, nil
		case f.ID == subscribeID && f.Event == wire.EventError:
			var e wire.Error
			if err := wire.DecodeData(f.Data, &e); err != nil {
				return wire.Offset{}, &ProtocolError{fmt.Sprintf("the answer to subscribe: %v", err)}
			}
			return wire.Offset{}, &Refused{Doing: wire.EventSubscribe, Code: string(e.Code), Message: e.Message}
		case f.Room != "":
			return wire.Offset{}, &ProtocolError{fmt.Sprintf("an event of %s before the answer to subscribe", f.Room)}
		}
	}
}

// Refused is the error of something that the server answered with an error frame.
type Refused struct{ Doing, Code, Message string }

func (e *Refused) Error() string {
	return fmt.Sprintf("the server refused %s with %s: %s", e.Doing, e.Code, e.Message)
}

// Kind names the failure in a few words.
func (e *Refused) Kind() string { return e.Doing + " refused with " + e.Code }
