package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestDecodeClientTellsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, give, want string
		wantID           int64
	}{
		{name: "empty", give: ``, want: "not JSON"},
		{name: "not JSON", give: `hello`, want: "not JSON: invalid character 'h'"},
		{name: "truncated", give: `{"event":"echo"`, want: "not JSON"},
		{name: "two frames", give: `{"event":"echo"}{"event":"echo"}`, want: "not JSON"},
		{name: "array", give: `["echo"]`, want: "must be a JSON object"},
		{name: "no event", give: `{"id":4}`, want: "has no event", wantID: 4},
		{name: "event of another type", give: `{"id":4,"event":5}`, want: "event is a JSON number: it must be a string", wantID: 4},
		{name: "id as text", give: `{"event":"echo","id":"1"}`, want: "id is a JSON string: it must be an integer"},
		{name: "id with a fraction", give: `{"event":"echo","id":1.5}`, want: "must be an integer"},
		{name: "not UTF-8", give: "{\"event\":\"echo\",\"data\":\"\xff\"}", want: "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := wire.DecodeClient([]byte(tt.give))
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != wire.CodeBadFrame || !strings.Contains(e.Message, tt.want) {
				t.Fatalf("got %v, want a bad_frame with %q", err, tt.want)
			}
			if f.ID != tt.wantID {
				t.Errorf("ID = %d, want %d", f.ID, tt.wantID)
			}
		})
	}
}

func TestDecodeDataTellsWhatIsWrong(t *testing.T) {
	tests := []struct{ give, want string }{
		{give: ``, want: "data is missing"},
		{give: `null`, want: "data is missing"},
		{give: `"warehouse-1"`, want: "data must be a JSON object"},
		{give: `{"warehouse":1}`, want: "data.warehouse is a JSON number: it must be a string"},
	}
	for _, tt := range tests {
		var s wire.Subscribe
		err := wire.DecodeData(json.RawMessage(tt.give), &s)
		if err == nil || wire.AsError(err).Code != wire.CodeInvalidData || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("DecodeData(%s) = %v, want %q", tt.give, err, tt.want)
		}
	}
}

func TestCheckEventAndPayload(t *testing.T) {
	for _, give := range []string{"ZONE_UPDATE", "a", "order.picked", "stock:low", strings.Repeat("x", wire.MaxEventLen)} {
		if err := wire.CheckEvent(give); err != nil {
			t.Errorf("CheckEvent(%q): %v", give, err)
		}
	}
	for _, give := range []string{"", "a b", `a"b`, "é", "message", "connect", strings.Repeat("x", wire.MaxEventLen+1)} {
		if err := wire.CheckEvent(give); err == nil {
			t.Errorf("CheckEvent(%q) accepted it", give)
		}
	}
	payloads := []struct {
		give string
		want wire.ErrorCode
	}{
		{give: `{"a":1}`}, {give: ``}, {give: `null`}, {give: ` 1 `},
		{give: `{"a":1}}`, want: wire.CodeInvalidData},
		{give: `{`, want: wire.CodeInvalidData},
		{give: "\"\xff\"", want: wire.CodeInvalidData},
		{give: `"0123456789012345"`, want: wire.CodeTooLarge},
	}
	for _, tt := range payloads {
		err := wire.CheckPayload(json.RawMessage(tt.give), 16)
		if (err == nil) != (tt.want == "") || err != nil && wire.AsError(err).Code != tt.want {
			t.Errorf("CheckPayload(%s) = %v, want %q", tt.give, err, tt.want)
		}
	}
}

func TestAnInternalErrorKeepsItsTextToItself(t *testing.T) {
	got := string(wire.AppendError(nil, 1, true, errors.New("dial redis 10.0.0.7: secret")))
	want := `{"event":"error","id":1,"data":{"code":"internal","message":"internal error"}}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Whatever a stranger sends is decoded or refused with a code; what is decoded survives the way back.
func FuzzDecodeClient(f *testing.F) {
	for _, c := range readGolden(f).Client {
		f.Add([]byte(c.Text))
	}
	f.Add([]byte(`{"event":"subscribe","data":{"warehouse":"w","zone":"z","offset":"k3f9-17"},"id":-9}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, p []byte) {
		frame, err := wire.DecodeClient(p)
		if err != nil {
			if wire.AsError(err).Code != wire.CodeBadFrame || !json.Valid(wire.AppendError(nil, 0, false, err)) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if frame.Event == "" {
			t.Fatal("decoded a frame without event")
		}
		ack := wire.AppendAck(nil, frame.ID, frame.Data)
		if !json.Valid(ack) || len(frame.Data) > 0 && !bytes.Contains(ack, frame.Data) {
			t.Fatalf("ack %s does not carry %s", ack, frame.Data)
		}
		var s wire.Subscribe
		if wire.DecodeData(frame.Data, &s) == nil {
			if room, err := s.Room(); err == nil {
				if again, err := wire.ParseRoom(room.String()); err != nil || again != room {
					t.Fatalf("room %v does not survive its text form: %v %v", room, again, err)
				}
			}
			if o, err := wire.ParseOffset(s.Offset); err == nil && o.String() != s.Offset {
				t.Fatalf("offset %q comes back as %q", s.Offset, o)
			}
		}
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	room, _ := wire.NewRoom("warehouse-1", "zone-a")
	m := &wire.Message{Room: room, Event: wire.EventZoneUpdate, Offset: wire.Offset{Epoch: "k3f9", N: 18},
		Time: 1767225600123, Data: json.RawMessage(`"` + strings.Repeat("x", 126) + `"`)}
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendMessage(buf[:0], m)
	}
}
