package sse

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// A framing is how the bytes of events stand on the connection.
type framing struct {
	*outbox.Form
	// wrap puts bytes of the body, which may be a part of an event, into the framing.
	wrap func(dst, p []byte) []byte
}

var (
	// chunked is HTTP/1.1 over a connection that was taken over (RFC 9112 section 7.1).
	chunked = framing{wrap: appendChunk, Form: &outbox.Form{Transport: transport.SSE, Slot: 2, Final: true,
		Frame: func(json []byte) []byte { return appendChunk(nil, event(json)) },
		Closing: func(code wire.CloseCode, reason string) []byte {
			return append(appendChunk(nil, closing(code, reason)), "0\r\n\r\n"...)
		},
	}}
	// plain is a body that ends with its connection (HTTP/1.0), or that something else frames (HTTP/2).
	plain = framing{wrap: func(dst, p []byte) []byte { return append(dst, p...) }, Form: &outbox.Form{Transport: transport.SSE,
		Slot: 3, Final: true, Frame: event, Closing: closing}}
)

func appendChunk(dst, p []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(p)), 16)
	dst = append(dst, "\r\n"...)
	return append(append(dst, p...), "\r\n"...)
}

// event returns a frame as a Server-Sent Event: https://html.spec.whatwg.org/multipage/server-sent-events.html. It has no
// name, so that onmessage gets it, but for heartbeats, which are no news. A drain sets the time after which EventSource
// connects again by itself.
func event(json []byte) []byte {
	p := make([]byte, 0, len(json)+len("event: heartbeat\ndata: \n\n"))
	switch {
	case transport.Is(json, wire.EventHeartbeat):
		p = append(p, "event: heartbeat\n"...)
	case transport.Is(json, wire.EventDrain):
		p = append(p, "retry: "...)
		p = append(strconv.AppendInt(p, retryAfter(json), 10), '\n')
	}
	return append(appendData(p, json), '\n')
}

func retryAfter(frame []byte) int64 {
	var f struct{ Data wire.Drain }
	_ = json.Unmarshal(frame, &f) // the server made it
	return f.Data.RetryAfter
}

// appendData appends the lines of data. The end of a line can't stand within one: published JSON with line breaks between
// its values becomes several lines, which the client puts together again, with \n for each break.
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
	return append(appendData([]byte("event: close\n"), p), '\n')
}
