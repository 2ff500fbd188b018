package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// Zonecast is the protocol of package wire. Rooms have the names of [wire.Room]. The same frames
// come over WebSocket, as Server-Sent Events, and as the messages of a long poll.
type Zonecast struct {
	ByFrame bool // joins by a frame subscribe and not by the address
}

var _ Codec = Zonecast{}

// Target names the room; who comes back adds its cursor, which takes no further round trip.
func (z Zonecast) Target(path, query string, s Subscription) string {
	r, err := wire.ParseRoom(s.Room)
	switch {
	case err != nil, z.ByFrame:
		return joinQuery(path, query)
	case !s.After.IsZero():
		return joinQuery(path, query, "cursor="+s.Room+"@"+s.After.String()) // neither needs escapes
	case r.Zone == "":
		return joinQuery(path, query, "warehouse="+r.Warehouse)
	}
	return joinQuery(path, query, "warehouse="+r.Warehouse, "zone="+r.Zone)
}

func (z Zonecast) Hello(s Subscription) []byte {
	r, err := wire.ParseRoom(s.Room)
	if err != nil || !z.ByFrame {
		return nil
	}
	target := wire.Subscribe{Target: wire.Target{Warehouse: r.Warehouse, Zone: r.Zone}}
	if !s.After.IsZero() {
		target.Offset = s.After.String()
	}
	p, err := json.Marshal(target)
	if err != nil {
		panic("dialect: " + err.Error()) // strings alone
	}
	return fmt.Appendf(nil, `{"event":%q,"id":%d,"data":%s}`, wire.EventSubscribe, joinID, p)
}

func (Zonecast) Next(p []byte, room string) (Event, []byte) {
	if e, ok := parseDelivery(p, room); ok {
		return e, nil
	}
	if e, ok := parseAck(p); ok {
		return e, nil
	}
	f, err := wire.DecodeServer(p)
	if err != nil {
		return malformed("%v", err), nil
	}
	return frameEvent(f, p, room), nil
}

const (
	publishedHead = `{"event":"` + stamp.Event + `","room":"`
	offsetKey     = `","offset":"`
	timeKey       = `","time":`
	dataKey       = `,"data":`
	ackHead       = `{"event":"ack","id":`
)

// parseDelivery reads a message of the run in the server's form, which saves decoding each one.
func parseDelivery(p []byte, room string) (e Event, ok bool) {
	rest, ok := cutPrefix(p, publishedHead)
	if !ok {
		return e, false
	}
	if rest, ok = cutPrefix(rest, room); !ok {
		return e, false
	}
	if rest, ok = cutPrefix(rest, offsetKey); !ok {
		return e, false
	}
	e.Kind = Delivery
	if e.Epoch, rest, ok = cutEpoch(rest); !ok {
		return e, false
	}
	if e.N, rest, ok = cutNumber(rest); !ok {
		return e, false
	}
	if rest, ok = cutPrefix(rest, timeKey); !ok {
		return e, false
	}
	if _, rest, ok = cutNumber(rest); !ok {
		return e, false
	}
	e.Data, ok = lastValue(rest)
	return e, ok
}

// parseAck reads the ack of an echo or a publish likewise.
func parseAck(p []byte) (e Event, ok bool) {
	rest, ok := cutPrefix(p, ackHead)
	if !ok {
		return e, false
	}
	id, rest, ok := cutNumber(rest)
	if !ok || id < FirstID {
		return e, false
	}
	e.Data, ok = lastValue(rest)
	e.Kind, e.ID = Ack, int64(id)
	return e, ok
}

func cutPrefix(p []byte, prefix string) ([]byte, bool) {
	if len(p) < len(prefix) || string(p[:len(prefix)]) != prefix {
		return p, false
	}
	return p[len(prefix):], true
}

// cutEpoch reads the epoch that p begins with, and the dash behind it.
func cutEpoch(p []byte) (epoch, rest []byte, ok bool) {
	i := 0
	for i < len(p) && (p[i] >= 'a' && p[i] <= 'z' || p[i] >= '0' && p[i] <= '9') {
		i++
	}
	if i == 0 || i > wire.MaxEpochLen || i == len(p) || p[i] != '-' {
		return nil, p, false
	}
	return p[:i], p[i+1:], true
}

// cutNumber reads the decimal number that p begins with, as strconv writes it, up to 18 digits.
func cutNumber(p []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(p) && p[i] >= '0' && p[i] <= '9' {
		n = n*10 + uint64(p[i]-'0')
		i++
	}
	if i == 0 || i > 18 || p[0] == '0' && i > 1 {
		return 0, p, false
	}
	return n, p[i:], true
}

// lastValue reads the end of a frame, from the comma before the key on. Whether it is a message of
// the run is for the stamp to say; of data with more keys behind it, say, it says no.
func lastValue(p []byte) ([]byte, bool) {
	p, ok := cutPrefix(p, dataKey)
	if !ok || len(p) == 0 || p[len(p)-1] != '}' {
		return nil, false
	}
	return p[:len(p)-1], true
}

func frameEvent(f wire.ServerFrame, p []byte, room string) Event {
	switch f.Event {
	case wire.EventConnected:
		return connectedEvent(f, room)
	case wire.EventHeartbeat:
		return Event{}
	case wire.EventAck:
		if f.ID == joinID {
			var at wire.Position
			_ = json.Unmarshal(f.Data, &at)
			return withOffset(Ready, at.Offset)
		}
		return Event{Kind: Ack, ID: f.ID, Data: f.Data}
	case wire.EventError:
		return errorEvent(f)
	case wire.EventGap, wire.EventConflated:
		return gapEvent(f, room)
	case wire.EventDrain:
		var d wire.Drain
		_ = json.Unmarshal(f.Data, &d) // what can't be read asks for no pause
		return Event{Kind: Drain, RetryAfter: time.Duration(d.RetryAfter) * time.Millisecond}
	}
	return messageEvent(f, room)
}

// withOffset returns an event with its offset, if any: the first message is the beginning without.
func withOffset(kind Kind, offset string) Event {
	o, _ := wire.ParseOffset(offset)
	return Event{Kind: kind, Epoch: []byte(o.Epoch), N: o.N}
}

func connectedEvent(f wire.ServerFrame, room string) Event {
	var c wire.Connected
	if err := json.Unmarshal(f.Data, &c); err != nil {
		return malformed("the frame connected: %v", err)
	}
	if room == "" {
		return Event{Kind: Ready}
	}
	joined := make([]string, 0, len(c.Rooms))
	for _, p := range c.Rooms {
		if p.Room == room {
			return withOffset(Ready, p.Offset)
		}
		joined = append(joined, p.Room)
	}
	return Event{Kind: NotInRoom, Reason: strings.Join(joined, ", ")}
}

func errorEvent(f wire.ServerFrame) Event {
	var e wire.Error
	_ = json.Unmarshal(f.Data, &e) // what can't be read is shown as it is
	switch {
	case f.ID == joinID:
		return Event{Kind: JoinRefused, Reason: string(e.Code), Data: f.Data}
	case f.ID < FirstID:
		return Event{Kind: ServerError, Reason: string(e.Code), Data: f.Data}
	}
	return Event{Kind: Refused, ID: f.ID, Reason: string(e.Code), RetryAfter: time.Duration(e.RetryAfter) * time.Millisecond, Data: f.Data}
}

// gapEvent is what the server left out, of the client's room.
func gapEvent(f wire.ServerFrame, room string) Event {
	var g wire.Gap // conflated has the same fields
	if err := json.Unmarshal(f.Data, &g); err != nil {
		return malformed("the frame %s: %v", f.Event, err)
	}
	if g.Room != room {
		return Event{} // of the warehouse's own room, which the members of a zone are in as well
	}
	kind := Gap
	if f.Event == wire.EventConflated {
		kind = Conflated
	}
	e := withOffset(kind, g.To)
	e.Data = f.Data
	return e
}

// messageEvent judges a published event that is not in the usual form.
func messageEvent(f wire.ServerFrame, room string) Event {
	o, err := wire.ParseOffset(f.Offset)
	if err != nil {
		return malformed("event %s: %v", f.Event, err)
	}
	e := Event{Kind: Delivery, Epoch: []byte(o.Epoch), N: o.N, Data: f.Data}
	switch {
	case f.Retained:
		e.Kind = Retained
	case f.Room != room:
		e.Kind = OtherRoom
	}
	return e
}

func (Zonecast) AppendPublish(dst []byte, id int64, room string, data []byte) []byte {
	r, err := wire.ParseRoom(room)
	if err != nil {
		return dst
	}
	dst = append(dst, `{"event":"publish","id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `,"data":{"warehouse":"`...)
	dst = append(dst, r.Warehouse...)
	if r.Zone != "" {
		dst = append(append(dst, `","zone":"`...), r.Zone...)
	}
	dst = append(dst, `","event":"`+stamp.Event+`","data":`...)
	return append(append(dst, data...), `}}`...)
}

func (Zonecast) AppendEcho(dst []byte, id int64, data []byte) []byte {
	dst = append(dst, `{"event":"`+wire.EventEcho+`","id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	return append(append(append(dst, dataKey...), data...), '}')
}

// Position returns a room's offset in a cursor, room@offset joined by commas; zero if absent.
func Position(cursor, room string) wire.Offset {
	for part := range strings.SplitSeq(cursor, ",") {
		if offset, ok := strings.CutPrefix(part, room+"@"); ok {
			o, _ := wire.ParseOffset(offset)
			return o
		}
	}
	return wire.Offset{}
}

// A Poll is the answer to a long poll.
type Poll struct {
	Cursor     string            `json:"cursor"`
	Messages   []json.RawMessage `json:"messages"`
	RetryAfter int64             `json:"retryAfter"` // ms
}

// ReadPoll reads the answer to a long poll.
func ReadPoll(body []byte) (p Poll, err error) {
	if err := json.Unmarshal(bytes.TrimSpace(body), &p); err != nil {
		return p, fmt.Errorf("the answer to a poll: %w", err)
	}
	if p.Cursor == "" {
		return p, fmt.Errorf("the answer to a poll has no cursor: %.80q", body)
	}
	return p, nil
}
