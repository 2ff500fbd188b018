package brokertest

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// keys are idempotency keys as strangers choose them.
var keys = []string{
	"k", "K", "k ", "order-7:retry", "a b", "{x}", "*", "Lager ä 倉庫", `"quoted"`, "line\nbreak",
	strings.Repeat("k", wire.MaxIdempotencyKeyLen),
}

func knownKey(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	first := map[string]wire.Offset{}
	for _, key := range keys {
		first[key] = publish(t, b, broker.Publication{Room: room, IdempotencyKey: key, Data: json.RawMessage(`"first"`)})
	}
	for _, key := range keys {
		for range 2 {
			got, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: wire.EventZoneUpdate, IdempotencyKey: key,
				Data: json.RawMessage(`"first"`)})
			if err != nil || got.Offset != first[key] || !got.Duplicate {
				t.Errorf("key %q again: %+v %v, want a duplicate of %s", key, got, err, first[key])
			}
		}
	}
	n := uint64(len(keys))
	for range 2 { // without a key the same thing is a new message each time
		if n++; publish(t, b, broker.Publication{Room: room, Data: json.RawMessage(`"first"`)}).N != n {
			t.Errorf("the message after the duplicates does not have number %d", n)
		}
	}
	for _, m := range r.WantExactly(room, 1, n) {
		if string(m.Data) != `"first"` {
			t.Errorf("%s carries %s", m.Offset, m.Data)
		}
	}
	if page := history(t, b, room, wire.Offset{Epoch: first["k"].Epoch}, 100); page.Gap != nil {
		t.Errorf("gap %+v", page.Gap)
	} else {
		wantRange(t, page.Messages, 1, n)
	}
}

// keyOfAnother uses a key for something else: it must neither be sent nor be taken for the first
// one, whose answer would tell its publisher that it was.
func keyOfAnother(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	// Whose data is null.
	same := broker.Publication{Room: room, Event: "E", IdempotencyKey: "k", Conflate: "c"}
	first := publishAs(t, b, same)
	for name, change := range map[string]func(*broker.Publication){
		"another event":         func(p *broker.Publication) { p.Event = "F" },
		"other data":            func(p *broker.Publication) { p.Data = json.RawMessage(`1`) },
		"another conflate name": func(p *broker.Publication) { p.Conflate = "d" },
		"retained":              func(p *broker.Publication) { p.Retain = true },
		"letters moved":         func(p *broker.Publication) { p.Event, p.Conflate = "Ec", "" },
	} {
		other := same
		change(&other)
		got, err := b.Publish(t.Context(), other)
		if err == nil || wire.AsError(err).Code != wire.CodeIdempotencyConflict || !strings.Contains(err.Error(), first.String()) {
			t.Errorf("%s: %+v %v, want it refused, with the offset %s of the first", name, got, err, first)
		}
	}
	same.Data = json.RawMessage(`null`) // is what absent data is published as
	if got, err := b.Publish(t.Context(), same); err != nil || !got.Duplicate || got.Offset != first {
		t.Errorf("the same again: %+v %v", got, err)
	}
	r.WantExactly(room, 1, 1)
}

// publishAs publishes p as it is.
func publishAs(t testing.TB, b broker.Broker, p broker.Publication) wire.Offset {
	t.Helper()
	receipt, err := b.Publish(t.Context(), p)
	if err != nil || receipt.Duplicate {
		t.Fatalf("publish to %s: %+v %v", p.Room, receipt, err)
	}
	return receipt.Offset
}

func keyAtOnce(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	const rounds = 10
	for n := uint64(1); n <= rounds; n++ {
		var accepted atomic.Int32
		key := strings.Repeat("x", int(n))
		crowd(publishers, func(int) {
			receipt, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E", IdempotencyKey: key,
				Data: json.RawMessage(`1`)})
			if err != nil || receipt.Offset.N != n {
				t.Errorf("round %d: %+v %v", n, receipt, err)
			}
			if !receipt.Duplicate {
				accepted.Add(1)
			}
		})
		if accepted.Load() != 1 {
			t.Errorf("round %d: accepted %d times", n, accepted.Load())
		}
	}
	r.WantExactly(room, 1, rounds)
}

func keysByRoom(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	warehouse := Room(t).Warehouse
	for _, room := range []wire.Room{{Warehouse: warehouse}, {Warehouse: warehouse, Zone: "a"}, {Warehouse: warehouse, Zone: "b"}} {
		if got := publish(t, b, broker.Publication{Room: room, IdempotencyKey: "same"}); got.N != 1 {
			t.Errorf("%s: offset %s, want number 1", room, got)
		}
	}
}

func refusedKey(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Retained: 1})
	room := Room(t)
	publish(t, b, broker.Publication{Room: room, Event: "ONE", Retain: true})
	p := broker.Publication{Room: room, Event: "TWO", Retain: true, IdempotencyKey: "k", Data: json.RawMessage(`2`)}
	if _, err := b.Publish(t.Context(), p); err == nil {
		t.Fatal("more was retained than the limit")
	}
	p.Retain = false
	if got := publish(t, b, p); got.N != 2 {
		t.Errorf("offset %s, want number 2: what is refused leaves no hole", got)
	}
}

// keysByCaller: who happens to use another's key, or guesses it, learns nothing by that.
func keysByCaller(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	p := func(caller, data string) broker.Publication {
		return broker.Publication{Room: room, Event: "E", IdempotencyKey: "k", Caller: caller, Data: json.RawMessage(data)}
	}
	callers := []string{"user a", "user b", "key a", ""}
	for i, caller := range callers {
		if got := publishAs(t, b, p(caller, `1`)); got.N != uint64(i+1) {
			t.Errorf("%q got the offset %s, want number %d", caller, got, i+1)
		}
	}
	for i, caller := range callers {
		if got, err := b.Publish(t.Context(), p(caller, `1`)); err != nil || !got.Duplicate || got.Offset.N != uint64(i+1) {
			t.Errorf("%q again: %+v %v", caller, got, err)
		}
		if _, err := b.Publish(t.Context(), p(caller, `2`)); wire.AsError(err).Code != wire.CodeIdempotencyConflict {
			t.Errorf("%q for another message: %v", caller, err)
		}
	}
	r.WantExactly(room, 1, uint64(len(callers)))
}
