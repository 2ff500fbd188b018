package stamp

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
)

const run = "k3f9x2ab"

var (
	room  = wire.Room{Warehouse: "w1", Zone: "a"}
	other = wire.Room{Warehouse: "w1"}
)

func TestStampHasItsSizeAndComesBack(t *testing.T) {
	for _, size := range []int{MinBytes, MinBytes + 1, 128, 4096, MaxBytes} {
		s := New(run, size)
		for _, seq := range []uint32{0, 7, 10, 99, 12345, math.MaxUint32} {
			data := s.Append(nil, seq)
			if len(data) != size || !json.Valid(data) {
				t.Fatalf("message %d of %d bytes has %d: %.80s", seq, size, len(data), data)
			}
			if got, ok := s.Seq(data); !ok || got != seq {
				t.Errorf("Seq(%.80s) = %d, %v; want %d", data, got, ok, seq)
			}
		}
	}
}

func TestStampRefusesWhatDiffers(t *testing.T) {
	s := New(run, 64)
	good := string(s.Append(nil, 17))
	for _, tt := range []struct{ name, give string }{
		{"nothing", ""},
		{"another run", string(New("otherrun", 64).Append(nil, 17))},
		{"cut off", good[:len(good)-1]},
		{"more behind it", good + " "},
		{"a letter of the padding changed", good[:len(good)-3] + "!" + good[len(good)-2:]},
		{"another size", string(New(run, 65).Append(nil, 17))},
		{"a number with a leading zero", `{"run":"k3f9x2ab","seq":017,"pad":"` + good[len(good)-28:]},
		{"a number past 32 bits", `{"run":"k3f9x2ab","seq":4294967296,"pad":""}`},
		{"no number", `{"run":"k3f9x2ab","seq":,"pad":""}`},
	} {
		if seq, ok := s.Seq([]byte(tt.give)); ok {
			t.Errorf("%s: taken as message %d", tt.name, seq)
		}
	}
}

func TestReaderKinds(t *testing.T) {
	s := New(run, 64)
	r := NewReader(s, room)
	data := func(seq uint32) json.RawMessage { return s.Append(nil, seq) }
	message := func(room wire.Room, event string, data json.RawMessage) []byte {
		return wire.AppendMessage(nil, &wire.Message{
			Room: room, Event: event, Offset: wire.Offset{Epoch: "e1", N: 42}, Time: 1767225600000, Data: data,
		})
	}
	at := func(seq uint32, ours bool) account.Message {
		return account.Message{Seq: seq, Ours: ours, Epoch: []byte("e1"), N: 42}
	}
	spaced := json.RawMessage(`{"run": "k3f9x2ab", "seq": 17, "pad": ""}`)

	for _, tt := range []struct {
		name string
		give string
		want Frame
	}{
		{"ours", string(message(room, Event, data(17))), Frame{Kind: Published, Message: at(17, true)}},
		{"ours, its keys in another order",
			`{"data":` + string(data(17)) + `,"offset":"e1-42","room":"zone:w1:a","event":"LOADTEST"}`,
			Frame{Kind: Published, Message: at(17, true)}},
		{"ours, encoded again", string(message(room, Event, spaced)), Frame{Kind: Damaged, Message: at(0, false)}},
		{"ours in another room", string(message(other, Event, data(17))), Frame{Kind: Elsewhere, Message: at(17, true)}},
		{"another run's", string(message(room, Event, New("otherrun", 64).Append(nil, 17))),
			Frame{Kind: Published, Message: at(0, false)}},
		{"another service's", string(message(room, wire.EventAlert, json.RawMessage(`{"id":"a-1"}`))),
			Frame{Kind: Published, Message: at(0, false)}},
		{"another service's in another room", string(message(other, wire.EventAlert, nil)),
			Frame{Kind: Elsewhere, Message: at(0, false)}},
		{"a retained event", string(wire.AppendMessage(nil, &wire.Message{Retained: true, Room: room, Event: wire.EventShiftSnapshot,
			Offset: wire.Offset{Epoch: "e1", N: 42}, Data: json.RawMessage(`{}`)})), Frame{Kind: Retained, Message: at(0, false)}},
		{"the ack of an echo", string(wire.AppendAck(nil, 18, data(17))),
			Frame{Kind: Answer, ID: 18, Message: account.Message{Seq: 17, Ours: true}}},
		{"the ack of something else", string(wire.AppendAck(nil, 18, nil)), Frame{Kind: Answer, ID: 18}},
		{"a heartbeat", string(wire.AppendFrame(nil, wire.EventHeartbeat, wire.Heartbeat{Connections: 3})),
			Frame{Kind: Control, Event: wire.EventHeartbeat}},
		{"an error with an id", string(wire.AppendError(nil, 4, true, wire.Errorf(wire.CodeRateLimited, "wait"))),
			Frame{Kind: Control, Event: wire.EventError, ID: 4}},
		{"not JSON", `hello`, Frame{Kind: Unreadable}},
		{"no event", `{"room":"zone:w1:a"}`, Frame{Kind: Unreadable}},
		{"an event without an offset", `{"event":"ALERT","room":"zone:w1:a"}`, Frame{Kind: Unreadable}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.Read([]byte(tt.give))
			if got.Kind != tt.want.Kind || got.Seq != tt.want.Seq || got.Ours != tt.want.Ours || got.N != tt.want.N ||
				string(got.Epoch) != string(tt.want.Epoch) || got.ID != tt.want.ID {
				t.Errorf("Read(%s)\n got %+v\nwant %+v", tt.give, got, tt.want)
			}
			if tt.want.Event != "" && got.Event != tt.want.Event {
				t.Errorf("event %q, want %q", got.Event, tt.want.Event)
			}
		})
	}
}

// The fast path may give up, but where it answers it must answer as the full decoder does.
func FuzzReader(f *testing.F) {
	s := New(run, 64)
	r := NewReader(s, room)
	f.Add(wire.AppendMessage(nil, &wire.Message{
		Room: room, Event: Event, Offset: wire.Offset{Epoch: "e1", N: 42}, Time: 1, Data: s.Append(nil, 17),
	}))
	f.Add(wire.AppendAck(nil, 18, json.RawMessage(s.Append(nil, 17))))
	f.Add([]byte(`{"event":"LOADTEST","room":"zone:w1:a","offset":"-1","time":0,"data":null}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		got, ok := r.message(p)
		if !ok {
			got, ok = r.ack(p)
		}
		if !ok {
			return
		}
		want := r.decode(p)
		if got.Kind != want.Kind || got.Seq != want.Seq || got.ID != want.ID || got.N != want.N ||
			string(got.Epoch) != string(want.Epoch) || !want.Ours {
			t.Errorf("%s\nfast %+v\nfull %+v", p, got, want)
		}
	})
}

func TestReadDoesNotAllocate(t *testing.T) {
	s := New(run, 128)
	r := NewReader(s, room)
	p := wire.AppendMessage(nil, &wire.Message{
		Room: room, Event: Event, Offset: wire.Offset{Epoch: "e1", N: 42}, Time: 1, Data: s.Append(nil, 17),
	})
	if allocs := testing.AllocsPerRun(1000, func() { r.Read(p) }); allocs != 0 {
		t.Errorf("%v allocations per frame", allocs)
	}
}

func BenchmarkRead(b *testing.B) {
	s := New(run, 128)
	r := NewReader(s, room)
	p := wire.AppendMessage(nil, &wire.Message{
		Room: room, Event: Event, Offset: wire.Offset{Epoch: "e1", N: 123456}, Time: 1767225600000, Data: s.Append(nil, 123456),
	})
	for b.Loop() {
		r.Read(p)
	}
}
