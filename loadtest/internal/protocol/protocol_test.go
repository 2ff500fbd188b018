package protocol

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

const (
	room = "zone:bench:zone-1"
	data = `{"pad":"0123456789"}`
)

var (
	zonecast   = Zonecast{}
	centrifuge = Centrifuge{Size: len(data)}
	socketio   = SocketIO{Size: len(data)}
)

func TestNext(t *testing.T) {
	push := `{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}`
	delivery := Event{Kind: Delivery, Data: []byte(data)}
	numbered := Event{Kind: Delivery, Epoch: []byte("e"), N: 1, Data: []byte(data)}
	ready := Event{Kind: Ready}
	for _, tt := range []struct {
		name    string
		dialect Codec
		room    string
		give    string
		want    []Event
	}{
		{"zonecast: connected, a publisher", zonecast, "", `{"event":"connected","data":{"rooms":[]}}`, []Event{ready}},
		{"zonecast: connected, a member", zonecast, room, `{"event":"connected","data":{"rooms":[{"room":"` + room + `","offset":"e-7"}]}}`,
			[]Event{{Kind: Ready, Epoch: []byte("e"), N: 7}}},
		{"zonecast: connected, in another room", zonecast, room, `{"event":"connected","data":{"rooms":[{"room":"x","offset":"e-7"}]}}`,
			[]Event{{Kind: NotInRoom, Reason: "x"}}},
		{"zonecast: subscribed", zonecast, room, `{"event":"ack","id":2,"data":{"room":"` + room + `"}}`, []Event{ready}},
		{"zonecast: not subscribed", zonecast, room, `{"event":"error","id":2,"data":{"code":"forbidden","message":"no"}}`,
			[]Event{{Kind: JoinRefused, Reason: "forbidden", Data: []byte(`{"code":"forbidden","message":"no"}`)}}},
		{"zonecast: published", zonecast, "", `{"event":"ack","id":17,"data":{}}`, []Event{{Kind: Ack, ID: 17, Data: []byte(`{}`)}}},
		{"zonecast: an echo", zonecast, room, `{"event":"ack","id":17,"data":` + data + `}`, []Event{{Kind: Ack, ID: 17, Data: []byte(data)}}},
		{"zonecast: a retained message", zonecast, room,
			`{"event":"LOADTEST","room":"` + room + `","offset":"e-1","time":1,"retained":true,"data":` + data + `}`,
			[]Event{{Kind: Retained, Epoch: []byte("e"), N: 1, Data: []byte(data)}}},
		{"zonecast: a message elsewhere", zonecast, room, `{"event":"LOADTEST","room":"warehouse:w","offset":"e-1","time":1,"data":` + data + `}`,
			[]Event{{Kind: OtherRoom, Epoch: []byte("e"), N: 1, Data: []byte(data)}}},
		{"zonecast: conflated", zonecast, room, `{"event":"conflated","data":{"room":"` + room + `","from":"e-1","to":"e-5"}}`,
			[]Event{{Kind: Conflated, Epoch: []byte("e"), N: 5, Data: []byte(`{"room":"` + room + `","from":"e-1","to":"e-5"}`)}}},
		{"zonecast: a gap elsewhere", zonecast, room, `{"event":"gap","data":{"room":"warehouse:w","from":"e-1","to":"e-5"}}`, []Event{{}}},
		{"zonecast: leaving", zonecast, room, `{"event":"drain","data":{"retryAfter":1500}}`, []Event{{Kind: Drain, RetryAfter: 1500 * time.Millisecond}}},
		{"zonecast: overloaded", zonecast, "",
			`{"event":"error","id":17,"data":{"code":"rate_limited","message":"wait","retryAfter":250}}`,
			[]Event{{Kind: Refused, ID: 17, Reason: "rate_limited", RetryAfter: 250 * time.Millisecond,
				Data: []byte(`{"code":"rate_limited","message":"wait","retryAfter":250}`)}}},
		{"zonecast: a message", zonecast, room,
			`{"event":"LOADTEST","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`, []Event{numbered}},
		{"zonecast: a message of another form", zonecast, room,
			`{"data":` + data + `,"offset":"e-1","room":"` + room + `","event":"LOADTEST"}`, []Event{numbered}},
		{"zonecast: a heartbeat", zonecast, room, `{"event":"heartbeat","data":{}}`, []Event{{}}},
		{"zonecast: a gap", zonecast, room, `{"event":"gap","data":{"room":"` + room + `","from":"e-1","to":"e-5"}}`,
			[]Event{{Kind: Gap, Epoch: []byte("e"), N: 5, Data: []byte(`{"room":"` + room + `","from":"e-1","to":"e-5"}`)}}},

		{"centrifuge: connected, a publisher", centrifuge, "", `{"id":1,"connect":{"client":"c"}}`, []Event{ready}},
		{"centrifuge: connected and subscribed", centrifuge, room, `{"id":1,"connect":{"client":"c"}}` + "\n" + `{"id":2,"subscribe":{}}`,
			[]Event{{}, ready}},
		{"centrifuge: not subscribed", centrifuge, room, `{"id":2,"error":{"code":103,"message":"permission denied"}}`,
			[]Event{{Kind: JoinRefused, Reason: "103 permission denied"}}},
		{"centrifuge: a ping", centrifuge, room, `{}`, []Event{{Reply: []byte(`{}`)}}},
		{"centrifuge: a batch", centrifuge, room, push + "\n{}\n" + push + "\n",
			[]Event{delivery, {Reply: []byte(`{}`)}, delivery}},
		{"centrifuge: a message of another form", centrifuge, room, `{"push":{"pub":{"data":` + data + `,"offset":1},"channel":"c"}}`,
			[]Event{delivery}},
		{"centrifuge: published", centrifuge, "", `{"id":17,"publish":{}}`, []Event{{Kind: Ack, ID: 17}}},
		{"centrifuge: refused", centrifuge, "", `{"id":17,"error":{"code":111,"message":"too many requests"}}`,
			[]Event{{Kind: Refused, ID: 17, Reason: "too many requests"}}},
		{"centrifuge: disconnected", centrifuge, room, `{"push":{"disconnect":{"code":3008,"reason":"slow"}}}`,
			[]Event{{Kind: ServerError, Reason: "disconnect 3008 slow", Data: []byte(`{"push":{"disconnect":{"code":3008,"reason":"slow"}}}`)}}},

		{"socketio: open", socketio, room, `0{"sid":"s","pingInterval":25000}`, []Event{{Reply: []byte(`40`)}}},
		{"socketio: open, with a token", SocketIO{Token: "t\""}, room, `0{"sid":"s"}`, []Event{{Reply: []byte(`40{"token":"t\""}`)}}},
		{"socketio: connected, a publisher", socketio, "", `40{"sid":"s"}`, []Event{ready}},
		{"socketio: connected, a member", socketio, room, `40{"sid":"s"}`, []Event{{Reply: []byte(`422["join","` + room + `"]`)}}},
		{"socketio: joined", socketio, room, `432["ok"]`, []Event{ready}},
		{"socketio: a ping", socketio, room, `2`, []Event{{Reply: []byte(`3`)}}},
		{"socketio: a message", socketio, room, `42["LOADTEST",` + data + `]`, []Event{delivery}},
		{"socketio: a message of another form", socketio, room, `42["LOADTEST", ` + data + ` ]`, []Event{delivery}},
		{"socketio: published", socketio, "", `4317["ok"]`, []Event{{Kind: Ack, ID: 17}}},
		{"socketio: disconnected", socketio, room, `41`, []Event{{Kind: ServerError, Reason: "disconnect", Data: []byte(`41`)}}},
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
				if g := got[i]; g.Kind != want.Kind || g.ID != want.ID || g.Reason != want.Reason || g.RetryAfter != want.RetryAfter ||
					g.N != want.N || !bytes.Equal(g.Epoch, want.Epoch) || !bytes.Equal(g.Data, want.Data) || !bytes.Equal(g.Reply, want.Reply) {
					t.Errorf("event %d\n got %+v\nwant %+v", i, g, want)
				}
			}
		})
	}
}

func TestWhatCannotBeUnderstoodIsUnreadable(t *testing.T) {
	for _, d := range []Codec{zonecast, centrifuge, socketio} {
		for _, give := range []string{"", "x", `[`, `42[`, `43x[]`, `42["other",1]`} {
			if e, _ := d.Next([]byte(give), room); e.Kind != Malformed || e.Reason == "" {
				t.Errorf("%T of %q: %+v", d, give, e)
			}
		}
	}
}

// The servers' side of Zonecast is wire's own.
func TestZonecastIsWire(t *testing.T) {
	after := wire.Offset{Epoch: "e1", N: 7}
	for want, give := range map[string][]byte{
		"":     Zonecast{ByFrame: true}.Hello(Subscription{Room: room}),
		"e1-7": Zonecast{ByFrame: true}.Hello(Subscription{Room: room, After: after}),
	} {
		f, err := wire.DecodeClient(give)
		if err != nil || f.Event != wire.EventSubscribe || f.ID != joinID {
			t.Fatalf("greeting %+v, %v", f, err)
		}
		var s wire.Subscribe
		if err := wire.DecodeData(f.Data, &s); err != nil || s.Offset != want {
			t.Errorf("%s: %+v, %v", give, s, err)
		}
	}
	f, err := wire.DecodeClient(zonecast.AppendEcho(nil, 99, []byte(data)))
	if err != nil || f.Event != wire.EventEcho || f.ID != 99 || string(f.Data) != data {
		t.Fatalf("echo %+v, %v", f, err)
	}
	f, err = wire.DecodeClient(zonecast.AppendPublish(nil, 99, room, []byte(data)))
	if err != nil || f.Event != wire.EventPublish || f.ID != 99 {
		t.Fatalf("publish %+v, %v", f, err)
	}
	var p wire.Publish
	if err := wire.DecodeData(f.Data, &p); err != nil || p.Event != stamp.Event || string(p.Data) != data {
		t.Fatalf("publish %+v, %v", p, err)
	}
	if r, err := p.Room(); err != nil || r.String() != room {
		t.Errorf("published into %v, %v", r, err)
	}
	if wire.CheckEvent(stamp.Event) != nil {
		t.Errorf("%s can't be published", stamp.Event)
	}
}

func TestTargets(t *testing.T) {
	after := wire.Offset{Epoch: "e1", N: 7}
	for _, tt := range []struct {
		give Codec
		seat Subscription
		want string
	}{
		{zonecast, Subscription{}, "/p?q=1"},
		{zonecast, Subscription{Room: room}, "/p?q=1&warehouse=bench&zone=zone-1"},
		{zonecast, Subscription{Room: "warehouse:bench"}, "/p?q=1&warehouse=bench"},
		{Zonecast{ByFrame: true}, Subscription{Room: room, After: after}, "/p?q=1"},
		{zonecast, Subscription{Room: room, After: after}, "/p?q=1&cursor=" + room + "@e1-7"},
		{centrifuge, Subscription{Room: room}, "/p?q=1"},
		{socketio, Subscription{Room: room}, "/p?EIO=4&transport=websocket&q=1"},
	} {
		if got := tt.give.Target("/p", "q=1", tt.seat); got != tt.want {
			t.Errorf("%T %+v: %s, want %s", tt.give, tt.seat, got, tt.want)
		}
	}
}

func TestReadPoll(t *testing.T) {
	p, err := ReadPoll([]byte(`{"cursor":"warehouse:bench@e-3,` + room + `@e1-7","messages":[{"event":"x"}],"node":"n"}`))
	if err != nil || len(p.Messages) != 1 || Position(p.Cursor, room) != (wire.Offset{Epoch: "e1", N: 7}) || !Position(p.Cursor, "other").IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "[]", `{"messages":[]}`} {
		if _, err := ReadPoll([]byte(bad)); err == nil {
			t.Errorf("%q is an answer", bad)
		}
	}
}

func TestOthersSendJSON(t *testing.T) {
	for line := range strings.Lines(string(Centrifuge{Token: "a\"b"}.Hello(Subscription{Room: room}))) {
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

// No message makes a codec overrun or go in circles, and data is always a part of the message.
func FuzzNext(f *testing.F) {
	f.Add([]byte(`{"event":"LOADTEST","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`))
	f.Add([]byte(`{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}` + "\n{}"))
	f.Add([]byte(`42["LOADTEST",` + data + `]`))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, short := range []Codec{zonecast, centrifuge, socketio} {
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
	for give, d := range map[string]Codec{
		`{"event":"LOADTEST","room":"` + room + `","offset":"e-1","time":1,"data":` + data + `}`: zonecast,
		`{"push":{"channel":"` + room + `","pub":{"data":` + data + `}}}`:                        centrifuge,
		`42["LOADTEST",` + data + `]`: socketio,
	} {
		p := []byte(give)
		if n := testing.AllocsPerRun(100, func() { d.Next(p, room) }); n != 0 {
			t.Errorf("%T: %v allocations", d, n)
		}
	}
}
