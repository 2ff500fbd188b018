package wire

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A ClientFrame is what a client sent.
type ClientFrame struct {
	Event string
	// ID is the client's number for this frame; the answer carries it. Without HasID no answer is
	// expected, but for errors.
	ID    int64
	HasID bool
	// Data is the raw JSON, a part of the slice given to DecodeClient; nil when absent.
	Data json.RawMessage
}

// DecodeClient reads one frame. It checks the form alone: the event may be unknown and data of any
// shape. Names are compared exactly, and what else stands in the frame is ignored, so that clients
// may be newer than the server. The error is an *[Error] with [CodeBadFrame]; the ID is returned
// with it when it could be read, so that the answer can carry it.
func DecodeClient(p []byte) (f ClientFrame, err error) {
	if !utf8.Valid(p) {
		return f, Errorf(CodeBadFrame, "the frame is not valid UTF-8")
	}
	if !json.Valid(p) {
		return f, notJSON(p)
	}
	if p[skipSpace(p, 0)] != '{' {
		return f, Errorf(CodeBadFrame, "the frame must be a JSON object with event, data and id")
	}
	var event, id json.RawMessage
	for name, value := range members(p) {
		switch string(name) {
		case "event":
			event = value
		case "data":
			f.Data = value
		case "id":
			id = value
		}
	}
	if id != nil && string(id) != "null" {
		if f.ID, err = strconv.ParseInt(string(id), 10, 64); err != nil {
			f.ID = 0
			return f, Errorf(CodeBadFrame, "id is %.40s: it must be an integer from %d to %d, without fraction and exponent",
				id, int64(math.MinInt64), int64(math.MaxInt64))
		}
		f.HasID = true
	}
	switch {
	case event == nil || string(event) == "null" || string(event) == `""`:
		return f, Errorf(CodeBadFrame, `the frame has no event: send {"event":"subscribe","data":{…},"id":1}`)
	case event[0] != '"':
		return f, Errorf(CodeBadFrame, "event is %.40s: it must be a string", event)
	}
	f.Event = string(unquoted(event))
	return f, nil
}

func notJSON(p []byte) error {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(p, new(json.RawMessage)); errors.As(err, &syntax) {
		return Errorf(CodeBadFrame, "the frame is not JSON: %v at byte %d", syntax, syntax.Offset)
	}
	return Errorf(CodeBadFrame, "the frame is not JSON")
}

// Target names the room of a subscribe, unsubscribe or publish.
type Target struct {
	Warehouse string `json:"warehouse"`
	Zone      string `json:"zone,omitempty"`
}

// Room validates the target.
func (t Target) Room() (Room, error) { return NewRoom(t.Warehouse, t.Zone) }

// Subscribe is the data of a subscribe. That of an unsubscribe is a [Target].
type Subscribe struct {
	Target
	// Offset, if given, asks for the messages after it; [ParsePlace] reads it.
	Offset string `json:"offset,omitempty"`
}

// Publish is the data of a publish.
type Publish struct {
	Target
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data,omitempty"`
	// Conflate, if given, names what the event is the newest state of; see [CheckConflate].
	Conflate string `json:"conflate,omitempty"`
	// IdempotencyKey, if given, makes it safe to send the publish again: see [CheckIdempotencyKey].
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	// Traceparent, if given, is the trace that the publication is part of (W3C Trace Context). Like
	// the header of that name, one that is not valid counts for nothing.
	Traceparent string `json:"traceparent,omitempty"`
	// Durable asks for an answer only when the event is kept as the server's settings say.
	Durable bool `json:"durable,omitempty"`
}

// Authenticate is the data of an authenticate.
type Authenticate struct {
	Token string `json:"token"`
}

// DecodeRequest reads the data of a client's frame into one of the types above, as strictly as
// [DecodeObject]. The error is an *[Error] with [CodeInvalidData], or [CodeInvalidRoom] for a zone
// without a name.
func DecodeRequest(data json.RawMessage, into any) error {
	if len(data) == 0 || string(data) == "null" {
		return Errorf(CodeInvalidData, "data is missing: send an object with %s", strings.Join(fieldNames(into), ", "))
	}
	return DecodeObject("data", data, into)
}

// DecodeData reads the data of a server's frame, which may have fields that this version does not
// know. The error is an *[Error] with [CodeInvalidData].
func DecodeData(data json.RawMessage, into any) error {
	if len(data) == 0 || string(data) == "null" {
		return Errorf(CodeInvalidData, "data is missing: it must be a JSON object with %s", strings.Join(fieldNames(into), ", "))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return badObject("data", err, into)
	}
	return nil
}

// CheckPayload reports whether data can be published: one JSON value in UTF-8 of at most limit
// bytes. Absent data is published as null by [AppendMessage]. The error is an *[Error] with
// [CodeInvalidData] or [CodeTooLarge].
func CheckPayload(data json.RawMessage, limit int) error {
	switch {
	case len(data) == 0:
		return nil
	case len(data) > limit:
		return Errorf(CodeTooLarge, "data has %d bytes: at most %d are allowed", len(data), limit)
	case !utf8.Valid(data):
		return Errorf(CodeInvalidData, "data is not valid UTF-8")
	case !json.Valid(data):
		return Errorf(CodeInvalidData, "data is not valid JSON")
	}
	return nil
}

// CheckIdempotencyKey reports whether a publication may have this key: up to [MaxIdempotencyKeyLen]
// bytes, or none. The same key within [IdempotencyWindow] is answered with the first offset and
// publishes nothing again. The error is an *[Error] with [CodeInvalidData].
func CheckIdempotencyKey(key string) error {
	if n := len(key); n > MaxIdempotencyKeyLen {
		return Errorf(CodeInvalidData, "the idempotency key has %d bytes: at most %d are allowed", n, MaxIdempotencyKeyLen)
	}
	return nil
}
