// Package wsframe reads and writes WebSocket frames (RFC 6455 section 5) on plain slices of bytes.
// The server, the load tester and the tests of both share it.
//
//	read(2) ──▶ ParseHeader ──▶ Sequence.Add ──▶ payload          to pass payloads on as they come
//	read(2) ──▶ Reader.Next ──▶ Message ──▶ Inflater.Inflate      to have whole messages
//	write(2) ◀── Append, AppendMasked, Header.Append
//
// Nothing here does input or output, or keeps a buffer between two messages.
package wsframe

import (
	"encoding/binary"
	"math"
	"slices"
)

// MaxPayload is the longest payload in bytes of a frame and of a message that a [Reader] takes.
const MaxPayload = 2 << 20

// MaxHeader is the length in bytes of the longest header.
const MaxHeader = 14

// An Op is a frame's opcode.
type Op uint8

// The opcodes (section 11.8).
const (
	Continuation Op = 0
	Text         Op = 1
	Binary       Op = 2
	Close        Op = 8
	Ping         Op = 9
	Pong         Op = 10
)

// IsControl reports whether frames of this kind may stand within a message.
func (o Op) IsControl() bool { return o >= Close }

// A Side is who sent a frame: a client masks its frames, a server does not.
type Side uint8

// The sides.
const (
	FromServer Side = iota
	FromClient
)

// The bits of a header's first two bytes.
const (
	bitFinal    = 0x80
	bitDeflated = 0x40 // RSV1, as RFC 7692 uses it
	bitsUnused  = 0x30
	bitMasked   = 0x80
)

// An Error is what is wrong with a frame.
type Error struct {
	Problem string // in at most 50 bytes, so that a close frame has room for both
	Advice  string // what the sender has to change, in at most 50 bytes
}

func (e *Error) Error() string { return e.Problem + ": " + e.Advice }

// What can be wrong with a frame.
var (
	ErrReserved   = &Error{"a reserved bit is set", "connect with a WebSocket library (RFC 6455)"}
	ErrOpcode     = &Error{"unknown opcode", "send JSON in text frames (RFC 6455 section 5.6)"}
	ErrMask       = &Error{"bad mask", "clients mask each frame (RFC 6455 section 5.3)"}
	ErrControl    = &Error{"control frame in fragments or over 125 bytes", "send it whole (RFC 6455 section 5.5)"}
	ErrSequence   = &Error{"fragments out of order", "end a message first (RFC 6455 section 5.4)"}
	ErrCompressed = &Error{"RSV1 is set", "compress only what was negotiated (RFC 7692)"}
	ErrTooLong    = &Error{"message too long", "send less in one message"}
)

// A Header is what precedes a payload (section 5.2).
type Header struct {
	Op       Op
	Final    bool // the frame ends its message
	Deflated bool // RSV1: the message is compressed (RFC 7692 section 6)
	Masked   bool
	Key      [4]byte // of the mask
	Length   int     // bytes of the payload
}

// ParseHeader reads the header that p begins with, and says how many bytes it has: 0 when it is not
// all there yet. A mistake is reported as soon as its bytes are there.
func ParseHeader(p []byte, from Side) (h Header, n int, err error) {
	if len(p) < 2 {
		return h, 0, nil
	}
	h = Header{Op: Op(p[0] & 0x0f), Final: p[0]&bitFinal != 0, Deflated: p[0]&bitDeflated != 0,
		Masked: p[1]&bitMasked != 0}
	n, length := 2, uint64(p[1]&^bitMasked)
	switch {
	case p[0]&bitsUnused != 0:
		return h, 0, ErrReserved
	case h.Op > Binary && h.Op < Close || h.Op > Pong:
		return h, 0, ErrOpcode
	case h.Masked != (from == FromClient):
		return h, 0, ErrMask
	case h.Op.IsControl() && (!h.Final || length > 125):
		return h, 0, ErrControl
	case h.Op.IsControl() && h.Deflated:
		return h, 0, ErrCompressed
	}
	switch length {
	case 126:
		if n = 4; len(p) < n {
			return h, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if n = 10; len(p) < n {
			return h, 0, nil
		}
		if length = binary.BigEndian.Uint64(p[2:]); length > math.MaxInt32 {
			return h, 0, ErrTooLong
		}
	}
	h.Length = int(length)
	if h.Masked {
		if len(p) < n+4 {
			return h, 0, nil
		}
		n += copy(h.Key[:], p[n:])
	}
	return h, n, nil
}

// Append appends the header to dst.
func (h Header) Append(dst []byte) []byte {
	first, second := byte(h.Op), byte(0)
	if h.Final {
		first |= bitFinal
	}
	if h.Deflated {
		first |= bitDeflated
	}
	if h.Masked {
		second = bitMasked
	}
	switch n := h.Length; {
	case n < 126:
		dst = append(dst, first, second|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, second|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, second|127), uint64(n))
	}
	if h.Masked {
		dst = append(dst, h.Key[:]...)
	}
	return dst
}

// Append appends a whole message of a server to dst, or a control frame.
func Append(dst []byte, op Op, payload []byte) []byte {
	return Header{Op: op, Final: true}.AppendFrame(dst, payload)
}

// AppendMasked is [Append] for a client.
func AppendMasked(dst []byte, op Op, key [4]byte, payload []byte) []byte {
	return Header{Op: op, Final: true, Masked: true, Key: key}.AppendFrame(dst, payload)
}

// AppendFrame appends a frame with this header to dst. Length is set to that of the payload, which
// is masked when the header says so.
func (h Header) AppendFrame(dst, payload []byte) []byte {
	h.Length = len(payload)
	dst = h.Append(slices.Grow(dst, MaxHeader+len(payload)))
	start := len(dst)
	dst = append(dst, payload...)
	if h.Masked {
		Mask(dst[start:], h.Key, 0)
	}
	return dst
}

// Mask masks bytes of a payload, or unmasks them; offset is how many bytes of it come before.
func Mask(p []byte, key [4]byte, offset int) {
	for i := range p {
		p[i] ^= key[(offset+i)&3]
	}
}

// A Sequence checks the order of one side's frames and the length of its messages (section 5.4). It
// describes the latest message until the next one begins.
type Sequence struct {
	Op        Op // of the latest message; 0 before the first
	Deflated  bool
	Open      bool // the message goes on
	Fragments uint32
	Length    int // of the payload, all fragments together
}

// Add takes the next header. A message may have at most so many bytes.
func (s *Sequence) Add(h Header, most int) error {
	switch {
	case h.Op.IsControl():
		return nil
	case s.Open != (h.Op == Continuation):
		return ErrSequence
	case s.Open && h.Deflated: // RFC 7692 section 6.1: the bit stands in the first frame
		return ErrCompressed
	case !s.Open:
		*s = Sequence{Op: h.Op, Deflated: h.Deflated}
	}
	if h.Length > most-s.Length {
		return ErrTooLong
	}
	s.Open = !h.Final
	s.Fragments++
	s.Length += h.Length
	return nil
}

// A Message is a whole message, or a control frame. The zero Op is a fragment that others follow.
type Message struct {
	Op       Op
	Deflated bool
	// Payload is valid until the next call of Next, and as long as the slice given to it.
	Payload []byte
}

// A Reader puts the messages of one connection together. The zero value reads what a server sends.
type Reader struct {
	From Side

	sequence  Sequence
	fragments []byte // of the message that is open
}

// Next takes the frame that p begins with and says how many bytes it has: 0 when it is not all
// there yet. A masked payload is unmasked in place.
func (r *Reader) Next(p []byte) (Message, int, error) {
	h, n, err := ParseHeader(p, r.From)
	if err != nil || n == 0 {
		return Message{}, 0, err
	}
	sequence := r.sequence
	if err := sequence.Add(h, MaxPayload); err != nil || len(p)-n < h.Length {
		return Message{}, 0, err
	}
	r.sequence = sequence
	end := n + h.Length
	payload := p[n:end:end]
	if h.Masked {
		Mask(payload, h.Key, 0)
	}
	switch {
	case h.Op.IsControl():
		return Message{Op: h.Op, Payload: payload}, end, nil
	case h.Op != Continuation && h.Final:
		return Message{Op: h.Op, Deflated: h.Deflated, Payload: payload}, end, nil
	}
	r.fragments = append(r.fragments, payload...)
	if !h.Final {
		return Message{}, end, nil
	}
	m := Message{Op: sequence.Op, Deflated: sequence.Deflated, Payload: r.fragments}
	r.fragments = nil
	return m, end, nil
}

// CloseReason reads a close frame's payload (section 5.5.1); the code is 1005 when there is none.
func CloseReason(payload []byte) (code int, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}
