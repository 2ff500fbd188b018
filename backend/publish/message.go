package publish

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/zonecast/zonecast/backend/wire"
)

// MaxDataBytes is the most bytes of one event's data in JSON: what may wait for one client by
// default, so that more could never be delivered. A server takes less, wire.InboundFrameBytes
// unless it is configured otherwise, and answers 413 to more.
const MaxDataBytes = wire.QueuedBytes

// A Message is one event for a room.
type Message struct {
	// Warehouse and Zone name the room; an empty Zone means the whole warehouse.
	Warehouse string
	Zone      string
	// Event is the name, like "ZONE_UPDATE"; see wire.CheckEvent for what is allowed.
	Event string
	// Data is encoded with encoding/json, once. A json.RawMessage is sent byte for byte; nil is
	// sent as null.
	Data any
	// Retain keeps the message as the room's current state: whoever joins later receives it first.
	Retain bool
	// Conflate, if not empty, names what the event is the newest state of, like "ZONE_UPDATE": for
	// a client that is behind it replaces a waiting one of the same name. See wire.CheckConflate
	// for what is allowed.
	Conflate string
	// IdempotencyKey is up to 255 visible ASCII characters. Two messages of a room with the same
	// key are published once. The client makes one for each message that has none; set it when a
	// process that was restarted may publish the same event again.
	IdempotencyKey string
	// Durable asks the server to answer only when Redis has the message on disk or on replicas, as
	// its settings say. An [Error] with wire.CodeNotDurable says that it was accepted, and is not
	// known to be; with wire.CodeDurableUnsupported that it was not, since the server can't promise
	// that.
	Durable bool
}

// A Result says where an event stands.
type Result struct {
	Room   wire.Room
	Offset wire.Offset
	// Err is used by [Client.PublishBatch] alone: why this message was not published. Room and
	// Offset are zero then.
	Err error
}

// envelope is a message that has been checked and encoded.
type envelope struct {
	room     wire.Room
	event    string
	data     json.RawMessage // never empty
	retain   bool
	conflate string
	key      string
	durable  bool
}

func seal(m Message) (envelope, error) {
	room, err := wire.NewRoom(m.Warehouse, m.Zone)
	err = cmp.Or(err, checkPath(room), wire.CheckEvent(m.Event), wire.CheckConflate(m.Conflate))
	if err != nil {
		return envelope{}, err
	}
	data, err := encode(m.Data)
	if err != nil {
		return envelope{}, err
	}
	key := m.IdempotencyKey
	if key == "" {
		key = rand.Text()
	}
	if len(key) > wire.MaxIdempotencyKeyLen || !isVisibleASCII(key) {
		return envelope{}, fmt.Errorf("the idempotency key must be 1 to %d visible ASCII characters",
			wire.MaxIdempotencyKeyLen)
	}
	return envelope{room: room, event: m.Event, data: data, retain: m.Retain, conflate: m.Conflate, key: key,
		durable: m.Durable}, nil
}

// checkPath refuses names that proxies and servers resolve away in a URL's path (RFC 3986 section
// 5.2.4): the message would arrive at another endpoint.
func checkPath(room wire.Room) error {
	for _, name := range []string{room.Warehouse, room.Zone} {
		if name == "." || name == ".." {
			return wire.Errorf(wire.CodeInvalidRoom, "%q has a meaning of its own in a URL: choose another name", name)
		}
	}
	return nil
}

func encode(data any) (json.RawMessage, error) {
	raw, ok := data.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(data); err != nil {
			return nil, fmt.Errorf("encode data: %w", err)
		}
	}
	if len(raw) == 0 {
		return json.RawMessage("null"), nil
	}
	return raw, wire.CheckPayload(raw, MaxDataBytes)
}

// path is where a message of the room is posted to. Names need no escaping.
func path(room wire.Room) string {
	if room.Zone == "" {
		return "/api/v1/warehouses/" + room.Warehouse + "/broadcast"
	}
	return "/api/v1/warehouses/" + room.Warehouse + "/zones/" + room.Zone + "/broadcast"
}

// appendBody appends the body of a single publish. It is put together by hand because json.Marshal
// would rewrite data.
func (e *envelope) appendBody(dst []byte) []byte {
	dst = append(dst, `{"event":`...)
	return append(e.appendEvent(dst), '}')
}

// appendItem appends the message as an item of a batch.
func (e *envelope) appendItem(dst []byte) []byte {
	dst = append(dst, `{"warehouse":`...)
	dst = strconv.AppendQuote(dst, e.room.Warehouse)
	if e.room.Zone != "" {
		dst = append(dst, `,"zone":`...)
		dst = strconv.AppendQuote(dst, e.room.Zone)
	}
	dst = append(dst, `,"event":`...)
	dst = e.appendEvent(dst)
	dst = append(dst, `,"idempotencyKey":`...)
	dst = strconv.AppendQuote(dst, e.key) // visible ASCII: Go and JSON quote it alike
	return append(dst, '}')
}

func (e *envelope) appendEvent(dst []byte) []byte {
	dst = strconv.AppendQuote(dst, e.event)
	dst = append(dst, `,"data":`...)
	dst = append(dst, e.data...)
	if e.retain {
		dst = append(dst, `,"retain":true`...)
	}
	if e.conflate != "" {
		dst = append(dst, `,"conflate":`...)
		dst = strconv.AppendQuote(dst, e.conflate)
	}
	if e.durable {
		dst = append(dst, `,"durable":true`...)
	}
	return dst
}

// result reads what the server says about this message. An answer that is not about this message's
// room comes from something else than Zonecast, or from a proxy that mixes answers up: the message
// counts as not published.
func (e *envelope) result(p wire.Position) (Result, error) {
	if p.Room != e.room.String() {
		return Result{}, fmt.Errorf("the answer is about room %.160q instead of %q: is this URL a Zonecast server?",
			p.Room, e.room)
	}
	offset, err := wire.ParseOffset(p.Offset)
	if err != nil {
		return Result{}, fmt.Errorf("the answer's offset: %w", err)
	}
	return Result{Room: e.room, Offset: offset}, nil
}
