package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// What the memory broker keeps of all rooms together.

func text(n int) json.RawMessage {
	return append(append([]byte{'"'}, bytes.Repeat([]byte("x"), n-2)...), '"')
}

// Rooms that nobody publishes to or reads give their history back when it is too old.
func TestMemoryForgetsTheHistoryOfQuietRoomsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := startMemory(t, broker.Limits{Age: time.Minute, RetainAge: time.Hour})
		var last wire.Offset
		for i := range 100 {
			last = brokertest.Publish(t, b, broker.Publication{Room: room(i), Retain: i == 0, IdempotencyKey: "k", Data: text(1000)}).Offset
		}
		time.Sleep(time.Minute + time.Minute)
		if u := b.Usage()["w"]; u.HistoryBytes > 100*500 || u.RetainedEvents != 1 || u.Rooms != 100 {
			t.Errorf("after the age of the history %+v is kept", u)
		}
		time.Sleep(wire.IdempotencyWindow)
		if u := b.Usage()["w"]; u.HistoryBytes != 0 {
			t.Errorf("after the window of keys %+v is kept", u)
		}
		time.Sleep(time.Hour)
		if u := b.Usage()["w"]; u != (broker.Usage{Rooms: 100}) {
			t.Errorf("after the age of retained events %+v is kept", u)
		}
		// Whoever had everything has missed nothing.
		if page := kept(t, b, room(99), last); page.Gap != nil {
			t.Errorf("gap %+v", page.Gap)
		}
		testkit.Must(t, b.Close())
	})
}

// However much is published, and to however many rooms and warehouses, the broker keeps to its
// bound, and takes what others publish.
func TestMemoryKeepsToItsBoundAndLocksNobodyOut(t *testing.T) {
	const total = 4 << 20
	large, small := text(60<<10), text(1000)
	names := map[string]func(i int) broker.Publication{
		"large messages to one room": func(int) broker.Publication {
			return broker.Publication{Room: room(0), Data: large}
		},
		"rooms without end": func(i int) broker.Publication {
			return broker.Publication{Room: room(i), Data: text(10)}
		},
		"warehouses without end": func(i int) broker.Publication {
			return broker.Publication{Room: wire.Room{Warehouse: fmt.Sprint("w", i)}, Data: small}
		},
		"keys without end": func(i int) broker.Publication {
			return broker.Publication{Room: room(0), IdempotencyKey: fmt.Sprint(i), Data: text(10)}
		},
		"retained events without end": func(i int) broker.Publication {
			return broker.Publication{Room: wire.Room{Warehouse: fmt.Sprint("w", i)}, Retain: true, Data: large}
		},
	}
	for name, publication := range names {
		t.Run(name, func(t *testing.T) {
			b, r := startMemory(t, broker.Limits{Total: total, Warehouse: broker.Quota{HistoryBytes: total / 4}})
			other := wire.Room{Warehouse: "modest", Zone: "a"}
			brokertest.Subscribe(t, b, other)
			const n = 30_000
			for i := range n {
				p := publication(i)
				p.Event = "E"
				_, err := b.Publish(t.Context(), p)
				if err != nil && wire.AsError(err).Code != wire.CodeQuotaExceeded {
					t.Fatal(err)
				}
				if i%1000 == 0 {
					brokertest.Publish(t, b, broker.Publication{Room: other})
				}
			}
			sum := 0
			for _, u := range b.Usage() {
				sum += u.HistoryBytes + u.RetainedBytes + 512*u.Rooms
			}
			if sum > total+60<<10 {
				t.Errorf("%d bytes are kept, the bound is %d", sum, total)
			}
			r.WantExactly(other, 1, n/1000)
		})
	}
}

// A room that is forgotten for lack of space begins anew with another epoch: nobody who comes back
// takes its new messages for those that it knows.
func TestMemoryForgottenRoomHasAnotherEpoch(t *testing.T) {
	b, _ := startMemory(t, broker.Limits{Total: 100_000})
	seen := map[string]bool{}
	for round := range 5 {
		first := brokertest.Publish(t, b, broker.Publication{Room: room(0)}).Offset
		if first.N != 1 || seen[first.Epoch] {
			t.Fatalf("round %d: the first message got the offset %s", round, first)
		}
		if again, err := wire.ParseOffset(first.String()); err != nil || again != first {
			t.Fatalf("offset %q does not survive its text form: %v", first, err)
		}
		seen[first.Epoch] = true
		for i := range 1000 {
			brokertest.Publish(t, b, broker.Publication{Room: wire.Room{Warehouse: "others", Zone: fmt.Sprint(i)}, Data: text(100)})
		}
		page := kept(t, b, room(0), first)
		if page.Gap == nil || page.Gap.To.N != 0 || page.Gap.To.Epoch == first.Epoch {
			t.Fatalf("round %d: after %s: %+v, want a gap to an empty room", round, first, page)
		}
		if s := brokertest.Subscribe(t, b, room(0)); s.Offset != page.Gap.To {
			t.Errorf("round %d: it is joined at %s, the gap ended at %s", round, s.Offset, page.Gap.To)
		}
		b.Unsubscribe(room(0))
	}
}

// MEMORY_BYTES bounds the heap as its help says.
func TestMemoryTakesWhatIsDocumented(t *testing.T) {
	const total = 8 << 20
	for _, tt := range []struct {
		name        string
		rooms, size int
		key         int // length of the idempotency keys
	}{
		{name: "the smallest messages", rooms: 100, size: 2},
		{name: "small messages", rooms: 100, size: 100},
		{name: "large messages", rooms: 100, size: 10_000},
		{name: "one message a room", rooms: 1 << 30, size: 2},
		{name: "short keys", rooms: 100, size: 2, key: 8},
		{name: "long keys", rooms: 100, size: 2, key: 255},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := int(testkit.LiveHeap())
			b := broker.NewMemory(broker.Limits{Total: total, Messages: 1 << 30, Warehouse: broker.Quota{HistoryBytes: total}}, discard{})
			for i := range 3 * total / (tt.size + 128) {
				p := broker.Publication{Room: room(i % tt.rooms), Event: "E", Data: text(tt.size)}
				if tt.key > 0 {
					p.IdempotencyKey = fmt.Sprintf("%0*d", tt.key, i)
				}
				if _, err := b.Publish(t.Context(), p); err != nil && wire.AsError(err).Code != wire.CodeQuotaExceeded {
					t.Fatal(err)
				}
			}
			took := int(testkit.LiveHeap()) - before
			t.Logf("%.2f times the bound", float64(took)/total)
			if float64(took) > 1.5*total {
				t.Errorf("%d bytes of heap are taken, %.2f times the bound", took, float64(took)/total)
			}
			runtime.KeepAlive(b)
		})
	}
}

// Publications to one warehouse that is refused all it asks for cost others nothing: they are
// answered, in order, however many come between.
func BenchmarkMemoryRefused(b *testing.B) {
	m := broker.NewMemory(broker.Limits{Warehouse: broker.Quota{Rooms: 1}}, discard{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.Publish(b.Context(), broker.Publication{Room: room(1), Event: "E", Data: json.RawMessage(`1`)})
	}
}
