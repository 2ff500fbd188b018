package wire

import (
	"encoding/json"
	"errors"
	"strconv"
)

// A Message is one published event as the room's members receive it.
type Message struct {
	Room   Room
	Event  string
	Offset Offset
	// Time is when the broker accepted it, in milliseconds since 1970.
	Time int64
	// Retained marks the copy that a new member gets of a message from before it came.
	Retained bool
	// Data is the publisher's JSON, byte for byte; nil stands for null.
	Data json.RawMessage
}

// AppendMessage appends m's frame to dst. Room, event and offset are taken as valid.
func AppendMessage(dst []byte, m *Message) []byte { return AppendTraced(dst, m, "") }

// AppendTraced is AppendMessage for a message that is part of a trace (W3C Trace Context), which is
// taken as valid; empty for none.
func AppendTraced(dst []byte, m *Message, traceparent string) []byte {
	dst = append(dst, `{"event":"`...)
	dst = append(dst, m.Event...)
	dst = append(dst, `","room":"`...)
	dst = m.Room.append(dst)
	dst = append(dst, `","offset":"`...)
	dst = m.Offset.append(dst)
	dst = append(dst, `","time":`...)
	dst = strconv.AppendInt(dst, m.Time, 10)
	if m.Retained {
		dst = append(dst, `,"retained":true`...)
	}
	if traceparent != "" {
		dst = append(dst, `,"traceparent":"`...)
		dst = append(dst, traceparent...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"data":`...)
	if len(m.Data) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, m.Data...)
	}
	return append(dst, '}')
}

// Position is a room with an offset: in connected, and as the ack of subscribe and publish.
type Position struct {
	Room   string `json:"room"`
	Offset string `json:"offset,omitempty"`
	// Retained is how many retained events follow; to publish it is 0.
	Retained int `json:"retained,omitempty"`
}

// PositionOf returns the position in its text form.
func PositionOf(r Room, o Offset) Position { return Position{Room: r.String(), Offset: o.String()} }

// Connected is the data of the first frame.
type Connected struct {
	ConnectionID string `json:"connectionId"`
	// Rooms are those that the connection joined by its query parameters; never nil.
	Rooms []Position `json:"rooms"`
	// Heartbeat is the interval of heartbeats in milliseconds.
	Heartbeat  int64  `json:"heartbeat"`
	ServerTime int64  `json:"serverTime"`
	Node       string `json:"node"`
	// Limits is what the server takes from the connection; nil when it does not say.
	Limits *Limits `json:"limits,omitempty"`
	// Broker is BrokerUnavailable while nothing that is published reaches this instance; else
	// empty.
	Broker string `json:"broker,omitempty"`
	// Protocol is ProtocolVersion; 0 of a server that does not say.
	Protocol int `json:"protocol,omitempty"`
}

// ProtocolVersion is raised when a server takes something new from clients, which they have to know
// before they use it. What servers send only grows, without a new number.
const ProtocolVersion = 1

// BrokerUnavailable says that the broker is away: what is published does not arrive before it is
// back.
const BrokerUnavailable = "unavailable"

// Limits are what a server takes from one connection.
type Limits struct {
	// FrameBytes is the most bytes of a frame, inflated.
	FrameBytes int `json:"frameBytes"`
	// Frames is the rate of frames; 0 tokens are no limit.
	Frames Rate `json:"frames"`
}

// A Rate is that of a token bucket: Tokens at once, Refill more each second.
type Rate struct {
	Tokens float64 `json:"tokens"`
	Refill float64 `json:"refill"`
}

// Heartbeat is the data of a heartbeat.
type Heartbeat struct {
	// Connections is how many connections this instance holds.
	Connections int   `json:"connections"`
	Time        int64 `json:"time"`
	// Broker is BrokerUnavailable while nothing that is published reaches this instance; else
	// empty. A change is told at once, by a heartbeat beyond the regular ones.
	Broker string `json:"broker,omitempty"`
}

// Gap is the data of a gap: the messages after From, up to and including To, are lost to this
// client. To behind From in the same epoch says that the room goes on there, since it lost its
// latest messages.
type Gap struct {
	Room string `json:"room"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Conflated is the data of a conflated: the messages after From, up to and including To, were
// replaced by newer ones, which follow, while they waited for this client. Nothing is missing.
type Conflated struct {
	Room string `json:"room"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Drain is the data of a drain.
type Drain struct {
	// RetryAfter is in milliseconds and differs from client to client.
	RetryAfter int64 `json:"retryAfter"`
}

// Screen is the data of a @screen: what an operator wants of a wall screen.
type Screen struct {
	// Do is "identify" (show which screen it is), "reload", or "show".
	Do string `json:"do"`
	// What to show: a zone, or without one the warehouse, by the wall of this name in its layout.
	Warehouse string `json:"warehouse,omitempty"`
	Zone      string `json:"zone,omitempty"`
	Wall      string `json:"wall,omitempty"`
}

// Authenticated is the data of the ack of an authenticate.
type Authenticated struct {
	// Expires is in milliseconds since 1970; 0 when the token does not expire.
	Expires int64 `json:"expires"`
}

// AppendFrame appends a frame that the server sends on its own behalf. data is one of the types
// above; a type that JSON can't encode is a mistake in the program and panics.
func AppendFrame(dst []byte, event string, data any) []byte {
	dst = append(dst, `{"event":"`...)
	dst = append(dst, event...)
	dst = append(dst, `","data":`...)
	return append(appendJSON(dst, data), '}')
}

// AppendAck appends the answer to the frame with this id. A json.RawMessage is kept byte for byte;
// nil data is null.
func AppendAck(dst []byte, id int64, data any) []byte {
	return appendAnswer(dst, EventAck, id, data)
}

// AppendError appends an error frame: the answer to the frame with this id, or to nothing in
// particular when hasID is false. An error that is not an *[Error] goes out as [CodeInternal]
// without its text.
func AppendError(dst []byte, id int64, hasID bool, err error) []byte {
	e := AsError(err)
	if !hasID {
		return AppendFrame(dst, EventError, e)
	}
	return appendAnswer(dst, EventError, id, e)
}

// AsError returns err as an *[Error]; one that is none becomes [CodeInternal], without its text.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "internal error"}
}

func appendAnswer(dst []byte, event string, id int64, data any) []byte {
	dst = append(dst, `{"event":"`...)
	dst = append(dst, event...)
	dst = append(dst, `","id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `,"data":`...)
	return append(appendJSON(dst, data), '}')
}

func appendJSON(dst []byte, data any) []byte {
	if raw, ok := data.(json.RawMessage); ok {
		if len(raw) == 0 {
			return append(dst, "null"...)
		}
		return append(dst, raw...) // json.Marshal would compact it
	}
	p, err := json.Marshal(data)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return append(dst, p...)
}

// A ServerFrame is what a server sent, as a client in Go reads it.
type ServerFrame struct {
	Event  string `json:"event"`
	ID     int64  `json:"id"`
	Room   string `json:"room"`
	Offset string `json:"offset"`
	Time   int64  `json:"time"`
	// Retained marks a message that was published before this member came; its offset lies before
	// the room's.
	Retained bool `json:"retained"`
	// Traceparent is the trace that a message is part of, if it is traced.
	Traceparent string          `json:"traceparent"`
	Data        json.RawMessage `json:"data"`
}

// DecodeServer reads one frame from a server.
func DecodeServer(p []byte) (ServerFrame, error) {
	var f ServerFrame
	if err := json.Unmarshal(p, &f); err != nil {
		return ServerFrame{}, Errorf(CodeBadFrame, "the frame is not one of a server: %v", err)
	}
	if f.Event == "" {
		return ServerFrame{}, Errorf(CodeBadFrame, "the frame has no event")
	}
	return f, nil
}
