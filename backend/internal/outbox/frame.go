package outbox

import (
	"sync"
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
	// Grew, if not nil, is told when a form is made of the frame, and how many bytes that takes besides the JSON: for who keeps frames
	// and has to know what they weigh. It may be called by any goroutine that pushes, and must not push itself.
	Grew func(bytes int)
	// Message says which message this is; its room is empty for frames of the protocol itself that concern no room.
	Message Identity

	kind    kind
	skipped skipped // what this frame stands for, when it is a notice of conflated messages

	buf []byte   // headroom bytes that are free, for the header of a form, and the JSON; nil when there is no such place
	own *encoded // set by NewRaw: the same in each form

	encoding sync.Mutex // held while a form is made
	forms    [formSlots]atomic.Pointer[encoded]
}

// encoded is a frame as it is on the sockets of one form.
type encoded struct {
	bytes  []byte
	charge int // what a queue that holds the frame is charged for it
}

// frameBytes is what a frame costs beside its bytes: the Frame itself, the texts of its Identity, its entry in a queue.
// [Queue] charges it, so that its bound holds for many small frames too.
const frameBytes = 320

// encodedBytes is what a form takes beside its bytes.
const encodedBytes = 48

// Weight returns about what a queue is charged for a message whose event and data have so many bytes.
func Weight(bytes int) int {
	const around = 100 // of the frame
	return frameBytes + around + bytes
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

// Broadcast returns the frame of a published event, which the broker accepted at that time in microseconds since 1970.
func Broadcast(m *wire.Message, accepted int64, conflate string) *Frame {
	f := NewMessage(nil, accepted, Identity{Room: m.Room, Offset: m.Offset, Conflate: conflate})
	const around = 160 // bytes of a usual frame around its data; longer ones grow
	buf := wire.AppendMessage(make([]byte, headroom, headroom+around+len(m.Data)), m)
	f.buf, f.JSON = buf, buf[headroom:]
	return f
}

// headroom is the longest header that a form may put before the JSON.
const headroom = 10

// NewMessage returns the frame of an event that is encoded already: see [Broadcast].
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
	// Header, if not nil, says that a frame on the socket is this header, of at most 10 bytes, and then its JSON: so nothing has
	// to be copied. It appends the header of n bytes to dst.
	Header func(dst []byte, n int) []byte
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
func (f *Frame) In(form *Form) []byte { return f.in(form).bytes }

func (f *Frame) in(form *Form) *encoded {
	if f.own != nil {
		return f.own
	}
	if e := f.forms[form.Slot].Load(); e != nil {
		return e
	}
	return f.encode(form)
}

// encode makes a form of the frame, once.
func (f *Frame) encode(form *Form) *encoded {
	f.encoding.Lock()
	defer f.encoding.Unlock()
	slot := &f.forms[form.Slot]
	if e := slot.Load(); e != nil {
		return e
	}
	e := &encoded{charge: frameBytes + cap(f.JSON)}
	grown := encodedBytes
	if f.Message.Conflate != "" {
		e.charge += nameBytes
	}
	if form.Header != nil && f.buf != nil {
		header := form.Header(make([]byte, 0, headroom), len(f.JSON))
		e.bytes = f.buf[headroom-len(header):]
		copy(e.bytes, header)
		f.buf = nil // the next such form needs a place of its own
	} else if e.bytes = form.Frame(f.JSON); !shares(e.bytes, f.JSON) {
		e.charge += cap(e.bytes)
		grown += cap(e.bytes)
	}
	slot.Store(e)
	if f.Grew != nil {
		f.Grew(grown)
	}
	return e
}

// shares reports whether a frame's bytes are those of its JSON, so that they cost nothing more.
func shares(bytes, json []byte) bool {
	return len(bytes) > 0 && len(json) > 0 && &bytes[len(bytes)-1] == &json[len(json)-1]
}

// NewRaw returns a frame that is these bytes on the socket, whatever the form: for what one transport pushes to its own queues.
func NewRaw(p []byte) *Frame { return &Frame{own: &encoded{p, frameBytes + cap(p)}} }
