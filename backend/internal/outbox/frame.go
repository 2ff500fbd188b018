package outbox

import (
	"sync/atomic"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Frame is encoded once and shared by all queues that it is pushed to. It must not change after the first push.
type Frame struct {
	// JSON is the frame as the wire package encodes it; nil for what [Queue.WriteRaw] queues.
	JSON []byte
	// Accepted is when the broker accepted the message, in microseconds since 1970; it feeds the delivery latency. 0 for
	// frames of the protocol itself and for messages that are late because their client was away.
	Accepted int64
	// Message says which message this is; its room is empty for frames of the protocol itself that concern no room.
	Message Identity

	kind    kind
	skipped skipped // what this frame stands for, when it is a notice of conflated messages

	raw   []byte // set by NewRaw
	forms [formSlots]atomic.Pointer[[]byte]
}

// An Identity is what the queues have to know of a message.
type Identity struct {
	Room   wire.Room
	Offset wire.Offset
	// Conflate, if not empty, names what the message is the newest state of: it replaces one with the same name and room
	// that still waits.
	Conflate string
}

// kind says what a frame is to the queues.
type kind uint8

const (
	control  kind = iota // of the protocol itself: heartbeats, answers
	message              // a published event in its turn
	retained             // one that was published before the client came
	passing              // no event, but it leads past some: a gap, or the notice of conflated messages
)

// NewMessage returns the frame of a published event, which the broker accepted at that time in microseconds since 1970.
func NewMessage(json []byte, accepted int64, id Identity) *Frame {
	return &Frame{JSON: json, Accepted: accepted, Message: id, kind: message}
}

// NewRetained returns the frame of an event that a new member gets although it was published before.
func NewRetained(json []byte, id Identity) *Frame {
	return &Frame{JSON: json, Message: id, kind: retained}
}

// NewGap returns the frame that tells that the messages of a room up to this offset are lost.
func NewGap(json []byte, room wire.Room, to wire.Offset) *Frame {
	return &Frame{JSON: json, Message: Identity{Room: room, Offset: to}, kind: passing}
}

// Replay returns the frame for a client that was away when the message was accepted.
func (f *Frame) Replay() *Frame { return &Frame{JSON: f.JSON, Message: f.Message, kind: f.kind} }

func (f *Frame) isMessage() bool { return f.kind == message || f.kind == retained }

// Retained reports whether the frame is that of a retained event.
func (f *Frame) Retained() bool { return f.kind == retained }

// Place returns where whoever has read the frame, and all before it, stands in its room. Only frames that move a client have
// one: messages in their turn, gaps, notices of conflated messages.
func (f *Frame) Place() (p wire.Place, ok bool) {
	if f.kind == message || f.kind == passing {
		return wire.Place{Room: f.Message.Room, Offset: f.Message.Offset}, true
	}
	return wire.Place{}, false
}

// NewControl returns a frame that the server sends on its own behalf.
func NewControl(json []byte) *Frame { return &Frame{JSON: json} }

// formSlots is how many forms one program may have: one per transport, and their compressed variants.
const formSlots = 5

// A Form is how one transport writes to its socket. What it makes of a frame is made once and kept with the frame.
type Form struct {
	// Transport is the name of the transport, under which what is written is counted.
	Transport string
	// Slot tells the forms of one program apart: 0 to 4, each used once.
	Slot int
	// Frame returns a frame's bytes on the socket.
	Frame func(json []byte) []byte
	// Closing returns the bytes that tell the peer why the connection ends; empty when the transport has none.
	Closing func(code wire.CloseCode, reason string) []byte
	// Final is set when the peer does not answer these bytes: the socket is closed as soon as it has taken them.
	Final bool
}

// A Marker writes what stands before a frame for one connection alone, so that the frame itself can be shared. It is called by
// whoever writes to the socket, once for each frame, in the order in which they leave, just before they do.
type Marker interface {
	// Mark appends to dst and returns the result. What it appends is not among the bytes that wait.
	Mark(dst []byte, f *Frame) []byte
}

// In returns the frame's bytes in the given form. It may be called by several goroutines at once.
func (f *Frame) In(form *Form) []byte {
	if f.raw != nil {
		return f.raw
	}
	p := &f.forms[form.Slot]
	if b := p.Load(); b != nil {
		return *b
	}
	b := form.Frame(f.JSON)
	if !p.CompareAndSwap(nil, &b) {
		return *p.Load()
	}
	return b
}

// NewRaw returns a frame that is these bytes on the socket, whatever the form: for what one transport pushes to its own queues.
func NewRaw(p []byte) *Frame { return &Frame{raw: p} }
