package testkit

import (
	"bufio"
	"io"
	"slices"

	"github.com/zonecast/zonecast/backend/wsframe"
)

// ReadFrame reads a frame of a WebSocket server. The payload stands in buf when there is room for
// it.
func ReadFrame(in *bufio.Reader, buf []byte) (h wsframe.Header, payload []byte, err error) {
	size := 0
	for have := 2; size == 0; have++ {
		p, err := in.Peek(have)
		if err != nil {
			return h, nil, err
		}
		if h, size, err = wsframe.ParseHeader(p, wsframe.FromServer); err != nil {
			return h, nil, err
		}
	}
	_, _ = in.Discard(size) // it was there
	payload = slices.Grow(buf[:0], h.Length)[:h.Length]
	_, err = io.ReadFull(in, payload)
	return h, payload, err
}
