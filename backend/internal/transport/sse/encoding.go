package sse

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// A framing is how the bytes of events stand on the connection.
type framing struct {
	*outbox.Encoding
	// wrap puts bytes of the body, which may be a part of an event, into the framing.
	wrap func(dst, p []byte) []byte
}

var (
	// chunked is HTTP/1.1 over a connection that was taken over (RFC 9112 section 7.1).
	chunked = framing{wrap: appendChunk, Encoding: &outbox.Encoding{Transport: transport.SSE, Final: true,
		Append: func(dst []byte, f *outbox.Frame) []byte { return appendChunk(dst, appendEvent(nil, f)) },
		Closing: func(code wire.CloseCode, reason string) []byte {
			return append(appendChunk(nil, closing(code, reason)), "0\r\n\r\n"...)
		},
	}}
	// plain is a body that ends with its connection (HTTP/1.0), or is framed elsewhere (HTTP/2).
	plain = framing{wrap: func(dst, p []byte) []byte { return append(dst, p...) },
		Encoding: &outbox.Encoding{Transport: transport.SSE, Final: true, Append: appendEvent, Closing: closing}}
)

func appendChunk(dst, p []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(p)), 16)
	dst = append(dst, "\r\n"...)
	return append(append(dst, p...), "\r\n"...)
}

// appendEvent appends a frame as a Server-Sent Event:
// https://html.spec.whatwg.org/multipage/server-sent-events.html. It has no name, so that onmessage
// gets it, but for heartbeats, which are no news. A drain sets the time after which EventSource
// connects again by itself.
func appendEvent(dst []byte, f *outbox.Frame) []byte {
	const around = len("event: heartbeat\ndata: \n\n")
	dst = slices.Grow(dst, len(f.JSON)+around)
	if f.Kind == outbox.Control && f.Event == wire.EventHeartbeat {
		dst = append(dst, "event: heartbeat\n"...)
	}
	if f.RetryAfter > 0 {
		dst = appendRetry(dst, f.RetryAfter)
	}
	return append(appendData(dst, f.JSON), '\n')
}

// appendData appends the lines of data. The end of a line can't stand within one: published JSON
// with line breaks between its values becomes several lines, which the client puts together again,
// with \n for each break.
func appendData(dst, json []byte) []byte {
	for {
		dst = append(dst, "data: "...)
		i := bytes.IndexAny(json, "\r\n")
		if i < 0 {
			return append(append(dst, json...), '\n')
		}
		dst = append(append(dst, json[:i]...), '\n')
		if bytes.HasPrefix(json[i:], []byte("\r\n")) {
			i++
		}
		json = json[i+1:]
	}
}

// closing is the last event, which takes the place of WebSocket's close frame.
func closing(code wire.CloseCode, reason string) []byte {
	p, _ := json.Marshal(struct { // a number and a text
		Code   wire.CloseCode `json:"code"`
		Reason string         `json:"reason"`
	}{code, reason})
	event := []byte("event: close\n")
	if code == wire.CloseReplaced {
		event = appendRetry(event, retryReplaced)
	}
	return append(appendData(event, p), '\n')
}
