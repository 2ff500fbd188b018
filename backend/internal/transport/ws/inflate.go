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
	const rsv1 = 0x40
	opcode := head[0] & 0x0f
	control, data := opcode >= 8, opcode == 1 || opcode == 2
	if data && head[0]&rsv1 != 0 && !f.compressed {
		f.compressed, f.first = true, head[0]
	} else if control || data || !f.compressed {
		f.passing = true // what is wrong with it is found out by its reader
		f.out = append(f.out, head...)
		return p[1:]
	}
	f.passing, f.masked, f.mask = false, 0, [4]byte{}
	if head[1]&0x80 != 0 {
		f.mask = [4]byte(head[len(head)-4:])
	}
	if f.left > uint64(f.limit-len(f.payload)) {
		f.err = errInflatedTooBig
		return nil
	}
	f.current = head[0]
	f.finish()
	return p[1:]
}

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
	const fin = 0x80
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
