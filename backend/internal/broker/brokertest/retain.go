package brokertest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// wantRetained subscribes to the room and fails unless what is retained reads like this: event,
// number, data.
func wantRetained(t *testing.T, b broker.Broker, room wire.Room, want ...string) {
	t.Helper()
	s := Subscribe(t, b, room)
	b.Unsubscribe(room)
	var got []string
	for _, m := range s.Retained {
		got = append(got, fmt.Sprintf("%s %d %s", m.Event, m.Offset.N, m.Data))
		if m.Room != room || m.Offset.Epoch != s.Offset.Epoch || !m.Retain || m.Accepted == 0 {
			t.Errorf("retained message %+v", m)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("retained are %q, want %q", got, want)
	}
}

func retainedInOrder(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room, other := Room(t), Room(t)
	wantRetained(t, b, room)
	for i, p := range []broker.Publication{
		{Event: "C", Retain: true},  // 1
		{Event: "A", Retain: true},  // 2
		{Event: "B", Retain: true},  // 3
		{Event: "B"},                // 4: not retained, so number 3 stays
		{Event: "A", Retain: true},  // 5: takes the place of number 2
		{Event: "D"},                // 6
		{Event: "C", Retain: true},  // 7
		{Event: "Z:", Retain: true}, // 8
		{Event: "E"},                // 9
	} {
		p.Room, p.Data = room, fmt.Appendf(nil, "%d", i+1)
		publish(t, b, p)
	}
	publish(t, b, broker.Publication{Room: other, Event: "A", Retain: true, Data: json.RawMessage(`"other"`)})
	for range 2 { // subscribing takes nothing away
		wantRetained(t, b, room, "B 3 3", "A 5 5", "C 7 7", "Z: 8 8")
	}
	wantRetained(t, b, other, `A 1 "other"`)
}

func retainedOutlives(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Messages: 3})
	room := Room(t)
	publish(t, b, broker.Publication{Room: room, Event: "STATE", Retain: true, Data: json.RawMessage(`"kept"`)})
	last := fill(t, b, room, 10)
	page := history(t, b, room, wire.Offset{Epoch: last.Epoch}, 100)
	if page.Gap == nil {
		t.Fatal("the history of 3 messages still has the first of 11")
	}
	wantRetained(t, b, room, `STATE 1 "kept"`)
}

func retainedLimit(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{Retained: 2})
	room := Room(t)
	Subscribe(t, b, room)
	for _, event := range []string{"A", "B", "A"} {
		publish(t, b, broker.Publication{Room: room, Event: event, Retain: true})
	}
	_, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "C", Retain: true, Data: json.RawMessage(`{}`)})
	if err == nil || wire.AsError(err).Code != wire.CodeLimitReached {
		t.Errorf("a third event: %v, want the code %s", err, wire.CodeLimitReached)
	}
	publish(t, b, broker.Publication{Room: room, Event: "C", Data: json.RawMessage(`"not retained"`)})
	publish(t, b, broker.Publication{Room: room, Event: "B", Retain: true, Data: json.RawMessage(`"replaced"`)})
	r.WantExactly(room, 1, 5)
	b.Unsubscribe(room)
	wantRetained(t, b, room, "A 3 {}", `B 5 "replaced"`)
}
