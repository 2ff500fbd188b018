package ws

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/zonecast/zonecast/backend/internal/outbox"
)

// Per-message deflate (RFC 7692), without context takeover on either side: so that one compressed frame serves all members
// of a room, and no connection keeps a window.

// extension is the answer to an offer.
const extension = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// level is fast, and close to the best for JSON of a few KiB.
const level = 3

// offersDeflate reports whether one of the offers can be accepted (RFC 7692 section 7.1).
func offersDeflate(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

func acceptable(offer string) bool {
	name, params, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	if strings.TrimSpace(params) == "" {
		return true
	}
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		switch strings.TrimSpace(key) {
		case "server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits":
		case "server_max_window_bits": // the compressor's window is the largest one
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err != nil || n != 15 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// deflated is how WebSocket looks to those who negotiated deflate: frames of at least that many bytes are compressed.
func deflated(from int) *outbox.Form {
	return &outbox.Form{Transport: frames.Transport, Slot: 1, Closing: frames.Closing, Frame: func(json []byte) []byte {
		if len(json) >= from {
			if p := compress(json); len(p) < len(json) {
				return append(header(0xc1, len(p)), p...)
			}
		}
		return frames.Frame(json)
	}}
}

type compressor struct {
	out bytes.Buffer
	w   *flate.Writer
}

var compressors = sync.Pool{New: func() any {
	c := new(compressor)
	c.w, _ = flate.NewWriter(&c.out, level) // it fails for unknown levels only
	return c
}}

// compress returns the payload of a compressed message: RFC 7692 section 7.2.1.
func compress(p []byte) []byte {
	c := compressors.Get().(*compressor)
	defer compressors.Put(c)
	c.out.Reset()
	c.w.Reset(&c.out)
	_, _ = c.w.Write(p) // to memory
	_ = c.w.Flush()
	return bytes.Clone(bytes.TrimSuffix(c.out.Bytes(), []byte{0, 0, 0xff, 0xff}))
}
