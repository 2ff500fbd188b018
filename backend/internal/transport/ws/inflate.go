package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
)

// An inflater stands between the socket and gorilla/websocket, which would inflate a message of any size: it turns each
// compressed message into one that is not, and passes on everything else as it is.
//
//	socket ──▶ [compressed message, any number of frames] ──▶ one frame ──▶ gorilla/websocket
//	       ──▶ [any other frame] ─────────────────────────────────────────▶
//
// What it holds is bounded by limit: compressed, and inflated.
type inflater struct {
	limit int

	out []byte // for the reader
	err error  // after out

	head    []byte // the header of the frame that is coming in, as far as it is here
	left    uint64 // bytes of its payload that are not here yet
	passing bool   // the payload is passed on; otherwise it is gathered

	plain      bool   // a message that is not compressed is coming in, in fragments
	compressed bool   // a compressed message is coming in
	first      byte   // the first byte of its first frame
	payload    []byte // of its frames so far, unmasked
	mask       [4]byte
	masked     int  // bytes of the current frame in payload
	current    byte // the first byte of the current frame
}

var (
	errInflatedTooBig = errors.New("ws: a compressed message is too big")
	errNotDeflate     = errors.New("ws: a compressed message can't be inflated")
)

// What is wrong with a frame of a compressed message, in the words of gorilla/websocket, which sees none of these frames.
var (
	errUnmasked    = errors.New("ws: bad MASK")
	errReserved    = errors.New("ws: reserved bit set")
	errCompressed  = errors.New("ws: RSV1 set within a message")
	errInterleaved = errors.New("ws: data before FIN")
	errOpcode      = errors.New("ws: bad opcode")
)

// drain copies what is ready into p.
func (f *inflater) drain(p []byte) (n int, err error) {
	if len(f.out) == 0 {
		return 0, f.err
	}
	n = copy(p, f.out)
	if f.out = f.out[n:]; len(f.out) == 0 {
		f.out = nil
	}
	return n, nil
}

// feed takes bytes from the socket.
func (f *inflater) feed(p []byte) {
	for len(p) > 0 && f.err == nil {
		if f.left > 0 {
			p = f.body(p)
		} else {
			p = f.header(p)
		}
	}
}

// header takes the next byte of a frame's header (RFC 6455 section 5.2).
func (f *inflater) header(p []byte) (rest []byte) {
	f.head = append(f.head, p[0])
	if len(f.head) < 2 || len(f.head) < headerLen(f.head[1]) {
		return p[1:]
	}
	head := f.head
	f.head = nil
	f.left = payloadLen(head)
	opcode := head[0] & 0x0f
	control, begins := opcode >= 8, !f.compressed && isData(opcode) && head[0]&rsv1 != 0
	if control || !begins && !f.compressed {
		if f.passing = true; !control {
			f.plain = head[0]&fin == 0
		}
		f.out = append(f.out, head...) // what is wrong with it is found out by its reader
		return p[1:]
	}
	if f.err = f.broken(head); f.err != nil {
		return nil
	}
	if begins {
		f.compressed, f.first = true, head[0]
	}
	f.passing, f.masked, f.mask = false, 0, [4]byte(head[len(head)-4:])
	if f.left > uint64(f.limit-len(f.payload)) {
		f.err = errInflatedTooBig
		return nil
	}
	f.current = head[0]
	f.finish()
	return p[1:]
}

// broken says what is wrong with the header of a frame that begins a compressed message, or is one of its fragments.
func (f *inflater) broken(head []byte) error {
	opcode := head[0] & 0x0f
	switch {
	case head[1]&0x80 == 0:
		return errUnmasked
	case head[0]&(rsv2|rsv3) != 0:
		return errReserved
	case isData(opcode) && (f.plain || f.compressed):
		return errInterleaved
	case f.compressed && opcode != 0:
		return errOpcode
	case f.compressed && head[0]&rsv1 != 0: // RFC 7692 section 6.1: it stands in the first frame
		return errCompressed
	}
	return nil
}

// The first byte of a frame beside its opcode.
const fin, rsv1, rsv2, rsv3 = 0x80, 0x40, 0x20, 0x10

func isData(opcode byte) bool { return opcode == 1 || opcode == 2 }

// payloadLen is the length of the payload that a header announces.
func payloadLen(head []byte) uint64 {
	switch n := head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		return binary.BigEndian.Uint64(head[2:])
	default:
		return uint64(n)
	}
}

// headerLen is the length of a header whose second byte this is.
func headerLen(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// body takes bytes of a payload.
func (f *inflater) body(p []byte) (rest []byte) {
	n := int(min(f.left, uint64(len(p))))
	f.left -= uint64(n)
	if f.passing {
		f.out = append(f.out, p[:n]...)
		return p[n:]
	}
	for _, b := range p[:n] {
		f.payload = append(f.payload, b^f.mask[f.masked%4])
		f.masked++
	}
	f.finish()
	return p[n:]
}

// finish hands on the compressed message when its last frame is complete.
func (f *inflater) finish() {
	if f.left > 0 || f.current&fin == 0 {
		return
	}
	p, err := inflate(f.payload, f.limit)
	f.compressed, f.payload = false, nil
	if err != nil {
		f.err = err
		return
	}
	// As from a client: masked, with a key that changes nothing.
	frame := header(fin|f.first&0x0f, len(p))
	frame[1] |= 0x80
	f.out = append(append(append(f.out, frame...), 0, 0, 0, 0), p...)
}

// inflate reads the payload of a compressed message (RFC 7692 section 7.2.2) of at most limit bytes.
func inflate(p []byte, limit int) ([]byte, error) {
	tail := []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff} // what the sender left out, and an empty last block
	r := flate.NewReader(io.MultiReader(bytes.NewReader(p), bytes.NewReader(tail)))
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
		return nil, errNotDeflate
	case len(out) > limit:
		return nil, errInflatedTooBig
	}
	return out, nil
}
