package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

// SocketIO is the Socket.IO protocol 5 over Engine.IO 4, with the server in the folder socketio:
// clients join by the event join and publish by the event publish, both acknowledged.
type SocketIO struct {
	Size  int    // of published data, in bytes
	Token string // shown to the namespace as auth.token, if it is not empty
}

var _ Codec = SocketIO{}

func (SocketIO) Target(path, query string, _ Subscription) string {
	return joinQuery(path, "EIO=4&transport=websocket", query)
}

// Hello implements [Codec]: the server opens.
func (SocketIO) Hello(Subscription) []byte { return nil }

// Next reads Engine.IO's packet type first, then, of a message (4), Socket.IO's.
func (s SocketIO) Next(p []byte, room string) (Event, []byte) {
	if data, ok := embeddedData(p, `42["`+stamp.Event+`"`, `,`, `]`, s.Size); ok {
		return Event{Kind: Delivery, Data: data}, nil
	}
	switch {
	case len(p) == 0:
		return malformed("an empty message"), nil
	case p[0] == '0': // open
		if s.Token != "" {
			return Event{Reply: []byte(`40{` + tokenField(s.Token) + `}`)}, nil
		}
		return Event{Reply: []byte(`40`)}, nil
	case p[0] == '2': // ping
		return Event{Reply: []byte(`3`)}, nil
	case bytes.HasPrefix(p, []byte(`40`)): // connected
		if room == "" {
			return Event{Kind: Ready}, nil
		}
		return Event{Reply: fmt.Appendf(nil, `42%d["join",%q]`, joinID, room)}, nil
	case bytes.HasPrefix(p, []byte(`42`)):
		return socketEvent(p[2:]), nil
	case bytes.HasPrefix(p, []byte(`41`)):
		return Event{Kind: ServerError, Reason: "disconnect", Data: p}, nil
	case bytes.HasPrefix(p, []byte(`44`)):
		return Event{Kind: JoinRefused, Reason: string(p[2:])}, nil
	case bytes.HasPrefix(p, []byte(`43`)):
		return socketAck(p[2:]), nil
	}
	return malformed("%.60s", p), nil
}

func socketEvent(p []byte) Event {
	var args []json.RawMessage
	if err := json.Unmarshal(p, &args); err != nil || len(args) < 2 || string(args[0]) != `"`+stamp.Event+`"` {
		return malformed("not an event of the run: %.60s", p)
	}
	return Event{Kind: Delivery, Data: args[1]}
}

func socketAck(p []byte) Event {
	digits, _, _ := bytes.Cut(p, []byte("["))
	id, err := strconv.ParseInt(string(digits), 10, 64)
	switch {
	case err != nil:
		return malformed("an ack without a number: %.60s", p)
	case id == joinID:
		return Event{Kind: Ready}
	}
	return Event{Kind: Ack, ID: id}
}

func (SocketIO) AppendEcho(dst []byte, _ int64, _ []byte) []byte { return dst }

func (SocketIO) AppendPublish(dst []byte, id int64, room string, data []byte) []byte {
	dst = append(dst, `42`...)
	dst = strconv.AppendInt(dst, id, 10)
	dst = append(dst, `["publish","`...)
	dst = append(dst, room...)
	dst = append(dst, `",`...)
	return append(append(dst, data...), ']')
}
