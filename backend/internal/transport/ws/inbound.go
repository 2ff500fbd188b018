package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// An inbound checks the frames of a client between its socket and gorilla/websocket, which then
// reads valid frames only, none of them compressed:
//
//	socket ──▶ [frames of a compressed message] ──▶ inflated, as one frame ──▶ gorilla/websocket
//	       ──▶ [any other frame] ──────────────────────────── as it is ──────▶
//
// Bytes that pass stay where they were read to. It holds at most limit bytes of a message
// compressed, and as many inflated.
type inbound struct {
	// Static.
	limit   int  // bytes of a message, compressed and inflated
	deflate bool // was negotiated
	// allow is asked before a compressed message is inflated; nil for always. Without it the
	// message goes no further.
	allow func(op wsframe.Op, payload []byte, now time.Time) bool

	closeOnly bool  // the connection is closing: nothing passes any more but close frames
	skipping  bool  // the current frame does not pass
	gathering bool  // the current frame is one of a compressed message
	headBytes uint8 // in head
	head      [wsframe.MaxHeader]byte
	began     int64 // when the frame or message under way began, in ns since 1970; 0 for none
	left      int   // bytes of the current frame's payload that are still to come
	sequence  wsframe.Sequence

	message *compressedMessage // nil unless one is coming in or waits for the reader
	err     error              // for the reader, after all that passed: why nothing follows
}

// A compressedMessage comes in masked and goes out inflated.
type compressedMessage struct {
	payload []byte // of its frames so far, unmasked
	key     [4]byte
	offset  int    // bytes of the current frame in payload
	out     []byte // for the reader: the message inflated, and what passed after it
}

// What can be wrong with a message beside its frames.
var (
	errFragments = &wsframe.Error{Problem: fmt.Sprintf("a message in more than %d frames", wire.FragmentsPerMessage),
		Advice: "send it in fewer frames (RFC 6455 section 5.4)"}
	errMessageTime = &wsframe.Error{Problem: fmt.Sprintf("a message took longer than %v", wire.MessageTime),
		Advice: "send it at once (RFC 6455 section 5.4)"}
	errInflate = &wsframe.Error{Problem: "a message can't be inflated",
		Advice: "compress only what was negotiated (RFC 7692)"}
)

// pending copies into p what waits for the reader; there is an error when nothing will follow.
func (in *inbound) pending(p []byte) (n int, err error) {
	switch m := in.message; {
	case m == nil:
	case len(m.out) > 0:
		n = copy(p, m.out)
		if m.out = m.out[n:]; len(m.out) == 0 {
			m.out = nil
		}
		return n, nil
	case in.left == 0 && !in.sequence.Open:
		in.message = nil
	}
	return 0, in.err
}

// restore puts the beginning of a header, that the socket gave without its end, at the front of p.
func (in *inbound) restore(p []byte) (n int, err error) {
	if len(p) < wsframe.MaxHeader {
		return 0, io.ErrShortBuffer
	}
	n = copy(p, in.head[:in.headBytes])
	in.headBytes = 0
	return n, nil
}

// filter takes what came from the socket after restore, and returns how many bytes of p pass: those
// at its front. After them comes what is pending.
func (in *inbound) filter(p []byte, now time.Time) (n int) {
	if in.closeOnly && in.gathering {
		in.gathering, in.skipping, in.message.payload = false, true, nil
	}
	for start, at := 0, 0; at < len(p); start = at {
		if in.left == 0 {
			size, err := in.header(p[at:], now)
			if in.err = err; err != nil {
				return n
			}
			if size == 0 {
				in.headBytes = uint8(copy(in.head[:], p[at:]))
				break
			}
			at += size
		}
		size := min(in.left, len(p)-at)
		payload := p[at : at+size]
		at += size
		in.left -= size
		switch {
		case in.skipping:
		case in.gathering:
			in.message.gather(payload)
		default:
			n = in.pass(p, n, start, at)
		}
		if in.left > 0 || in.sequence.Open {
			continue
		}
		in.began = 0
		if in.gathering {
			if in.allow != nil && !in.allow(in.sequence.Op, in.message.payload, now) {
				in.message.payload = nil
			} else if in.err = in.message.inflate(in.sequence.Op, in.limit); in.err != nil {
				return n
			}
		}
	}
	if in.began != 0 && now.UnixNano()-in.began > int64(wire.MessageTime) {
		in.err = errMessageTime
	}
	return n
}

// header takes the header that p begins with, and returns its size; 0 when it is not all there yet.
func (in *inbound) header(p []byte, now time.Time) (size int, err error) {
	if in.began == 0 {
		in.began = now.UnixNano()
	}
	h, size, err := wsframe.ParseHeader(p, wsframe.FromClient)
	if err != nil || size == 0 {
		return 0, err
	}
	if h.Deflated && !in.deflate {
		return 0, wsframe.ErrCompressed
	}
	if err := in.sequence.Add(h, in.limit); err != nil {
		return 0, err
	}
	if in.sequence.Fragments > wire.FragmentsPerMessage {
		return 0, errFragments
	}
	in.left = h.Length
	in.skipping = in.closeOnly && h.Op != wsframe.Close
	if in.gathering = in.sequence.Deflated && !h.Op.IsControl() && !in.skipping; in.gathering {
		if in.message == nil {
			in.message = new(compressedMessage)
		}
		in.message.key, in.message.offset = h.Key, 0
	}
	return size, nil
}

// pass lets the bytes from start to end go on to the reader, after the first n that do.
func (in *inbound) pass(p []byte, n, start, end int) int {
	switch {
	case in.message != nil && len(in.message.out) > 0:
		in.message.out = append(in.message.out, p[start:end]...)
		return n
	case n == start:
		return end
	}
	return n + copy(p[n:], p[start:end])
}

// gather takes bytes of the current frame's payload.
func (m *compressedMessage) gather(p []byte) {
	wsframe.Mask(p, m.key, m.offset)
	m.offset += len(p)
	m.payload = append(m.payload, p...)
}

// inflate lets the message, which is complete, go on to the reader.
func (m *compressedMessage) inflate(op wsframe.Op, limit int) error {
	p, err := inflate(m.payload, limit)
	m.payload = nil
	if err == nil {
		m.out = wsframe.AppendMasked(m.out, op, [4]byte{}, p) // with a key that changes nothing
	}
	return err
}

// inflate reads a compressed message's payload (RFC 7692 section 7.2.2) of at most limit bytes.
func inflate(p []byte, limit int) ([]byte, error) {
	r := flate.NewReader(io.MultiReader(bytes.NewReader(p), bytes.NewReader(wsframe.DeflateTail)))
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch err = errors.Join(err, r.Close()); {
	case err != nil:
		return nil, errInflate
	case len(out) > limit:
		return nil, wsframe.ErrTooLong
	}
	return out, nil
}
