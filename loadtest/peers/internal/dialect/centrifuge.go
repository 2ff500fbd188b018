package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Centrifuge is the JSON protocol of the centrifuge library: commands and replies, one a line, several lines in a message.
type Centrifuge struct {
	// Size is the length of published data in bytes.
	Size int
}

var _ Dialect = Centrifuge{}

const connectID = 1

// Path implements [Dialect].
func (Centrifuge) Path() string { return "/connection/websocket" }

// Greet implements [Dialect]: connect and subscribe go out together, as the library's own clients do it.
func (Centrifuge) Greet(room string) []byte {
	p := fmt.Appendf(nil, `{"id":%d,"connect":{}}`, connectID)
	if room == "" {
		return p
	}
	return fmt.Appendf(p, "\n"+`{"id":%d,"subscribe":{"channel":%q}}`, joinID, room)
}

// Next implements [Dialect].
func (c Centrifuge) Next(p []byte, room string) (Event, []byte) {
	p, rest := line(p)
	if data, ok := embedded(p, `{"push":{"channel":"`, `"pub":{"data":`, `}}}`, c.Size); ok {
		return Event{Kind: Delivery, Data: data}, rest
	}
	return c.decode(p, room), rest
}

func (Centrifuge) decode(p []byte, room string) Event {
	p = bytes.TrimSpace(p)
	if string(p) == `{}` {
		return Event{Reply: []byte(`{}`)} // a ping, and its answer
	}
	var r struct {
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
	if err := json.Unmarshal(p, &r); err != nil {
		return complain("not a reply: %v", err)
	}
	switch {
	case r.Push != nil && r.Push.Pub != nil:
		return Event{Kind: Delivery, Data: r.Push.Pub.Data}
	case r.Push != nil && r.Push.Disconnect != nil:
		return complain("disconnect %d %s", r.Push.Disconnect.Code, r.Push.Disconnect.Reason)
	case r.Push != nil:
		return Event{}
	case r.Error != nil && r.ID >= FirstID:
		return Event{Kind: Refused, ID: r.ID, Reason: r.Error.Message}
	case r.Error != nil:
		return complain("error %d %s", r.Error.Code, r.Error.Message)
	case r.ID == connectID && room == "", r.ID == joinID:
		return Event{Kind: Ready}
	case r.ID >= FirstID:
		return Event{Kind: Ack, ID: r.ID}
	}
	return Event{}
}

// AppendPublish implements [Dialect].
func (Centrifuge) AppendPublish(dst []byte, id int64, room string, data []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `,"publish":{"channel":"`...)
	dst = append(dst, room...)
	dst = append(dst, `","data":`...)
	return append(append(dst, data...), `}}`...)
}
