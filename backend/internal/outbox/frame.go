package outbox

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Frame is encoded once per [Encoding] and shared by all queues that it is pushed to. It must not
// change after the first push.
type Frame struct {
	// JSON is the frame as the wire package encodes it; nil when Kind is Raw or Closing.
	JSON []byte
	// Event is the frame's event; empty for answers to a client, Raw and Closing.
	Event string
	Kind  Kind
	// Urgent says that a long poll is answered with it, although it is a Control.
	Urgent bool
	own    bool // for one connection alone, and encoded already
	// RetryAfter is when a client that is told to leave should connect again; 0 in other frames.
	RetryAfter time.Duration
	// Accepted is when the broker accepted the message, in microseconds since 1970; it feeds the
	// delivery latency. 0 for frames of the protocol itself and for messages that are late because
	// their client was away.
	Accepted int64
	// FannedOut is when this instance began to push the message to its members, in microseconds
	// since 1970; 0 where that is not measured.
	FannedOut int64
	// Message says which message this is; its room is empty for frames that concern no room.
	Message Identity
	// OnEncoded, if not nil, is told how many bytes an encoding of the frame takes besides the
	// JSON, when it is made: for the accounts of caches. It may be called by any goroutine that
	// pushes, and must not push itself.
	OnEncoded func(bytes int)

	// OnWritten, if not nil, is called for each socket that has the frame, with its transport and
	// the time since the broker accepted the message; it must not block.
	OnWritten func(transport string, took time.Duration)

	skipped skipped // what this frame stands for, when it is a notice of conflated messages

	buf       []byte     // headroom free bytes, for a header, and the JSON; nil when there is no such place
	encoding  sync.Mutex // held while the frame is encoded
	encodings atomic.Pointer[encoded]
}

// Kind says what a frame is to the queues and to its reader.
type Kind uint8

const (
	Control  Kind = iota // of the protocol itself: connected, heartbeats, answers
	Message              // a published event in its turn
	Retained             // an event that was published before the client came
	Advance              // no event, but the room goes on after it: a gap, a notice of conflated messages
	Raw                  // bytes of a transport, which it has pushed to its own queues
	Closing              // the last frame: why the connection ends
)

// An Identity is what the queues have to know of a message.
type Identity struct {
	Room   wire.Room
	Offset wire.Offset
	// Conflate, if not empty, names what the message is the newest state of: it replaces one with
	// the same name and room that still waits.
	Conflate string
}

// Broadcast returns the frame of a published event, which the broker accepted at that time in
// microseconds since 1970.
func Broadcast(m *wire.Message, accepted int64, conflate string) *Frame {
	return BroadcastTraced(m, accepted, conflate, "")
}

// BroadcastTraced is Broadcast for a message that is part of a trace; traceparent is empty for
// none.
func BroadcastTraced(m *wire.Message, accepted int64, conflate, traceparent string) *Frame {
	const around = 160 // bytes of a usual frame around its data; longer ones grow
	buf := wire.AppendTraced(make([]byte, headroom, headroom+around+len(m.Data)), m, traceparent)
	return &Frame{Kind: Message, Event: m.Event, JSON: buf[headroom:], buf: buf, Accepted: accepted,
		Message: Identity{Room: m.Room, Offset: m.Offset, Conflate: conflate}}
}

// NewRetained returns the frame of an event that a new member gets although it was published
// before.
func NewRetained(m *wire.Message) *Frame {
	marked := *m
	marked.Retained = true
	return &Frame{Kind: Retained, Event: m.Event, JSON: wire.AppendMessage(nil, &marked),
		Message: Identity{Room: m.Room, Offset: m.Offset}}
}

// NewGap returns the frame that tells that the messages of a room after from, up to and including
// to, are lost.
func NewGap(room wire.Room, from, to wire.Offset) *Frame {
	json := wire.AppendFrame(nil, wire.EventGap,
		wire.Gap{Room: room.String(), From: from.String(), To: to.String()})
	return &Frame{Kind: Advance, Event: wire.EventGap, JSON: json, Message: Identity{Room: room, Offset: to}}
}

// NewControl returns a frame that the server sends on its own behalf. event is empty for the answer
// to what a client asked for.
func NewControl(event string, json []byte) *Frame { return &Frame{Event: event, JSON: json} }

// NewDrain returns the frame that tells a client to connect elsewhere after that time.
func NewDrain(retryAfter time.Duration) *Frame {
	return &Frame{Event: wire.EventDrain, RetryAfter: retryAfter,
		JSON: wire.AppendFrame(nil, wire.EventDrain, wire.Drain{RetryAfter: retryAfter.Milliseconds()})}
}

// NewRaw returns a frame that is these bytes on the socket, whatever the encoding.
func NewRaw(p []byte) *Frame { return newOwn(Raw, p) }

// newOwn returns a frame that is encoded already.
func newOwn(kind Kind, p []byte) *Frame {
	f := &Frame{Kind: kind, own: true}
	f.encodings.Store(&encoded{bytes: p, charge: frameBytes + cap(p)})
	return f
}

// Replay returns the frame for a client that was away when the message was accepted.
func (f *Frame) Replay() *Frame {
	return &Frame{Kind: f.Kind, Event: f.Event, JSON: f.JSON, Message: f.Message}
}

func (f *Frame) isMessage() bool { return f.Kind == Message || f.Kind == Retained }

// Position returns where whoever has read the frame, and all before it, stands in its room. Only
// frames that move a client have one: messages in their turn, gaps, notices of conflated messages.
func (f *Frame) Position() (p wire.Place, ok bool) {
	if f.Kind == Message || f.Kind == Advance {
		return wire.Place{Room: f.Message.Room, Offset: f.Message.Offset}, true
	}
	return wire.Place{}, false
}
