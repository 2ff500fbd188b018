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
	if _, err := b.Subscribe(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	first := map[string]wire.Offset{}
	for _, key := range keys {
		first[key] = publish(t, b, broker.Publication{Room: room, IdempotencyKey: key, Data: json.RawMessage(`"first"`)})
	}
	for _, key := range keys {
		for _, event := range []string{wire.EventZoneUpdate, wire.EventAlert} { // the key alone decides
			got, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: event, IdempotencyKey: key,
				Data: json.RawMessage(`"again"`)})
			if want := (broker.Receipt{Offset: first[key], Duplicate: true}); err != nil || got != want {
				t.Errorf("key %q again: %+v %v, want %+v", key, got, err, want)
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

func keyAtOnce(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	if _, err := b.Subscribe(t.Context(), room); err != nil {
		t.Fatal(err)
	}
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
