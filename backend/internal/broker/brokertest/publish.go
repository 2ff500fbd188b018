package brokertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Publish publishes p, which must be accepted. A missing event and data are filled in.
func Publish(t testing.TB, b broker.Broker, p broker.Publication) broker.Receipt {
	t.Helper()
	if p.Event == "" {
		p.Event = wire.EventZoneUpdate
	}
	if p.Data == nil {
		p.Data = json.RawMessage(`{}`)
	}
	receipt, err := b.Publish(t.Context(), p)
	if err != nil {
		t.Fatalf("publish to %s: %v", p.Room, err)
	}
	return receipt
}

// publish publishes p, which must be accepted as a new message.
func publish(t testing.TB, b broker.Broker, p broker.Publication) wire.Offset {
	t.Helper()
	receipt := Publish(t, b, p)
	if receipt.Duplicate {
		t.Fatalf("publish to %s: taken as a duplicate of %s", p.Room, receipt.Offset)
	}
	return receipt.Offset
}

// fill publishes n messages, whose data are their numbers, and returns the offset of the last one.
func fill(t testing.TB, b broker.Broker, room wire.Room, n int) (last wire.Offset) {
	t.Helper()
	for i := 1; i <= n; i++ {
		last = publish(t, b, broker.Publication{Room: room, Data: fmt.Appendf(nil, "%d", i)})
	}
	return last
}

// crowd runs do in several goroutines at once, each with its own number.
func crowd(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

func offsetsCount(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	first := publish(t, b, broker.Publication{Room: room})
	if again, err := wire.ParseOffset(first.String()); err != nil || again != first {
		t.Errorf("offset %q does not survive its text form: %v %v", first, again, err)
	}
	for n := uint64(2); n <= 20; n++ {
		got := publish(t, b, broker.Publication{Room: room})
		if want := (wire.Offset{Epoch: first.Epoch, N: n}); got != want {
			t.Fatalf("message %d got the offset %s, want %s", n, got, want)
		}
	}
	if first.N != 1 {
		t.Errorf("the first message got the offset %s, want number 1", first)
	}
}

// roomsCountAlone takes rooms whose names have as much in common as names can have.
func roomsCountAlone(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	base := Room(t).Warehouse
	long := (base + strings.Repeat("x", wire.MaxNameLen))[:wire.MaxNameLen]
	rooms := []wire.Room{
		{Warehouse: base},
		{Warehouse: base, Zone: base},
		{Warehouse: base, Zone: "a"},
		{Warehouse: base, Zone: "A"},
		{Warehouse: base, Zone: "a.b_c-d"},
		{Warehouse: base, Zone: "warehouse"},
		{Warehouse: base + ".a"},
		{Warehouse: long, Zone: strings.Repeat("z", wire.MaxNameLen)},
	}
	for _, room := range rooms {
		Subscribe(t, b, room)
	}
	for n := uint64(1); n <= 3; n++ {
		for _, room := range rooms {
			if got := publish(t, b, broker.Publication{Room: room}); got.N != n {
				t.Errorf("%s: message %d got the offset %s", room, n, got)
			}
		}
	}
	for _, room := range rooms {
		for _, m := range r.WantExactly(room, 1, 3) {
			if m.Room != room {
				t.Errorf("a message to %s came as one to %s", room, m.Room)
			}
		}
	}
}

const (
	publishers   = 8
	perPublisher = 50
)

func concurrentOffsets(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	var mu sync.Mutex
	taken := map[wire.Offset]bool{}
	crowd(publishers, func(int) {
		for range perPublisher {
			receipt, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E", Data: json.RawMessage(`1`)})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			if taken[receipt.Offset] {
				t.Errorf("%s was given twice", receipt.Offset)
			}
			taken[receipt.Offset] = true
			mu.Unlock()
		}
	})
	for o := range taken {
		if o.N < 1 || o.N > publishers*perPublisher {
			t.Errorf("%s was given among %d messages", o, publishers*perPublisher)
		}
	}
	if last := publish(t, b, broker.Publication{Room: room}); last.N != publishers*perPublisher+1 {
		t.Errorf("the message after %d others got the offset %s", publishers*perPublisher, last)
	}
}

func orderOfDelivery(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{})
	room := Room(t)
	Subscribe(t, b, room)
	var given [publishers][perPublisher]wire.Offset
	crowd(publishers, func(i int) {
		for k := range perPublisher {
			receipt, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E",
				Data: fmt.Appendf(nil, "[%d,%d]", i, k)})
			if err != nil {
				t.Error(err)
				return
			}
			given[i][k] = receipt.Offset
		}
	})
	var next [publishers]int
	for _, m := range r.WantExactly(room, 1, publishers*perPublisher) {
		var from [2]int
		testkit.Must(t, json.Unmarshal(m.Data, &from))
		i, k := from[0], from[1]
		if k != next[i] {
			t.Errorf("%s is message %d of publisher %d, want message %d", m.Offset, k, i, next[i])
		}
		next[i] = k + 1
		if given[i][k] != m.Offset {
			t.Errorf("the publisher got the offset %s, the handler %s", given[i][k], m.Offset)
		}
	}
}

func manyRooms(t *testing.T, open Open) {
	const rooms, each = 64, 10
	b, r := start(t, open, broker.Limits{})
	warehouse := Room(t).Warehouse
	crowd(rooms, func(i int) {
		room := wire.Room{Warehouse: warehouse, Zone: fmt.Sprint("zone-", i)}
		s, err := b.Subscribe(t.Context(), room)
		if err != nil || s.Offset.N != 0 {
			t.Errorf("subscribe to %s: %v, %v", room, s.Offset, err)
			return
		}
		for k := range each {
			if _, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: "E",
				Data: fmt.Appendf(nil, "%d", i*each+k)}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if t.Failed() {
		return // not every message was accepted: there is nothing to wait for
	}
	for i := range rooms {
		for k, m := range r.WantExactly(wire.Room{Warehouse: warehouse, Zone: fmt.Sprint("zone-", i)}, 1, each) {
			if want := fmt.Sprint(i*each + k); string(m.Data) != want {
				t.Errorf("%s %s carries %s, want %s", m.Room, m.Offset, m.Data, want)
			}
		}
	}
}

func zonesPublishedTo(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	warehouse := Room(t).Warehouse
	zone := func(name string) wire.Room { return wire.Room{Warehouse: warehouse, Zone: name} }
	want := func(want ...string) {
		t.Helper()
		testkit.Succeeds(t, "the zones are those", func() error {
			got, err := b.Zones(t.Context(), warehouse)
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("%q, want %q", got, want)
			}
			return err
		})
	}
	want()
	Subscribe(t, b, zone("a-screen"))
	publish(t, b, broker.Publication{Room: zone("")})
	publish(t, b, broker.Publication{Room: wire.Room{Warehouse: warehouse + "-2", Zone: "other"}})
	for _, name := range []string{"b", "a", "c"} {
		publish(t, b, broker.Publication{Room: zone(name)})
	}
	want("a", "b", "c")
	_, err := b.DeleteRoom(t.Context(), zone("b"))
	testkit.Must(t, err)
	want("a", "c")
}
