package ws_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestSubscribeAndUnsubscribe(t *testing.T) {
	s := start(t, options{})
	last := s.Publish(zone, "ALERT", `1`)
	c := s.dial("")
	if got, want := acked[wire.Position](c, wire.EventSubscribe, 1, `{"warehouse":"w1","zone":"a"}`), wire.PositionOf(zone, last); got != want {
		t.Errorf("subscribe: %+v, want %+v", got, want)
	}
	o := s.Publish(zone, "ALERT", "{ \"x\" :\t[1, 2],\"ä\":\"<&>\" }")
	text, f := c.find("the message", func(f wire.ServerFrame) bool { return f.Event == "ALERT" })
	if want := fmt.Sprintf(`{"event":"ALERT","room":"zone:w1:a","offset":%q,"time":%d,"data":{ "x" :`+"\t"+`[1, 2],"ä":"<&>" }}`, o, f.Time); text != want {
		t.Errorf("the message came as\n%s, want\n%s", text, want)
	}
	s.Publish(wire.Room{Warehouse: "w1"}, "OTHER", `1`) // a zone's room is not the warehouse's
	if got := acked[wire.Position](c, wire.EventUnsubscribe, 2, `{"warehouse":"w1","zone":"a"}`); got != (wire.Position{Room: zone.String()}) {
		t.Errorf("unsubscribe: %+v", got)
	}
	s.Publish(zone, "ALERT", `2`)
	c.wantAlive()
	if n, others := len(c.of("ALERT")), len(c.of("OTHER")); n != 1 || others != 0 {
		t.Errorf("%d messages of the zone and %d of another room, want 1 and 0", n, others)
	}
	for event, n := range map[string]float64{"subscribe": 1, "unsubscribe": 1, "echo": 1} {
		s.WantCount(n, "zonecast_messages_received_total", "event="+event)
	}
}

func TestSubscribeWithAnOffsetResumes(t *testing.T) {
	s := start(t, options{})
	first := s.Publish(zone, "E", `1`)
	for i := 2; i <= 5; i++ {
		s.Publish(zone, "E", fmt.Sprint(i))
	}
	c := s.dial("")
	at := acked[wire.Position](c, wire.EventSubscribe, 1, fmt.Sprintf(`{"warehouse":"w1","zone":"a","offset":%q}`, first))
	s.Publish(zone, "E", `6`)
	c.wait("the last message", func(f wire.ServerFrame) bool { return string(f.Data) == "6" })
	var got []string
	for _, f := range c.seen()[1:] {
		got = append(got, f.Event+" "+string(f.Data))
	}
	want := []string{`ack {"room":"zone:w1:a","offset":"` + at.Offset + `"}`, "E 2", "E 3", "E 4", "E 5", "E 6"}
	if fmt.Sprint(got) != fmt.Sprint(want) || !strings.HasSuffix(at.Offset, "-5") {
		t.Errorf("got %q\nwant %q", got, want)
	}
	acked[wire.Position](c, wire.EventSubscribe, 2, `{"warehouse":"w1","zone":"a","offset":"other-3"}`)
	c.wantAlive()
	gaps := c.of(wire.EventGap)
	if len(gaps) != 1 || !strings.HasPrefix(string(gaps[0].Data), `{"room":"zone:w1:a","from":"other-3","to":"`) {
		t.Errorf("resuming from another epoch brought the gaps %+v, want one", gaps)
	}
}

// Whoever comes back with the offset of connected, or of an ack, gets the retained events again,
// beside what was missed, if it says that it has not got them.
func TestRetainedEventsThatAConnectionStillOwedComeOnTheNext(t *testing.T) {
	s := start(t, options{})
	first := s.Send(broker.Publication{Room: zone, Event: "A", Data: []byte(`1`), Retain: true})
	s.Publish(zone, "E", `2`)
	last := s.Send(broker.Publication{Room: zone, Event: "B", Data: []byte(`3`), Retain: true})
	for name, tt := range map[string]struct {
		query     string
		subscribe string
		want      []string
	}{
		"by the query":  {query: fmt.Sprintf("cursor=zone:w1:a@%s.retained", first), want: []string{"A 1 true", "E 2 false", "B 3 false"}},
		"by a frame":    {subscribe: fmt.Sprintf(`,"offset":"%s.retained"`, last), want: []string{"A 1 true", "B 3 true"}},
		"without owing": {subscribe: fmt.Sprintf(`,"offset":%q`, first), want: []string{"E 2 false", "B 3 false"}},
		"as a newcomer": {query: "room=zone:w1:a", want: []string{"A 1 true", "B 3 true"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.in(t).dial(tt.query)
			var at wire.Position
			if tt.subscribe != "" {
				at = acked[wire.Position](c, wire.EventSubscribe, 1, `{"warehouse":"w1","zone":"a"`+tt.subscribe+`}`)
			} else {
				var connected wire.Connected
				first := c.wait("connected", func(f wire.ServerFrame) bool { return f.Event == wire.EventConnected })
				testkit.Must(t, json.Unmarshal(first.Data, &connected))
				at = connected.Rooms[0]
			}
			c.wantAlive()
			var got []string
			retained := 0
			for _, f := range c.seen() {
				if f.Room == "" {
					continue
				}
				got = append(got, fmt.Sprint(f.Event, " ", string(f.Data), " ", f.Retained))
				if f.Retained {
					retained++
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || at.Retained != retained {
				t.Errorf("got %q after %+v, want %q", got, at, tt.want)
			}
		})
	}
}

// An offset may be ahead of the room, whose latest messages Redis lost. The gap leads back to it.
func TestAnOffsetAheadOfTheRoomLeadsBack(t *testing.T) {
	s := start(t, options{})
	last := s.Publish(zone, "E", `1`)
	ahead := wire.Offset{Epoch: last.Epoch, N: 9999}
	c := s.dial("")
	at := acked[wire.Position](c, wire.EventSubscribe, 1, fmt.Sprintf(`{"warehouse":"w1","zone":"a","offset":%q}`, ahead))
	next := s.Publish(zone, "E", `2`)
	c.wait("the next message", func(f wire.ServerFrame) bool { return string(f.Data) == "2" })
	var got []string
	for _, f := range c.seen()[2:] {
		got = append(got, f.Event+" "+f.Offset+" "+string(f.Data))
	}
	want := []string{fmt.Sprintf(`gap  {"room":"zone:w1:a","from":%q,"to":%q}`, ahead, last), fmt.Sprintf("E %s 2", next)}
	if at.Offset != last.String() || next != last.Next() || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("acknowledged at %s, got %q, want %q", at.Offset, got, want)
	}
}

func TestEchoIsByteForByte(t *testing.T) {
	s := start(t, options{})
	c := s.dial("")
	for i, data := range []string{`null`, `{"b" : 1,"a":[ ]}`, `"\u0000 ü 倉庫"`, `1e400`, `"` + strings.Repeat("x", frameLimit-100) + `"`} {
		if f := c.ask(wire.EventEcho, int64(i), data); f.Event != wire.EventAck || string(f.Data) != data {
			t.Errorf("echo of %.40q came as %.40q", data, f.Data)
		}
	}
	c.send(`{"event":"echo","id":99}`)
	text, _ := c.find("the echo of nothing", func(f wire.ServerFrame) bool { return f.ID == 99 })
	if want := `{"event":"ack","id":99,"data":null}`; text != want {
		t.Errorf("the echo of nothing is %s, want %s", text, want)
	}
}

func TestPublish(t *testing.T) {
	s := start(t, options{})
	publisher, member := s.dial(""), s.dial("warehouse=w1&zone=a")
	at := acked[wire.Position](publisher, wire.EventPublish, 1, `{"warehouse":"w1","zone":"a","event":"ALERT","data":{ "a":1 }}`)
	text, f := member.find("the message", func(f wire.ServerFrame) bool { return f.Event == "ALERT" })
	if f.Offset != at.Offset || at.Room != zone.String() || !strings.HasSuffix(text, `"data":{ "a":1 }}`) {
		t.Errorf("acknowledged as %+v, came as %s", at, text)
	}
	publisher.send(`{"event":"publish","data":{"warehouse":"w1","event":"ALL"}}`) // not to be answered
	text, _ = member.find("the second message", func(f wire.ServerFrame) bool { return f.Event == "ALL" })
	if !strings.Contains(text, `"room":"warehouse:w1"`) || !strings.HasSuffix(text, `"data":null}`) {
		t.Errorf("a message without data to the warehouse came as %s", text)
	}
	publisher.wantAlive()
	if n := len(publisher.seen()); n != 3 {
		t.Errorf("the publisher got %d frames, want connected and two acks", n)
	}
	s.WantCount(2, "zonecast_publishes_total", "via=websocket", "result=ok")
	eventually(t, "both are counted as delivered", func() bool {
		return s.Counter("zonecast_messages_delivered_total", "transport=websocket") == 2
	})
}

func TestAuthenticateWhereNoTokenIsNeeded(t *testing.T) {
	s := start(t, options{})
	if got := acked[wire.Authenticated](s.dial(""), wire.EventAuthenticate, 1, `{"token":"anything"}`); got.Expires != 0 {
		t.Errorf("the answer is %+v, want that nothing expires", got)
	}
}

// Each mistake is answered with its id and what to change, and the connection goes on.
func TestMistakesAreAnswered(t *testing.T) {
	long := strings.Repeat("x", wire.MaxNameLen+1)
	tests := []struct {
		name, give string
		want       wire.ErrorCode
		says       string
	}{
		{name: "unknown event", give: `{"event":"join","id":7}`, want: wire.CodeUnknownEvent, says: "subscribe"},
		{name: "an event of the server", give: `{"event":"connected","id":7}`, want: wire.CodeUnknownEvent, says: "send one of"},
		{name: "event of another type", give: `{"event":1,"id":7}`, want: wire.CodeBadFrame, says: "must be a string"},
		{name: "no event", give: `{"data":1,"id":7}`, want: wire.CodeBadFrame, says: "has no event"},
		{name: "subscribe without data", give: `{"event":"subscribe","id":7}`, want: wire.CodeInvalidData, says: "data is missing"},
		{name: "subscribe with text", give: `{"event":"subscribe","id":7,"data":"w1"}`, want: wire.CodeInvalidData, says: "object"},
		{name: "subscribe without warehouse", give: `{"event":"subscribe","id":7,"data":{"zone":"a"}}`, want: wire.CodeInvalidRoom, says: "warehouse is missing"},
		{name: "subscribe to a number", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","zone":3}}`, want: wire.CodeInvalidData, says: "data.zone"},
		{name: "subscribe to a bad zone", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","zone":"a:b"}}`, want: wire.CodeInvalidRoom, says: `"a:b"`},
		{name: "subscribe to a long name", give: `{"event":"subscribe","id":7,"data":{"warehouse":"` + long + `"}}`, want: wire.CodeInvalidRoom, says: "at most 64"},
		{name: "subscribe with a bad offset", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","offset":"17"}}`, want: wire.CodeInvalidOffset, says: "send one back as you received it"},
		{name: "subscribe with a field mistyped", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","zoen":"a"}}`, want: wire.CodeInvalidData, says: `no field "zoen": write warehouse, zone, offset`},
		{name: "subscribe with a field in capitals", give: `{"event":"subscribe","id":7,"data":{"Warehouse":"w"}}`, want: wire.CodeInvalidData, says: `no field "Warehouse"`},
		{name: "subscribe to an empty zone", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","zone":""}}`, want: wire.CodeInvalidRoom, says: "leave it out for the room of the whole warehouse"},
		{name: "subscribe to the zone null", give: `{"event":"subscribe","id":7,"data":{"warehouse":"w","zone":null}}`, want: wire.CodeInvalidRoom, says: "data.zone is null"},
		{name: "unsubscribe without data", give: `{"event":"unsubscribe","id":7}`, want: wire.CodeInvalidData, says: "data is missing"},
		{name: "unsubscribe from elsewhere", give: `{"event":"unsubscribe","id":7,"data":{"warehouse":"w9"}}`, want: wire.CodeNotSubscribed, says: "warehouse:w9"},
		{name: "unsubscribe with a field mistyped", give: `{"event":"unsubscribe","id":7,"data":{"warehouse":"w1","zoen":"a"}}`, want: wire.CodeInvalidData, says: `no field "zoen"`},
		{name: "publish with what only HTTP has", give: `{"event":"publish","id":7,"data":{"warehouse":"w","event":"E","retain":true}}`, want: wire.CodeInvalidData, says: `no field "retain"`},
		{name: "publish to an empty zone", give: `{"event":"publish","id":7,"data":{"warehouse":"w","zone":"","event":"E"}}`, want: wire.CodeInvalidRoom, says: "data.zone"},
		{name: "publish without data", give: `{"event":"publish","id":7}`, want: wire.CodeInvalidData, says: "data is missing"},
		{name: "publish without event", give: `{"event":"publish","id":7,"data":{"warehouse":"w"}}`, want: wire.CodeInvalidEvent, says: "event is missing"},
		{name: "publish a reserved event", give: `{"event":"publish","id":7,"data":{"warehouse":"w","event":"gap"}}`, want: wire.CodeInvalidEvent, says: "choose another name"},
		{name: "publish a bad event", give: `{"event":"publish","id":7,"data":{"warehouse":"w","event":"a b"}}`, want: wire.CodeInvalidEvent, says: "only A-Z"},
		{name: "publish to nowhere", give: `{"event":"publish","id":7,"data":{"event":"E"}}`, want: wire.CodeInvalidRoom, says: "warehouse is missing"},
		{name: "authenticate without data", give: `{"event":"authenticate","id":7}`, want: wire.CodeInvalidData, says: "data is missing"},
		{name: "authenticate with a number", give: `{"event":"authenticate","id":7,"data":{"token":1}}`, want: wire.CodeInvalidData, says: "data.token"},
	}
	s := start(t, options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.in(t).dial("warehouse=w1")
			defer c.hangUp()
			for _, id := range []string{`,"id":7`, `,"id":-9007199254740993`, ``} {
				c.send(strings.ReplaceAll(tt.give, `,"id":7`, id))
			}
			c.wantAlive()
			answers := c.of(wire.EventError)
			if len(answers) != 3 {
				t.Fatalf("%d answers to 3 mistakes: %+v", len(answers), answers)
			}
			for i, wantID := range []int64{7, -9007199254740993, 0} {
				e := decode[wire.Error](t, answers[i].Data)
				if answers[i].ID != wantID || e.Code != tt.want || !strings.Contains(e.Message, tt.says) {
					t.Errorf("the answer is %d %+v, want id %d, %s with %q", answers[i].ID, e, wantID, tt.want, tt.says)
				}
			}
		})
	}
}

func TestWhatIsNoFrameIsAnsweredWithoutID(t *testing.T) {
	s := start(t, options{})
	c := s.dial("")
	mistakes := []string{`hello`, ``, `[]`, `{"event":"echo"`, "{\"event\":\"\xff\"}", `{"event":"echo","id":"1"}`,
		`{"event":"echo","id":1.5}`, `{"event":"echo","id":1e2}`, `{"event":"echo","id":9223372036854775808}`}
	for _, give := range mistakes {
		before := len(c.of(wire.EventError))
		c.send(give)
		c.wantAlive()
		c.mu.Lock()
		answers := slices.DeleteFunc(slices.Clone(c.texts), func(s string) bool { return !strings.Contains(s, `"error"`) })
		c.mu.Unlock()
		if len(answers) != before+1 || !strings.HasPrefix(answers[before], `{"event":"error","data":{"code":"bad_frame","message":"`) {
			t.Errorf("%q was answered with %q", give, answers[before:])
		}
	}
	testkit.Must(t, c.conn.WriteMessage(websocket.BinaryMessage, []byte(`{"event":"echo","id":1}`)))
	c.wantAlive()
	answers := c.of(wire.EventError)
	if last := answers[len(answers)-1]; len(answers) != len(mistakes)+1 || !strings.Contains(string(last.Data), "text frame") {
		t.Errorf("a binary frame was answered with %s", last.Data)
	}
	s.WantCount(float64(len(mistakes)+1), "zonecast_messages_received_total", "event=bad_frame")
}

// The label of a metric must not be a stranger's choice.
func TestUnknownEventsAreCountedUnderOneName(t *testing.T) {
	s := start(t, options{})
	c := s.dial("")
	for i := range 20 {
		c.ask(fmt.Sprint("made-up-", i), int64(i+1), `null`)
	}
	s.WantCount(20, "zonecast_messages_received_total", "event=unknown")
	s.WantCount(20, "zonecast_messages_received_total")
}

func TestManyFramesThatAreNotTheProtocolEndTheConnection(t *testing.T) {
	s := start(t, options{})
	c := s.dial("")
	for range 3 { // in a row means that a good one forgives
		for range wire.BadFramesInARow {
			c.send(`nonsense`)
		}
		c.wantAlive()
	}
	for i := range wire.BadFramesInARow + 1 {
		if i%2 == 0 {
			c.send(`nonsense`)
		} else if err := c.conn.WriteMessage(websocket.BinaryMessage, []byte{1}); err != nil {
			t.Log(err)
		}
	}
	c.wantClosed(wire.CloseBadFrame)
	s.WantClosed(wire.CloseBadFrame, 1)
}

func TestRoomsOfAConnectionAreLimited(t *testing.T) {
	s := start(t, options{})
	c := s.dial("")
	for i := range wire.RoomsPerConnection {
		acked[wire.Position](c, wire.EventSubscribe, int64(i+1), fmt.Sprintf(`{"warehouse":"w","zone":"z%d"}`, i))
	}
	f := c.ask(wire.EventSubscribe, 1000, `{"warehouse":"w","zone":"one-more"}`)
	if e := decode[wire.Error](t, f.Data); f.Event != wire.EventError || e.Code != wire.CodeLimitReached || !strings.Contains(e.Message, "unsubscribe") {
		t.Errorf("one room more: %s %+v", f.Event, e)
	}
	c.wantAlive()
}

// A client that comes back with its cursor needs one round trip: what it missed follows connected.
func TestTheQueryResumesAllRooms(t *testing.T) {
	s := start(t, options{})
	whole := wire.Room{Warehouse: "w1"}
	var at, atWhole wire.Offset
	for n := range 5 {
		at = s.Publish(zone, "ZONE_UPDATE", fmt.Sprint(n))
		atWhole = s.Publish(whole, "ALERT", fmt.Sprint(n))
	}
	cursor := wire.Cursor{{Room: zone, Offset: wire.Offset{Epoch: at.Epoch, N: 2}},
		{Room: whole, Offset: wire.Offset{Epoch: atWhole.Epoch, N: 4}}}
	c := s.dial("warehouse=w1&room=warehouse:other&cursor=" + url.QueryEscape(cursor.String()))
	last := s.Publish(zone, "ZONE_UPDATE", "5")
	c.wait("the newest message", func(f wire.ServerFrame) bool { return f.Offset == last.String() && f.Room == zone.String() })

	got := map[string][]string{}
	for _, f := range c.seen() {
		if f.Room != "" {
			got[f.Room] = append(got[f.Room], string(f.Data))
		}
	}
	if fmt.Sprint(got[zone.String()]) != "[2 3 4 5]" || fmt.Sprint(got[whole.String()]) != "[4]" || len(got) != 2 {
		t.Errorf("got %v, want what was missed and then what is new", got)
	}
	told := decode[wire.Connected](t, c.seen()[0].Data)
	want := []wire.Position{wire.PositionOf(whole, atWhole), {Room: "warehouse:other"}, wire.PositionOf(zone, at)}
	for i, w := range want {
		if is := told.Rooms[i]; is.Room != w.Room || w.Offset != "" && is.Offset != w.Offset {
			t.Errorf("connected tells %+v, want %+v", told.Rooms, want)
		}
	}
}

// A client that got no answer, since its network broke, may send its publish again.
func TestAPublishWithAKeyIsPublishedOnce(t *testing.T) {
	s := start(t, options{})
	reader := s.dial("warehouse=w1&zone=a")
	const data = `{"warehouse":"w1","zone":"a","event":"ALERT","data":1,"idempotencyKey":"k-1"}`
	first := acked[wire.Position](s.dial(""), wire.EventPublish, 1, data)
	again := acked[wire.Position](s.dial(""), wire.EventPublish, 1, data)
	if first != again {
		t.Errorf("got %+v, then %+v", first, again)
	}
	last := s.Publish(zone, "ALERT", "2")
	reader.wait("the last message", func(f wire.ServerFrame) bool { return f.Offset == last.String() })
	if n := len(reader.of("ALERT")); n != 2 {
		t.Errorf("%d messages were sent, want the first and the last", n)
	}
}
