package ws

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wsframe"
)

// Per-message deflate (RFC 7692), without context takeover on either side: so that one compressed
// frame serves all members of a room, and no connection keeps a window.

// extension is the answer to an offer.
const extension = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// level is fast, and close to the best for JSON of a few KiB.
const level = 3

// offersDeflate reports whether one of the offers can be accepted (RFC 7692 section 7.1). A line
// with a quoted string is passed over: nobody needs one, and what stands within is no offer.
func offersDeflate(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Extensions") {
		if strings.Contains(line, `"`) {
			continue
		}
		for offer := range strings.SplitSeq(line, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

// acceptable reports whether the extension may be the answer to this offer. One whose parameters
// are invalid, or there twice, has to be declined, and so has any bound of the compressor's window:
// it is the largest one, and the answer names none.
func acceptable(offer string) bool {
	name, params, more := strings.Cut(offer, ";")
	if trim(name) != "permessage-deflate" {
		return false
	}
	seen := make([]string, 0, 3)
	for more {
		var param string
		param, params, more = strings.Cut(params, ";")
		key, value, has := strings.Cut(param, "=")
		switch key = trim(key); key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if has {
				return false
			}
		case "client_max_window_bits": // any window can be inflated
			if has && !slices.Contains(windows, trim(value)) {
				return false
			}
		default:
			return false
		}
		if slices.Contains(seen, key) {
			return false
		}
		seen = append(seen, key)
	}
	return true
}

// windows are the sizes that a window may have, in bits.
var windows = []string{"8", "9", "10", "11", "12", "13", "14", "15"}

// trim takes off the white space that may stand between the tokens of a header.
func trim(s string) string { return strings.Trim(s, " \t") }

// deflated is for those who negotiated deflate: frames of at least so many bytes are compressed.
func deflated(from int, transport string) *outbox.Encoding {
	return &outbox.Encoding{Transport: transport, Closing: frames.Closing,
		Append: func(dst []byte, f *outbox.Frame) []byte {
			h, payload := wsframe.Header{Op: wsframe.Text, Final: true}, f.JSON
			if len(payload) >= from {
				if p := compress(payload); len(p) < len(payload) {
					h.Deflated, payload = true, p
				}
			}
			return h.AppendFrame(slices.Grow(dst, 10+len(payload)), payload)
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
