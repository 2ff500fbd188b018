package wire_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestDecodeClientTellsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, give, want string
		wantID           bool // 4
	}{
		{name: "empty", give: ``, want: "not JSON"},
		{name: "not JSON", give: `hello`, want: "not JSON: invalid character 'h'"},
		{name: "truncated", give: `{"event":"echo"`, want: "not JSON"},
		{name: "two frames", give: `{"event":"echo"}{"event":"echo"}`, want: "not JSON"},
		{name: "array", give: `["echo"]`, want: "must be a JSON object"},
		{name: "no event", give: `{"id":4}`, want: "has no event", wantID: true},
		{name: "event null", give: `{"id":4,"event":null}`, want: "has no event", wantID: true},
		{name: "event of another case", give: `{"id":4,"Event":"echo"}`, want: "has no event", wantID: true},
		{name: "event of another type", give: `{"id":4,"event":5}`, want: "event is 5: it must be a string", wantID: true},
		{name: "id as text", give: `{"event":"echo","id":"1"}`, want: `id is "1": it must be an integer`},
		{name: "id with a fraction", give: `{"event":"echo","id":1.5}`, want: "id is 1.5: it must be an integer"},
		{name: "id with an exponent", give: `{"event":"echo","id":1e2}`, want: "without fraction and exponent"},
		{name: "id beyond 64 bits", give: `{"event":"echo","id":9223372036854775808}`, want: "from -9223372036854775808 to 9223372036854775807"},
		{name: "not UTF-8", give: "{\"event\":\"echo\",\"data\":\"\xff\"}", want: "not valid UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := wire.DecodeClient([]byte(tt.give))
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != wire.CodeBadFrame || !strings.Contains(e.Message, tt.want) {
				t.Fatalf("got %v, want a bad_frame with %q", err, tt.want)
			}
			if f.HasID != tt.wantID || f.HasID != (f.ID == 4) {
				t.Errorf("ID = %d %v, want one: %v", f.ID, f.HasID, tt.wantID)
			}
		})
	}
}

// Whatever may be newer than the server is ignored in the frame itself, and the last of a name
// counts.
func TestDecodeClientIgnoresWhatItDoesNotKnow(t *testing.T) {
	for _, give := range []string{
		`{"event":"echo","data":[1],"id":4,"trace":{"event":"x","id":"y"},"ID":"no number","Data":2}`,
		` { "i\u0064" : 4 , "e\u0076ent" : "\u0065cho" , "data" : [1] } `,
		`{"event":"subscribe","id":1,"data":null,"event":"echo","id":4,"data":[1]}`,
	} {
		f, err := wire.DecodeClient([]byte(give))
		if err != nil || f.Event != "echo" || !f.HasID || f.ID != 4 || string(f.Data) != "[1]" {
			t.Errorf("%s was read as %+v %v", give, f, err)
		}
	}
}

func TestDecodeRequestTellsWhatIsWrong(t *testing.T) {
	tests := []struct {
		give, want string
		code       wire.ErrorCode
	}{
		{give: ``, want: "data is missing: send an object with warehouse, zone, offset"},
		{give: `null`, want: "data is missing"},
		{give: `"warehouse-1"`, want: "data must be a JSON object with warehouse, zone, offset"},
		{give: `{"warehouse":1}`, want: "data.warehouse is a JSON number: it must be a string"},
		{give: `{"warehouse":"w","zoen":"a"}`, want: `data has no field "zoen": write warehouse, zone, offset`},
		{give: `{"warehouse":"w","Zone":"a"}`, want: `data has no field "Zone"`},
		{give: `{"warehouse":"w","zone":""}`, want: `data.zone is "": name a zone, or leave it out`, code: wire.CodeInvalidRoom},
		{give: `{"warehouse":"w","zone":null}`, want: `data.zone is null`, code: wire.CodeInvalidRoom},
	}
	for _, tt := range tests {
		var s wire.Subscribe
		err := wire.DecodeRequest(json.RawMessage(tt.give), &s)
		if err == nil || wire.AsError(err).Code != cmp.Or(tt.code, wire.CodeInvalidData) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("DecodeRequest(%s) = %v, want %q", tt.give, err, tt.want)
		}
	}
}

// Clients are older than their server now and then.
func TestDecodeDataIgnoresWhatItDoesNotKnow(t *testing.T) {
	var p wire.Position
	if err := wire.DecodeData(json.RawMessage(`{"room":"warehouse:w","offset":"k-1","since":4}`), &p); err != nil || p.Offset != "k-1" {
		t.Errorf("%+v %v", p, err)
	}
	for _, give := range []string{``, `null`, `7`, `{"room":7}`} {
		if err := wire.DecodeData(json.RawMessage(give), &p); err == nil || wire.AsError(err).Code != wire.CodeInvalidData {
			t.Errorf("DecodeData(%s) = %v", give, err)
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

// Whatever a stranger sends is decoded or refused with a code; the rest survives the way back.
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
		// encoding/json reads the same into a map, whose keys are exact.
		var same map[string]json.RawMessage
		var event string
		if err := json.Unmarshal(p, &same); err != nil || json.Unmarshal(same["event"], &event) != nil || event != frame.Event ||
			!bytes.Equal(same["data"], frame.Data) || frame.HasID && string(same["id"]) != "-0" && string(same["id"]) != fmt.Sprint(frame.ID) {
			t.Fatalf("read as %+v, not as %s (%v)", frame, same, err)
		}
		ack := wire.AppendAck(nil, frame.ID, frame.Data)
		if !json.Valid(ack) || len(frame.Data) > 0 && !bytes.Contains(ack, frame.Data) {
			t.Fatalf("ack %s does not carry %s", ack, frame.Data)
		}
		var s wire.Subscribe
		if wire.DecodeRequest(frame.Data, &s) == nil {
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

func BenchmarkDecodeClient(b *testing.B) {
	p := []byte(`{"event":"publish","data":{"warehouse":"warehouse-1","zone":"zone-a","event":"ZONE_UPDATE","data":{"pad":"` +
		strings.Repeat("x", 100) + `"}},"id":17}`)
	b.Run("frame", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.DecodeClient(p); err != nil {
				b.Fatal(err)
			}
		}
	})
	f, err := wire.DecodeClient(p)
	must(b, err)
	b.Run("data", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var d wire.Publish
			must(b, wire.DecodeRequest(f.Data, &d))
		}
	})
}

// must ends the test with err unless it is nil. The tests of this module need nothing but it.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
