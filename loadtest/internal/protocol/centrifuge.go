package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Centrifuge is the centrifuge library's JSON protocol: one command or reply a line, several lines.
type Centrifuge struct {
	Size  int    // of published data, in bytes
	Token string // shown with the command connect, if it is not empty
}

var _ Codec = Centrifuge{}

const connectID = 1

func (Centrifuge) Target(path, query string, _ Subscription) string { return joinQuery(path, query) }

// Hello sends connect and subscribe together, as the library's own clients do.
func (c Centrifuge) Hello(s Subscription) []byte {
	p := fmt.Appendf(nil, `{"id":%d,"connect":{%s}}`, connectID, tokenField(c.Token))
	if s.Room == "" {
		return p
	}
	return fmt.Appendf(p, "\n"+`{"id":%d,"subscribe":{"channel":%q}}`, joinID, s.Room)
}

// tokenField returns the field of a JSON object that shows a token, nothing without one.
func tokenField(token string) string {
	if token == "" {
		return ""
	}
	value, err := json.Marshal(token)
	if err != nil {
		panic("dialect: " + err.Error()) // a string
	}
	return `"token":` + string(value)
}

func (c Centrifuge) Next(p []byte, room string) (Event, []byte) {
	p, rest := cutLine(p)
	if data, ok := embeddedData(p, `{"push":{"channel":"`, `"pub":{"data":`, `}}}`, c.Size); ok {
		return Event{Kind: Delivery, Data: data}, rest
	}
	return c.decode(p, room), rest
}

func (Centrifuge) decode(p []byte, room string) Event {
	p = bytes.TrimSpace(p)
	if string(p) == `{}` {
		return Event{Reply: []byte(`{}`)} // a ping, and its answer
	}
	var r reply
	if err := json.Unmarshal(p, &r); err != nil {
		return malformed("not a reply: %v", err)
	}
	switch {
	case r.Push != nil && r.Push.Pub != nil:
		return Event{Kind: Delivery, Data: r.Push.Pub.Data}
	case r.Push != nil && r.Push.Disconnect != nil:
		return Event{Kind: ServerError, Reason: fmt.Sprintf("disconnect %d %s", r.Push.Disconnect.Code, r.Push.Disconnect.Reason), Data: p}
	case r.Push != nil:
		return Event{}
	case r.Error != nil && r.ID >= FirstID:
		return Event{Kind: Refused, ID: r.ID, Reason: r.Error.Message}
	case r.Error != nil && r.ID == joinID:
		return Event{Kind: JoinRefused, Reason: fmt.Sprintf("%d %s", r.Error.Code, r.Error.Message)}
	case r.Error != nil:
		return Event{Kind: ServerError, Reason: fmt.Sprintf("error %d %s", r.Error.Code, r.Error.Message), Data: p}
	case r.ID == connectID && room == "", r.ID == joinID:
		return Event{Kind: Ready}
	case r.ID >= FirstID:
		return Event{Kind: Ack, ID: r.ID}
	}
	return Event{}
}

// A reply is what the server sends, as far as it matters here.
type reply struct {
	ID    int64 `json:"id"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Push *struct {
		Pub *struct {
			Data json.RawMessage `json:"data"`
		} `json:"pub"`
		Disconnect *struct {
			Code   int    `json:"code"`
			Reason string `json:"reason"`
		} `json:"disconnect"`
	} `json:"push"`
}

func (Centrifuge) AppendEcho(dst []byte, _ int64, _ []byte) []byte { return dst }

func (Centrifuge) AppendPublish(dst []byte, id int64, room string, data []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `,"publish":{"channel":"`...)
	dst = append(dst, room...)
	dst = append(dst, `","data":`...)
	return append(append(dst, data...), `}}`...)
}
