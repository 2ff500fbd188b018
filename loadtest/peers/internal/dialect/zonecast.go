package dialect

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// BenchEvent is the event that is published.
const BenchEvent = "BENCH"

// joinID is the number of the message by which a client joins its room.
const joinID = 2

// Zonecast is the protocol of package wire. Rooms have the names of [wire.Room].
type Zonecast struct {
	// Size is the length of published data in bytes.
	Size int
}

var _ Dialect = Zonecast{}

// Path implements [Dialect].
func (Zonecast) Path() string { return "/ws" }

// Greet implements [Dialect].
func (Zonecast) Greet(room string) []byte {
	r, err := wire.ParseRoom(room)
	if err != nil {
		return nil
	}
	p, err := json.Marshal(struct {
		Event string         `json:"event"`
		ID    int64          `json:"id"`
		Data  wire.Subscribe `json:"data"`
	}{wire.EventSubscribe, joinID, wire.Subscribe{Target: wire.Target{Warehouse: r.Warehouse, Zone: r.Zone}}})
	if err != nil {
		panic("dialect: " + err.Error()) // strings alone
	}
	return p
}

// Next implements [Dialect].
func (z Zonecast) Next(p []byte, room string) (Event, []byte) {
	if data, ok := embedded(p, `{"event":"`+BenchEvent+`","room":"`, `,"data":`, `}`, z.Size); ok {
		return Event{Kind: Delivery, Data: data}, nil
	}
	f, err := wire.DecodeServer(p)
	if err != nil {
		return complain("%v", err), nil
	}
	switch f.Event {
	case wire.EventConnected:
		if room == "" {
			return Event{Kind: Ready}, nil
		}
		return Event{}, nil
	case wire.EventAck:
		if f.ID == joinID {
			return Event{Kind: Ready}, nil
		}
		return Event{Kind: Ack, ID: f.ID}, nil
	case wire.EventHeartbeat:
		return Event{}, nil
	case BenchEvent:
		return Event{Kind: Delivery, Data: f.Data}, nil
	case wire.EventError:
		return refusal(f), nil
	}
	return complain("%s", f.Event), nil // gap, drain
}

func refusal(f wire.ServerFrame) Event {
	var e wire.Error
	_ = json.Unmarshal(f.Data, &e)
	if f.ID < FirstID {
		return complain("error %s: %s", e.Code, e.Message)
	}
	return Event{Kind: Refused, ID: f.ID, Reason: string(e.Code), Wait: time.Duration(e.RetryAfter) * time.Millisecond}
}

// AppendPublish implements [Dialect].
func (Zonecast) AppendPublish(dst []byte, id int64, room string, data []byte) []byte {
	r, err := wire.ParseRoom(room)
	if err != nil {
		return dst
	}
	dst = append(dst, `{"event":"publish","id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `,"data":{"warehouse":"`...)
	dst = append(dst, r.Warehouse...)
	dst = append(dst, `","zone":"`...)
	dst = append(dst, r.Zone...)
	dst = append(dst, `","event":"`+BenchEvent+`","data":`...)
	return append(append(dst, data...), `}}`...)
}
