package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/broker/brokertest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestMemory(t *testing.T) {
	brokertest.Run(t, func(_ *testing.T, limits broker.Limits, h broker.Handler) broker.Broker {
		return broker.NewMemory(limits, h)
	})
}

// startMemory returns a broker and what it delivers.
func startMemory(t testing.TB, limits broker.Limits) (*broker.Memory, *brokertest.Recorder) {
	r := brokertest.NewRecorder(t)
	return broker.NewMemory(limits, r), r
}

func room(i int) wire.Room { return wire.Room{Warehouse: "w", Zone: fmt.Sprint(i)} }

func kept(t testing.TB, b broker.Broker, room wire.Room, after wire.Offset) broker.Page {
	t.Helper()
	page, err := b.History(t.Context(), room, after, 1_000_000)
	testkit.Must(t, err)
	return page
}

func TestMemoryDeliversWithinPublish(t *testing.T) {
	b, r := startMemory(t, broker.Limits{})
	brokertest.Subscribe(t, b, room(0))
	for n := 1; n <= 3; n++ {
		brokertest.Publish(t, b, broker.Publication{Room: room(0)})
		if got := len(r.Messages(room(0))); got != n {
			t.Fatalf("%d messages were delivered when Publish %d returned", got, n)
		}
	}
}

func TestMemoryOfAnotherProcessHasAnotherEpoch(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		b, _ := startMemory(t, broker.Limits{})
		o := brokertest.Publish(t, b, broker.Publication{Room: room(0)}).Offset
		if again, err := wire.ParseOffset(o.String()); err != nil || again != o {
			t.Fatalf("offset %q does not survive its text form: %v", o, err)
		}
		seen[o.Epoch] = true
	}
	if len(seen) < 990 { // the random part of epochs of the same millisecond may meet
		t.Errorf("1000 brokers had %d epochs", len(seen))
	}
}

func TestMemoryForgetsByAgeToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = time.Minute
		b, _ := startMemory(t, broker.Limits{Age: age})
		first := brokertest.Publish(t, b, broker.Publication{Room: room(0), Event: "STATE", Retain: true}).Offset
		begin := wire.Offset{Epoch: first.Epoch}
		time.Sleep(age / 2)
		last := brokertest.Publish(t, b, broker.Publication{Room: room(0)}).Offset

		time.Sleep(age / 2)
		if page := kept(t, b, room(0), begin); page.Gap != nil || len(page.Messages) != 2 {
			t.Errorf("at the limit of age: gap %+v, %d messages; want both messages", page.Gap, len(page.Messages))
		}
		time.Sleep(time.Millisecond)
		if page := kept(t, b, room(0), begin); page.Gap == nil || *page.Gap != (broker.Gap{From: begin, To: first}) ||
			len(page.Messages) != 1 || page.Messages[0].Offset != last {
			t.Errorf("beyond the limit of age of the first: gap %+v, %d messages", page.Gap, len(page.Messages))
		}
		time.Sleep(24 * time.Hour)
		if page := kept(t, b, room(0), begin); page.Gap == nil || *page.Gap != (broker.Gap{From: begin, To: last}) ||
			len(page.Messages) != 0 {
			t.Errorf("a day later: gap %+v, %d messages", page.Gap, len(page.Messages))
		}
		if page := kept(t, b, room(0), last); page.Gap != nil || len(page.Messages) != 0 {
			t.Errorf("a day later, after the last message: %+v, want no gap", page)
		}
		s, err := b.Subscribe(t.Context(), room(0))
		if err != nil || s.Offset != last || len(s.Retained) != 1 {
			t.Errorf("a day later the snapshot is %+v %v, want %s and the retained event", s, err, last)
		}
	})
}

func TestMemoryBoundsTheBytesOfARoom(t *testing.T) {
	const n, size, most = 20, 300, 1000
	b, _ := startMemory(t, broker.Limits{Bytes: most})
	data := json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
	var last wire.Offset
	for range n {
		last = brokertest.Publish(t, b, broker.Publication{Room: room(0), Data: data}).Offset
	}
	// Other rooms have their own account.
	brokertest.Publish(t, b, broker.Publication{Room: room(1), Data: data})
	begin := wire.Offset{Epoch: last.Epoch}
	page := kept(t, b, room(0), begin)
	want := broker.Gap{From: begin, To: wire.Offset{Epoch: last.Epoch, N: n - most/size}}
	if len(page.Messages) != most/size || page.Gap == nil || *page.Gap != want {
		t.Errorf("%d messages after the gap %+v, want %d after %+v", len(page.Messages), page.Gap, most/size, want)
	}
	for i, m := range page.Messages {
		if m.Offset.N != want.To.N+uint64(i)+1 {
			t.Errorf("message %d is %s", i, m.Offset)
		}
	}
}

// A message larger than what is kept is delivered all the same; those who come back later are told
// that it is lost.
func TestMemoryDeliversWhatItCannotKeep(t *testing.T) {
	b, r := startMemory(t, broker.Limits{Bytes: 10})
	brokertest.Subscribe(t, b, room(0))
	last := brokertest.Publish(t, b, broker.Publication{Room: room(0), Data: json.RawMessage(`"0123456789"`)}).Offset
	r.WantExactly(room(0), 1, 1)
	begin := wire.Offset{Epoch: last.Epoch}
	if page := kept(t, b, room(0), begin); page.Gap == nil || *page.Gap != (broker.Gap{From: begin, To: last}) {
		t.Errorf("%+v, want a gap up to %s", page, last)
	}
}

// Strangers may subscribe to whatever they like; that must leave nothing behind.
func TestMemoryKeepsNothingOfRoomsThatNobodyPublishedTo(t *testing.T) {
	b, _ := startMemory(t, broker.Limits{Warehouse: broker.Quota{Rooms: 1}, Total: 4096})
	for i := range 100 {
		brokertest.Subscribe(t, b, room(i))
		_, err := b.History(t.Context(), room(i+1), wire.Offset{Epoch: "e"}, 10)
		testkit.Must(t, err)
	}
	if used := b.Usage(); len(used) > 0 {
		t.Errorf("rooms that nobody published to count as %+v", used)
	}
	brokertest.Publish(t, b, broker.Publication{Room: room(100)}) // is not locked out by them
	for i := range 100 {
		b.Unsubscribe(room(i))
	}
	if n := broker.MemoryRooms(b); n != 1 {
		t.Errorf("%d rooms are kept, want the one that was published to", n)
	}
}

func TestMemoryForgetsARoomWhileOthersPublishToIt(t *testing.T) {
	b, _ := startMemory(t, broker.Limits{})
	const rounds = 300
	for i := range rounds {
		brokertest.Subscribe(t, b, room(i))
		var all sync.WaitGroup
		all.Go(func() { b.Unsubscribe(room(i)) })
		all.Go(func() { brokertest.Publish(t, b, broker.Publication{Room: room(i)}) })
		all.Wait()
		s, err := b.Subscribe(t.Context(), room(i))
		if err != nil || s.Offset.N != 1 {
			t.Fatalf("round %d: the room stands at %s, want number 1: %v", i, s.Offset, err)
		}
	}
}

func TestMemoryRemembersKeysForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := startMemory(t, broker.Limits{})
		p := broker.Publication{Room: room(0), IdempotencyKey: "k"}
		first := brokertest.Publish(t, b, p)
		time.Sleep(wire.IdempotencyWindow - time.Second)
		if got := brokertest.Publish(t, b, p); !got.Duplicate || got.Offset != first.Offset {
			t.Errorf("a second before the end of the window: %+v", got)
		}
		time.Sleep(time.Second) // a repetition does not make the window longer
		second := brokertest.Publish(t, b, p)
		if second.Duplicate || second.Offset.N != 2 {
			t.Errorf("at the end of the window: %+v, want a new message", second)
		}
		time.Sleep(wire.IdempotencyWindow - time.Second)
		if got := brokertest.Publish(t, b, p); !got.Duplicate || got.Offset != second.Offset {
			t.Errorf("the second window: %+v, want a duplicate of %s", got, second.Offset)
		}
	})
}

func TestMemoryBoundsTheNumberOfKeys(t *testing.T) {
	const most = 4
	b, _ := startMemory(t, broker.Limits{Keys: most})
	key := func(i int) broker.Publication {
		return broker.Publication{Room: room(i), IdempotencyKey: fmt.Sprint("k", i)}
	}
	for i := range most + 1 {
		brokertest.Publish(t, b, key(i))
	}
	for i := 1; i <= most; i++ {
		if got := brokertest.Publish(t, b, key(i)); !got.Duplicate {
			t.Errorf("key %d of the latest %d is forgotten", i, most)
		}
	}
	if got := brokertest.Publish(t, b, key(0)); got.Duplicate {
		t.Errorf("%d keys are remembered, the limit is %d", most+1, most)
	}
}

// What one alert costs does not grow with the alerts that are open: none of them is read again.
func TestMemoryReadsAnAlertOnce(t *testing.T) {
	b, _ := startMemory(t, broker.Limits{})
	defer b.Close()
	raise := func(id int) {
		_, err := b.Publish(t.Context(), broker.Publication{Room: room(0), Event: wire.EventAlert, Retain: true,
			Data: fmt.Appendf(nil, `{"id":%d,"expiresAt":%d}`, id, time.Now().Add(time.Hour).UnixMilli())})
		testkit.Must(t, err)
	}
	few := testing.AllocsPerRun(100, func() { raise(0) })
	for id := range 500 {
		raise(id)
	}
	if many := testing.AllocsPerRun(100, func() { raise(0) }); many > few+100 {
		t.Errorf("an alert takes %v allocations with one open, and %v with 500", few, many)
	}
}

func BenchmarkMemoryPublish(b *testing.B) {
	for _, subscribed := range []bool{false, true} {
		b.Run(fmt.Sprintf("subscribed=%v", subscribed), func(b *testing.B) {
			m := broker.NewMemory(broker.Limits{}, discard{})
			if subscribed {
				_, err := m.Subscribe(b.Context(), room(0))
				testkit.Must(b, err)
			}
			p := broker.Publication{Room: room(0), Event: "E", Data: json.RawMessage(`"` + strings.Repeat("x", 126) + `"`)}
			b.ReportAllocs()
			for b.Loop() {
				_, err := m.Publish(b.Context(), p)
				testkit.Must(b, err)
			}
		})
	}
}

type discard struct{}

func (discard) Message(*broker.Message)                      {}
func (discard) Gap(wire.Room, broker.Gap, []*broker.Message) {}
func (discard) Retained(wire.Room, broker.Snapshot)          {}
