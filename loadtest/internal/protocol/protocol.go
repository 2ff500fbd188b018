// Package protocol has the servers' protocols, as their clients encode and decode them:
//
//	          Target, Hello ──▶
//	server                    ──▶ Next ──▶ Event      until Ready, then Delivery, Ack …
//	  AppendPublish, AppendEcho ──▶
//
// A codec keeps no state: it is told the connection's subscription. Nothing here does I/O.
package protocol

import (
	"bytes"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// FirstID is the smallest id of a publish or an echo; those below are the codec's own.
const FirstID = 16

// joinID is the id of the message by which a client joins its room.
const joinID = 2

// A Kind is what a message meant.
type Kind uint8

const (
	// None that concerns the run: a heartbeat, a step of the handshake.
	None Kind = iota
	// Ready: the client has joined its room or, without one, may publish. Epoch and N are the
	// room's newest offset, where the server numbers its messages.
	Ready
	// NotInRoom: the client's room is not among those that it joined (Reason).
	NotInRoom
	// Delivery: a published message. Data is the publisher's, Epoch and N its offset, if given.
	Delivery
	// OtherRoom: a message in another room. Data is what the publisher sent.
	OtherRoom
	// Retained: the copy of an older message; it is no part of the counting.
	Retained
	// Ack: the publish or echo ID was accepted. Data is the answer's, of an echo what was sent.
	Ack
	// Refused: number ID was not accepted, for Reason. Try again after RetryAfter, 0 if unknown.
	Refused
	// JoinRefused: the server does not let the client into its room. Reason says why.
	JoinRefused
	// Gap: the server lost the messages up to the offset. Conflated: newer ones replaced them.
	Gap
	Conflated
	// Drain: the server is leaving; reconnect after RetryAfter.
	Drain
	// ServerError: something is wrong. Reason names it, Data is all that the server said.
	ServerError
	// Malformed: nothing that could be understood. Reason says why.
	Malformed
)

// An Event is what a server said. Its slices are parts of the message that was read.
type Event struct {
	Kind       Kind
	ID         int64
	Epoch      []byte
	N          uint64
	Data       []byte
	Reason     string
	RetryAfter time.Duration
	Reply      []byte // if there is one, must be sent at once
}

// A Subscription is the room that a client joins; "" for a client that only publishes. After,
// unless zero, is the offset of the last message that it has: it resumes after it.
type Subscription struct {
	Room  string
	After wire.Offset
}

// A Codec is one server's protocol, in text messages of a WebSocket or data of an event stream.
type Codec interface {
	// Target returns the handshake's target: path and query, and what the subscription adds.
	Target(path, query string, s Subscription) string
	// Hello returns what a client says first, nil if it must wait for the server.
	Hello(s Subscription) []byte
	// Next reads the first event of a message and returns the rest; nil when all is read.
	Next(message []byte, room string) (Event, []byte)
	// AppendPublish appends the message that publishes data, a JSON object, into room.
	AppendPublish(dst []byte, id int64, room string, data []byte) []byte
	// AppendEcho appends the message whose Ack has the same data; dst unchanged if there is none.
	AppendEcho(dst []byte, id int64, data []byte) []byte
}

const (
	NameZonecast   = "zonecast"
	NameCentrifuge = "centrifugo"
	NameSocketIO   = "socketio"
)

// New returns the codec with this name, for published data of so many bytes. The token is shown
// where the protocol has a place for one; Zonecast's belongs to the handshake.
func New(name string, size int, token string) (Codec, error) {
	switch name {
	case NameZonecast:
		return Zonecast{}, nil
	case NameCentrifuge:
		return Centrifuge{Size: size, Token: token}, nil
	case NameSocketIO:
		return SocketIO{Size: size, Token: token}, nil
	}
	return nil, fmt.Errorf("no protocol %q", name)
}

// Path returns the default path of a protocol's servers.
func Path(name string) string {
	switch name {
	case NameCentrifuge:
		return "/connection/websocket"
	case NameSocketIO:
		return "/socket.io/"
	}
	return "/ws"
}

func joinQuery(path string, parts ...string) string {
	sep := "?"
	for _, p := range parts {
		if p != "" {
			path += sep + p
			sep = "&"
		}
	}
	return path
}

// embeddedData returns the size bytes of data right after a key and before the end of p, if p has
// this very form. It saves decoding each delivery; p is decoded in full where it fails.
func embeddedData(p []byte, start, key, end string, size int) ([]byte, bool) {
	from := len(p) - len(end) - size
	if from < len(start)+len(key) || string(p[:len(start)]) != start || string(p[from-len(key):from]) != key ||
		string(p[from+size:]) != end {
		return nil, false
	}
	return p[from : from+size], true
}

func malformed(format string, args ...any) Event {
	return Event{Kind: Malformed, Reason: fmt.Sprintf(format, args...)}
}

// cutLine cuts off the first line of p; rest is nil if it is the only one.
func cutLine(p []byte) (first, rest []byte) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 || i == len(p)-1 {
		return bytes.TrimSuffix(p, []byte("\n")), nil
	}
	return p[:i], p[i+1:]
}
