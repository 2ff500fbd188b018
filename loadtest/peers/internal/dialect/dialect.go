// Package dialect is what the servers speak inside their WebSocket, from a client's point of view:
//
//	          Greet ──▶
//	server            ──▶ Next ──▶ Event      until Ready, then Delivery, Ack …
//	  AppendPublish ──▶
//
// A dialect keeps no state: what it needs to know of a connection is its room. Nothing here does input or output.
package dialect

import (
	"bytes"
	"fmt"
	"time"
)

// FirstID is the smallest id of a publish; those below are the dialect's own.
const FirstID = 16

// A Kind is what a message meant.
type Kind uint8

// The kinds of events.
const (
	// Nothing that concerns the run: a heartbeat, a step of the handshake.
	Nothing Kind = iota
	// Ready: the client has joined its room or, without one, may publish.
	Ready
	// Delivery: a published message. Data is what the publisher sent.
	Delivery
	// Ack: the publish with the number ID was accepted.
	Ack
	// Refused: the publish with the number ID was not accepted. Reason says why, Wait how long to wait, if it is known.
	Refused
	// Complaint: the server says that something is wrong, or nothing that could be understood. Reason says what.
	Complaint
)

// An Event is what a server said. Its slices are parts of the message that was read.
type Event struct {
	Kind   Kind
	ID     int64
	Data   []byte
	Reason string
	Wait   time.Duration
	// Reply, if there is one, must be sent at once.
	Reply []byte
}

// A Dialect is one server's protocol. A client is in one room, or in none ("") if it only publishes. The messages are text
// messages of the WebSocket.
type Dialect interface {
	// Path is the target of the handshake.
	Path() string
	// Greet returns what a client says first, nil if it must wait for the server.
	Greet(room string) []byte
	// Next reads the beginning of a message and returns the rest, which is to be read likewise; nil when all is read.
	Next(message []byte, room string) (Event, []byte)
	// AppendPublish appends the message that publishes data, a JSON object, into room.
	AppendPublish(dst []byte, id int64, room string, data []byte) []byte
}

// New returns the dialect with this name, for published data of so many bytes.
func New(name string, size int) (Dialect, error) {
	switch name {
	case "zonecast":
		return Zonecast{Size: size}, nil
	case "centrifuge":
		return Centrifuge{Size: size}, nil
	case "socketio":
		return SocketIO{Size: size}, nil
	}
	return nil, fmt.Errorf("no dialect %q", name)
}

// embedded returns the data of size bytes that stands right before the end of p and right after a key, if p has exactly
// this form. It saves decoding each delivery; p is decoded in full where it fails.
func embedded(p []byte, start, key, end string, size int) ([]byte, bool) {
	from := len(p) - len(end) - size
	if from < len(start)+len(key) || string(p[:len(start)]) != start || string(p[from-len(key):from]) != key ||
		string(p[from+size:]) != end {
		return nil, false
	}
	return p[from : from+size], true
}

func complain(format string, args ...any) Event {
	return Event{Kind: Complaint, Reason: fmt.Sprintf(format, args...)}
}

// line cuts off the first line of p; rest is nil if it is the only one.
func line(p []byte) (first, rest []byte) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 || i == len(p)-1 {
		return bytes.TrimSuffix(p, []byte("\n")), nil
	}
	return p[:i], p[i+1:]
}
