package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// A ClientFrame is what a client sent.
type ClientFrame struct {
	Event string
	// ID is the client's number for this frame; the answer carries it. Without HasID no answer is expected, but for
	// errors.
	ID    int64
	HasID bool
	// Data is the raw JSON, a part of the slice given to DecodeClient; nil when absent.
	Data json.RawMessage
}

// DecodeClient reads one frame. It checks the form alone: the event may be unknown and data of any shape. The error is an
// *[Error] with [CodeBadFrame]; the ID is returned with it when it could be read, so that the answer can carry it.
func DecodeClient(p []byte) (ClientFrame, error) {
	if !utf8.Valid(p) {
		return ClientFrame{}, Errorf(CodeBadFrame, "the frame is not valid UTF-8")
	}
	var raw struct {
		Event *string         `json:"event"`
		Data  json.RawMessage `json:"data"`
		ID    *int64          `json:"id"`
	}
	err := json.Unmarshal(p, &raw)
	f := ClientFrame{Data: raw.Data}
	if raw.ID != nil {
		f.ID, f.HasID = *raw.ID, true
	}
	if err != nil {
		return f, badFrame(err)
	}
	if raw.Event == nil || *raw.Event == "" {
		return f, Errorf(CodeBadFrame, `the frame has no event: send {"event":"subscribe","data":{…},"id":1}`)
	}
	f.Event = *raw.Event
	return f, nil
}

func badFrame(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Errorf(CodeBadFrame, "the frame is not JSON: %v at byte %d", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field == "id":
		return Errorf(CodeBadFrame, "id is a JSON %s: it must be an integer", kind.Value)
	case errors.As(err, &kind) && kind.Field == "event":
		return Errorf(CodeBadFrame, "event is a JSON %s: it must be a string", kind.Value)
	}
	return Errorf(CodeBadFrame, "the frame must be a JSON object with event, data and id")
}

// Target names the room of a subscribe, unsubscribe or publish.
type Target struct {
	Warehouse string `json:"warehouse"`
	Zone      string `json:"zone,omitempty"`
}

// Room validates the target.
func (t Target) Room() (Room, error) { return NewRoom(t.Warehouse, t.Zone) }

// Subscribe is the data of a subscribe and, without Offset, of an unsubscribe.
type Subscribe struct {
	Target
	// Offset, if given, asks for the messages after it.
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
}

// Authenticate is the data of an authenticate.
type Authenticate struct {
	Token string `json:"token"`
}

// DecodeData reads the data of a frame into one of the types above. The error is an *[Error] with [CodeInvalidData].
func DecodeData(data json.RawMessage, into any) error {
	if len(data) == 0 || bytes.Equal(data, []byte("null")) {
		return Errorf(CodeInvalidData, "data is missing")
	}
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		field := strings.TrimPrefix(kind.Field, "Target.") // encoding/json names the embedded struct too
		return Errorf(CodeInvalidData, "data.%s is a JSON %s: it must be a %s", field, kind.Value, kind.Type)
	}
	return Errorf(CodeInvalidData, "data must be a JSON object")
}

// CheckPayload reports whether data can be published: one JSON value in UTF-8 of at most limit bytes. Absent data is
// published as null by [AppendMessage]. The error is an *[Error] with [CodeInvalidData] or [CodeTooLarge].
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

// CheckIdempotencyKey reports whether a publication may have this key: up to [MaxIdempotencyKeyLen] bytes, or none. The same
// key within [IdempotencyWindow] is answered with the first offset and publishes nothing again. The error is an *[Error]
// with [CodeInvalidData].
func CheckIdempotencyKey(key string) error {
	if n := len(key); n > MaxIdempotencyKeyLen {
		return Errorf(CodeInvalidData, "the idempotency key has %d bytes: at most %d are allowed", n, MaxIdempotencyKeyLen)
	}
	return nil
}
