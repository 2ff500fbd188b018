package sse

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// unframe returns the body in chunks, which must be whole.
func unframe(t testing.TB, p []byte) (body []byte) {
	for len(p) > 0 {
		size, rest, ok := bytes.Cut(p, []byte("\r\n"))
		n := 0
		for _, c := range size {
			n = n*16 + strings.IndexByte("0123456789abcdef", c)
		}
		if !ok || len(rest) < n+2 || string(rest[n:n+2]) != "\r\n" {
			t.Fatalf("a broken chunk: %q", p)
		}
		body, p = append(body, rest[:n]...), rest[n+2:]
	}
	return body
}

// Whatever is published is one event, whose data is the same JSON.
func FuzzEvent(f *testing.F) {
	f.Add(`{"a":1}`, "ZONE_UPDATE")
	f.Add("{\r\n\"a\" :\r[\n\n1]}", "heartbeat-of-a-press")
	f.Add(`"data: \n\n"`, "drain.pump")
	f.Fuzz(func(t *testing.T, data, name string) {
		if wire.CheckEvent(name) != nil || wire.CheckPayload(json.RawMessage(data), 1<<16) != nil {
			return
		}
		frame := outbox.Broadcast(&wire.Message{Room: wire.Room{Warehouse: "w"}, Event: name,
			Offset: wire.Offset{Epoch: "k", N: 1}, Data: json.RawMessage(data)}, 0, "")
		text := string(frame.In(plain.Encoding))
		if got := string(unframe(t, frame.In(chunked.Encoding))); got != text {
			t.Fatalf("in chunks it is %q, else %q", got, text)
		}
		body, ok := strings.CutSuffix(text, "\n\n")
		if !ok || strings.Contains(body, "\n\n") || strings.Contains(body, "\r") {
			t.Fatalf("%q is not one event", text)
		}
		var lines []string
		for line := range strings.SplitSeq(body, "\n") {
			value, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				t.Fatalf("%q has the line %q", text, line)
			}
			lines = append(lines, value)
		}
		var got, want any
		if err := json.Unmarshal([]byte(strings.Join(lines, "\n")), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		_ = json.Unmarshal(frame.JSON, &want)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s arrives as %v", frame.JSON, got)
		}
	})
}

func TestEventsOfTheServerItself(t *testing.T) {
	heartbeat := wire.AppendFrame(nil, wire.EventHeartbeat, wire.Heartbeat{Connections: 1, Time: 2})
	at := wire.Offset{Epoch: "k", N: 3}
	tests := []struct {
		give *outbox.Frame
		want string
	}{
		{outbox.NewControl(wire.EventHeartbeat, heartbeat), "event: heartbeat\ndata: " + string(heartbeat) + "\n\n"},
		{outbox.NewDrain(1840 * time.Millisecond),
			"retry: 1840\ndata: {\"event\":\"drain\",\"data\":{\"retryAfter\":1840}}\n\n"},
		{outbox.NewGap(wire.Room{Warehouse: "w"}, at, at),
			`data: {"event":"gap","data":{"room":"warehouse:w","from":"k-3","to":"k-3"}}` + "\n\n"},
		{outbox.NewControl("heartbeats", []byte(`{"event":"heartbeats"}`)), "data: {\"event\":\"heartbeats\"}\n\n"},
	}
	for _, tt := range tests {
		if got := string(tt.give.In(plain.Encoding)); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.give.JSON, got, tt.want)
		}
	}
	if got := string(plain.Closing(wire.CloseSlowConsumer, "too\nslow")); got != "event: close\ndata: {\"code\":4408,\"reason\":\"too\\nslow\"}\n\n" {
		t.Errorf("closing is %q", got)
	}
	if got := chunked.Closing(wire.CloseRestart, "x"); !bytes.HasSuffix(got, []byte("\n\n\r\n0\r\n\r\n")) {
		t.Errorf("closing is %q", got)
	}
}

// However the rooms move, the kept text is what the cursor says.
func TestTheLineIsTheCursor(t *testing.T) {
	rooms := []wire.Room{{Warehouse: "w"}, {Warehouse: "w", Zone: "a"}, {Warehouse: "x"}}
	random := rand.New(rand.NewPCG(1, 2))
	for _, framing := range []framing{chunked, plain} {
		cursor := wire.Cursor{}
		for _, r := range rooms {
			cursor = append(cursor, wire.Place{Room: r, Offset: wire.Offset{Epoch: "k3f9", N: 0}})
		}
		l := newLine(framing, cursor)
		for range 3000 {
			p := wire.Place{Room: rooms[random.IntN(len(rooms))]}
			p.Offset = wire.Offset{Epoch: "k3f9", N: l.cursor.At(p.Room).Offset.N + 1 + random.Uint64N(3)}
			switch random.IntN(200) {
			case 0:
				p.Offset = wire.Offset{Epoch: "m1x2abc", N: 0}
			case 1:
				p.Room = wire.Room{Warehouse: "elsewhere"}
			case 2:
				p.Offset.N = random.Uint64() >> 1
			}
			l.move(p)
			want := "id: " + l.cursor.String() + "\n"
			if framing.Encoding == chunked.Encoding {
				if got := string(unframe(t, l.text)); got != want {
					t.Fatalf("the line is %q, want %q", got, want)
				}
			} else if string(l.text) != want {
				t.Fatalf("the line is %q, want %q", l.text, want)
			}
		}
	}
}
