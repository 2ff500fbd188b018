package brokertest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func deleteRetained(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{Retained: 2})
	room := Room(t)
	Subscribe(t, b, room)
	for _, event := range []string{"A", "B"} {
		publish(t, b, broker.Publication{Room: room, Event: event, Retain: true})
	}
	r.WantExactly(room, 1, 2)
	there, err := b.DeleteRetained(t.Context(), room, "A")
	if err != nil || !there {
		t.Fatalf("delete a retained event: %v %v", there, err)
	}
	testkit.Eventually(t, "the subscriber is told what is retained", func() bool {
		_, retained := r.Deleted(room)
		return len(retained) == 1 && retained[0].Event == "B"
	})
	b.Unsubscribe(room)
	wantRetained(t, b, room, "B 2 {}")
	if there, err := b.DeleteRetained(t.Context(), room, "A"); err != nil || there {
		t.Errorf("delete it again: %v %v", there, err)
	}
	// There is room for another one, and the messages stay.
	last := publish(t, b, broker.Publication{Room: room, Event: "C", Retain: true})
	wantRetained(t, b, room, "B 2 {}", "C 3 {}")
	page := history(t, b, room, wire.Offset{Epoch: last.Epoch}, 10)
	wantRange(t, page.Messages, 1, 3)
	if page.Gap != nil {
		t.Errorf("gap %+v", page.Gap)
	}
}

func deleteRoom(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	p := broker.Publication{Room: room, Event: "A", Retain: true, IdempotencyKey: "k", Data: json.RawMessage(`1`)}
	first := publish(t, b, p)
	last := publish(t, b, broker.Publication{Room: room})
	r.WantExactly(room, 1, 2)
	if there, err := b.DeleteRoom(t.Context(), room); err != nil || !there {
		t.Fatalf("delete the room: %v %v", there, err)
	}
	testkit.Eventually(t, "the members are told of a gap", func() bool { return len(r.Gaps(room)) == 1 })
	gap := r.Gaps(room)[0]
	if gap.From != last || gap.To.N != 0 || gap.To.Epoch == last.Epoch {
		t.Fatalf("told of %+v, want a gap from %s to number 0 of another epoch", gap, last)
	}
	for _, after := range []wire.Offset{first, last, {Epoch: first.Epoch}} {
		if page := history(t, b, room, after, 10); page.Gap == nil || *page.Gap != (broker.Gap{From: after, To: gap.To}) ||
			len(page.Messages) > 0 {
			t.Errorf("history after %s: %+v, want nothing but a gap", after, page)
		}
	}
	b.Unsubscribe(room)
	wantRetained(t, b, room)
	if there, err := b.DeleteRoom(t.Context(), room); err != nil || there {
		t.Errorf("delete it again: %v %v", there, err)
	}
	// Nothing of it counts any more: neither numbers nor keys.
	if got := publish(t, b, p); got != gap.To.Next() {
		t.Errorf("the first message after that got the offset %s, want %s", got, gap.To.Next())
	}
	if there, err := b.DeleteRoom(t.Context(), room); err != nil || !there {
		t.Fatalf("delete it once more: %v %v", there, err)
	}
	s := Subscribe(t, b, room)
	if s.Offset.N != 0 || s.Offset.Epoch == gap.To.Epoch || s.Offset.Epoch == first.Epoch {
		t.Errorf("the room stands at %s, want another epoch than %s and %s", s.Offset, first, gap.To)
	}
}

func deleteNothing(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room, empty := Room(t), Room(t)
	publish(t, b, broker.Publication{Room: room, Event: "A"})
	before := Subscribe(t, b, empty)
	for _, at := range []wire.Room{room, empty} {
		if there, err := b.DeleteRetained(t.Context(), at, "A"); err != nil || there {
			t.Errorf("delete an event of %s that is not retained: %v %v", at, there, err)
		}
	}
	if there, err := b.DeleteRoom(t.Context(), empty); err != nil || there {
		t.Errorf("delete a room that nobody published to: %v %v", there, err)
	}
	b.Unsubscribe(empty)
	if now := Subscribe(t, b, empty); now.Offset != before.Offset {
		t.Errorf("the room went from %s to %s", before.Offset, now.Offset)
	}
}

func retainedAge(t *testing.T, open Open) {
	const age = time.Second
	b, _ := start(t, open, broker.Limits{RetainAge: age, Retained: 2})
	room := Room(t)
	at := time.Now()
	publish(t, b, broker.Publication{Room: room, Event: "OLD", Retain: true})
	retained := func() []*broker.Message {
		s := Subscribe(t, b, room)
		b.Unsubscribe(room)
		return s.Retained
	}
	if got := retained(); len(got) != 1 && time.Since(at) < age/2 {
		t.Errorf("%d events are retained at once, want 1", len(got))
	}
	testkit.Eventually(t, "it is gone", func() bool { return len(retained()) == 0 })
	if passed := time.Since(at); passed < age-100*time.Millisecond {
		t.Errorf("it was gone after %v", passed)
	}
	for _, event := range []string{"NEW", "NEWER"} { // it takes no place any more
		publish(t, b, broker.Publication{Room: room, Event: event, Retain: true})
	}
}
