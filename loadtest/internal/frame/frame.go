// Package frame reads and writes WebSocket frames (RFC 6455, section 5) on plain slices of bytes, for programs that hold
// tens of thousands of sockets in one loop and give none of them a buffer or a goroutine.
//
//	read(2) ──▶ Reader.Next ──▶ Message ──▶ Inflater.Inflate, where it is deflated
//	write(2) ◀── Append
//
// Nothing here does input or output.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxPayload is the longest payload in bytes that is taken, of a frame and of a whole message.
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

func (o Op) control() bool { return o >= Close }

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

// What can be wrong with a frame.
var (
	ErrUnused   = errors.New("a reserved bit is set")
	ErrOpcode   = errors.New("an unknown opcode")
	ErrMask     = errors.New("masked by a server, or not masked by a client")
	ErrControl  = errors.New("a control frame that is fragmented, deflated or longer than 125 bytes")
	ErrSequence = errors.New("a continuation of nothing, or a new message within another")
	ErrTooLong  = fmt.Errorf("longer than %d bytes", MaxPayload)
)

// A header is what precedes a payload.
type header struct {
	final, deflated bool
	op              Op
	mask            [4]byte
	masked          bool
	size            int // of the header
	payload         int // bytes that follow
}

// parse reads the header that p begins with; its size is 0 when p is too short to tell.
func parse(p []byte, from Side) (header, error) {
	if len(p) < 2 {
		return header{}, nil
	}
	h := header{final: p[0]&bitFinal != 0, deflated: p[0]&bitDeflated != 0, op: Op(p[0] & 0x0f), masked: p[1]&bitMasked != 0}
	size, length := 2, uint64(p[1]&^bitMasked)
	switch length {
	case 126:
		if size = 4; len(p) < size {
			return header{}, nil
		}
		length = uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if size = 10; len(p) < size {
			return header{}, nil
		}
		length = binary.BigEndian.Uint64(p[2:])
	}
	switch {
	case p[0]&bitsUnused != 0:
		return header{}, ErrUnused
	case h.op > Binary && h.op < Close || h.op > Pong:
		return header{}, ErrOpcode
	case h.masked != (from == FromClient):
		return header{}, ErrMask
	case h.op.control() && (!h.final || h.deflated || length > 125):
		return header{}, ErrControl
	case length > MaxPayload:
		return header{}, ErrTooLong
	}
	if h.masked {
		if len(p) < size+4 {
			return header{}, nil
		}
		size += copy(h.mask[:], p[size:])
	}
	h.size, h.payload = size, int(length)
	return h, nil
}

// A Message is a whole message, or a control frame. The zero Op stands for nothing: a fragment that others follow.
type Message struct {
	Op       Op
	Deflated bool
	// Payload is valid until the next call of Next, and as long as the slice given to it.
	Payload []byte
}

// A Reader puts the messages of one connection together. The zero value reads what a server sends.
type Reader struct {
	From Side

	fragments []byte
	op        Op // of the message that the fragments begin, or 0
	deflated  bool
}

// Next takes the frame that p begins with and says how many bytes it has: 0 when it is not all there yet. A masked payload
// is unmasked in place.
func (r *Reader) Next(p []byte) (Message, int, error) {
	h, err := parse(p, r.From)
	if err != nil || h.size == 0 || len(p) < h.size+h.payload {
		return Message{}, 0, err
	}
	n := h.size + h.payload
	payload := p[h.size:n:n]
	if h.masked {
		mask(payload, h.mask)
	}
	switch {
	case h.op.control():
		return Message{Op: h.op, Payload: payload}, n, nil
	case (h.op == Continuation) != (r.op != 0), h.op == Continuation && h.deflated:
		return Message{}, 0, ErrSequence
	case h.op != Continuation && h.final:
		return Message{Op: h.op, Deflated: h.deflated, Payload: payload}, n, nil
	case len(r.fragments)+len(payload) > MaxPayload:
		return Message{}, 0, ErrTooLong
	}
	if h.op != Continuation {
		r.op, r.deflated = h.op, h.deflated
	}
	r.fragments = append(r.fragments, payload...)
	if !h.final {
		return Message{}, n, nil
	}
	m := Message{Op: r.op, Deflated: r.deflated, Payload: r.fragments}
	r.op, r.deflated, r.fragments = 0, false, nil
	return m, n, nil
}

// Append appends a final frame of side from to dst. A client's payload is masked with key.
func Append(dst []byte, op Op, from Side, key [4]byte, payload []byte) []byte {
	masked := byte(0)
	if from == FromClient {
		masked = bitMasked
	}
	dst = append(dst, bitFinal|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	if from == FromServer {
		return append(dst, payload...)
	}
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	mask(dst[start:], key)
	return dst
}

func mask(p []byte, key [4]byte) {
	for i := range p {
		p[i] ^= key[i&3]
	}
}

// CloseReason reads the payload of a close frame (section 5.5.1); the code is 1005 when there is none.
func CloseReason(payload []byte) (code int, reason string) {
	if len(payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(payload)), string(payload[2:])
}
