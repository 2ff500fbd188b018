package dialect

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	room = "zone:bench:zone-1"
	data = `{"pad":"0123456789"}`
)

var (
	zonecast   = Zonecast{Size: len(data)}
	centrifuge = Centrifuge{Size: len(data)}
	socketio   = SocketIO{Size: len(data)}
)

func TestNext(t *testing.T) {
	push := `{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}`
	delivery := Event{Kind: Delivery, Data: []byte(data)}
	ready := Event{Kind: Ready}
	for _, tt := range []struct {
		name    string
		dialect Dialect
		room    string
		give    string
		want    []Event
	}{
		{"zonecast: connected, a publisher", zonecast, "", `{"event":"connected","data":{"rooms":[]}}`, []Event{ready}},
		{"zonecast: connected, a member", zonecast, room, `{"event":"connected","data":{"rooms":[]}}`, []Event{{}}},
		{"zonecast: subscribed", zonecast, room, `{"event":"ack","id":2,"data":{"room":"` + room + `"}}`, []Event{ready}},
		{"zonecast: not subscribed", zonecast, room, `{"event":"error","id":2,"data":{"code":"forbidden","message":"no"}}`,
			[]Event{{Kind: Complaint, Reason: "error forbidden: no"}}},
		{"zonecast: published", zonecast, "", `{"event":"ack","id":17,"data":{}}`, []Event{{Kind: Ack, ID: 17}}},
		{"zonecast: overloaded", zonecast, "",
			`{"event":"error","id":17,"data":{"code":"rate_limited","message":"wait","retryAfter":250}}`,
			[]Event{{Kind: Refused, ID: 17, Reason: "rate_limited", Wait: 250 * time.Millisecond}}},
		{"zonecast: a message", zonecast, room,
			`{"event":"BENCH","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`, []Event{delivery}},
		{"zonecast: a message of another form", zonecast, room, `{"data":` + data + `,"room":"` + room + `","event":"BENCH"}`,
			[]Event{delivery}},
		{"zonecast: a heartbeat", zonecast, room, `{"event":"heartbeat","data":{}}`, []Event{{}}},
		{"zonecast: a gap", zonecast, room, `{"event":"gap","data":{}}`, []Event{{Kind: Complaint, Reason: "gap"}}},

		{"centrifuge: connected, a publisher", centrifuge, "", `{"id":1,"connect":{"client":"c"}}`, []Event{ready}},
		{"centrifuge: connected and subscribed", centrifuge, room, `{"id":1,"connect":{"client":"c"}}` + "\n" + `{"id":2,"subscribe":{}}`,
			[]Event{{}, ready}},
		{"centrifuge: not subscribed", centrifuge, room, `{"id":2,"error":{"code":103,"message":"permission denied"}}`,
			[]Event{{Kind: Complaint, Reason: "error 103 permission denied"}}},
		{"centrifuge: a ping", centrifuge, room, `{}`, []Event{{Reply: []byte(`{}`)}}},
		{"centrifuge: a batch", centrifuge, room, push + "\n{}\n" + push + "\n",
			[]Event{delivery, {Reply: []byte(`{}`)}, delivery}},
		{"centrifuge: a message of another form", centrifuge, room, `{"push":{"pub":{"data":` + data + `,"offset":1},"channel":"c"}}`,
			[]Event{delivery}},
		{"centrifuge: published", centrifuge, "", `{"id":17,"publish":{}}`, []Event{{Kind: Ack, ID: 17}}},
		{"centrifuge: refused", centrifuge, "", `{"id":17,"error":{"code":111,"message":"too many requests"}}`,
			[]Event{{Kind: Refused, ID: 17, Reason: "too many requests"}}},
		{"centrifuge: disconnected", centrifuge, room, `{"push":{"disconnect":{"code":3008,"reason":"slow"}}}`,
			[]Event{{Kind: Complaint, Reason: "disconnect 3008 slow"}}},

		{"socketio: open", socketio, room, `0{"sid":"s","pingInterval":25000}`, []Event{{Reply: []byte(`40`)}}},
		{"socketio: connected, a publisher", socketio, "", `40{"sid":"s"}`, []Event{ready}},
		{"socketio: connected, a member", socketio, room, `40{"sid":"s"}`, []Event{{Reply: []byte(`422["join","` + room + `"]`)}}},
		{"socketio: joined", socketio, room, `432["ok"]`, []Event{ready}},
		{"socketio: a ping", socketio, room, `2`, []Event{{Reply: []byte(`3`)}}},
		{"socketio: a message", socketio, room, `42["BENCH",` + data + `]`, []Event{delivery}},
		{"socketio: a message of another form", socketio, room, `42["BENCH", ` + data + ` ]`, []Event{delivery}},
		{"socketio: published", socketio, "", `4317["ok"]`, []Event{{Kind: Ack, ID: 17}}},
		{"socketio: disconnected", socketio, room, `41`, []Event{{Kind: Complaint, Reason: "41"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Event
			for rest := []byte(tt.give); rest != nil; {
				var e Event
				e, rest = tt.dialect.Next(rest, tt.room)
				got = append(got, e)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%d events %+v, want %d", len(got), got, len(tt.want))
			}
			for i, want := range tt.want {
				if g := got[i]; g.Kind != want.Kind || g.ID != want.ID || g.Reason != want.Reason || g.Wait != want.Wait ||
					!bytes.Equal(g.Data, want.Data) || !bytes.Equal(g.Reply, want.Reply) {
					t.Errorf("event %d\n got %+v\nwant %+v", i, g, want)
				}
			}
		})
	}
}

func TestWhatCannotBeUnderstoodIsAComplaint(t *testing.T) {
	for _, d := range []Dialect{zonecast, centrifuge, socketio} {
		for _, give := range []string{"", "x", `[`, `42[`, `43x[]`, `42["other",1]`} {
			if e, _ := d.Next([]byte(give), room); e.Kind != Complaint || e.Reason == "" {
				t.Errorf("%T of %q: %+v", d, give, e)
			}
		}
	}
}

// The servers' side of Zonecast is wire's own.
func TestZonecastIsWire(t *testing.T) {
	f, err := wire.DecodeClient(zonecast.Greet(room))
	if err != nil || f.Event != wire.EventSubscribe || f.ID != joinID {
		t.Fatalf("greeting %+v, %v", f, err)
	}
	f, err = wire.DecodeClient(zonecast.AppendPublish(nil, 99, room, []byte(data)))
	if err != nil || f.Event != wire.EventPublish || f.ID != 99 {
		t.Fatalf("publish %+v, %v", f, err)
	}
	var p wire.Publish
	if err := wire.DecodeData(f.Data, &p); err != nil || p.Event != BenchEvent || string(p.Data) != data {
		t.Fatalf("publish %+v, %v", p, err)
	}
	if r, err := p.Room(); err != nil || r.String() != room {
		t.Errorf("published into %v, %v", r, err)
	}
	if wire.CheckEvent(BenchEvent) != nil {
		t.Errorf("%s can't be published", BenchEvent)
	}
}

func TestOthersSendJSON(t *testing.T) {
	for line := range strings.Lines(string(centrifuge.Greet(room))) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if p := centrifuge.AppendPublish(nil, 99, room, []byte(data)); !json.Valid(p) {
		t.Errorf("not JSON: %s", p)
	}
	p, ok := bytes.CutPrefix(socketio.AppendPublish(nil, 99, room, []byte(data)), []byte("4299"))
	if !ok || !json.Valid(p) {
		t.Errorf("not JSON: %s", p)
	}
}

// No message makes a dialect run past its end or in circles, and data is always a part of the message.
func FuzzNext(f *testing.F) {
	f.Add([]byte(`{"event":"BENCH","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`))
	f.Add([]byte(`{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}` + "\n{}"))
	f.Add([]byte(`42["BENCH",` + data + `]`))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, short := range []Dialect{zonecast, centrifuge, socketio} {
			for rest := p; rest != nil; {
				before := len(rest)
				e, next := short.Next(rest, room)
				if next != nil && len(next) >= before {
					t.Fatalf("%T: %d bytes left of %d", short, len(next), before)
				}
				if e.Kind == Delivery && !bytes.Contains(rest, e.Data) {
					t.Fatalf("%T: data %q is no part of the message", short, e.Data)
				}
				rest = next
			}
		}
	})
}

func TestDeliveryDoesNotAllocate(t *testing.T) {
	for give, d := range map[string]Dialect{
		`{"event":"BENCH","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`: zonecast,
		`{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}`:                     centrifuge,
		`42["BENCH",` + data + `]`: socketio,
	} {
		p := []byte(give)
		if n := testing.AllocsPerRun(100, func() { d.Next(p, room) }); n != 0 {
			t.Errorf("%T: %v allocations", d, n)
		}
	}
}
