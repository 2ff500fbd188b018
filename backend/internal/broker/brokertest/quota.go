package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// WantExceeded fails unless the error refuses a publication because of this quota, and names its
// value and the setting.
func WantExceeded(t testing.TB, err error, quota string, value int) {
	t.Helper()
	refused, ok := errors.AsType[*broker.QuotaError](err)
	if !ok || refused.Quota != quota || wire.AsError(err).Code != wire.CodeQuotaExceeded {
		t.Errorf("%v, want a refusal by the quota %s", err, quota)
		return
	}
	for _, part := range []string{fmt.Sprint(value), "QUOTA_" + strings.ToUpper(quota)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %q", err, part)
		}
	}
}

func sized(n int) json.RawMessage {
	return append(append([]byte{'"'}, bytes.Repeat([]byte("x"), n-2)...), '"')
}

func quotaRooms(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{Warehouse: broker.Quota{Rooms: 3}})
	w := Room(t).Warehouse
	zone := func(i int) wire.Room { return wire.Room{Warehouse: w, Zone: fmt.Sprint(i)} }
	Subscribe(t, b, zone(3))
	for i := range 3 {
		publish(t, b, broker.Publication{Room: zone(i)})
	}
	for range 2 {
		_, err := b.Publish(t.Context(), broker.Publication{Room: zone(3), Event: "E", Data: json.RawMessage(`1`)})
		WantExceeded(t, err, broker.QuotaRooms, 3)
	}
	publish(t, b, broker.Publication{Room: zone(0)}) // the others go on
	if there, err := b.DeleteRoom(t.Context(), zone(1)); err != nil || !there {
		t.Fatalf("delete a room: %v %v", there, err)
	}
	testkit.Succeeds(t, "there is room for another one", func() error {
		_, err := b.Publish(t.Context(), broker.Publication{Room: zone(3), Event: "E", Data: json.RawMessage(`1`)})
		return err
	})
	r.WantExactly(zone(3), 1, 1) // what was refused left nothing
}

func quotaHistory(t *testing.T, open Open) {
	const size, quota = 10_000, 100_000
	b, r := start(t, open, broker.Limits{Warehouse: broker.Quota{HistoryBytes: quota}})
	w := Room(t).Warehouse
	full, other := wire.Room{Warehouse: w, Zone: "full"}, wire.Room{Warehouse: w, Zone: "other"}
	Subscribe(t, b, full)
	var last wire.Offset
	for range 30 {
		last = publish(t, b, broker.Publication{Room: full, Data: sized(size)})
	}
	r.WantExactly(full, 1, 30) // those who are there get all of it
	page := history(t, b, full, wire.Offset{Epoch: last.Epoch}, 100)
	if n := len(page.Messages); n < 5 || n*size > quota || page.Gap == nil || page.Messages[n-1].Offset != last {
		t.Errorf("%d messages of %d bytes are kept with a quota of %d", n, size, quota)
	}
	_, err := b.Publish(t.Context(), broker.Publication{Room: other, Event: "E", Data: sized(3 * size)})
	WantExceeded(t, err, broker.QuotaHistoryBytes, quota)
	publish(t, b, broker.Publication{Room: full, Data: sized(size)}) // it gives up its own oldest ones
}

func quotaRetained(t *testing.T, open Open) {
	const size, bytes = 10_000, 35_000
	b, r := start(t, open, broker.Limits{Warehouse: broker.Quota{RetainedBytes: bytes, RetainedEvents: 4}})
	w := Room(t).Warehouse
	zone := func(i int) wire.Room { return wire.Room{Warehouse: w, Zone: fmt.Sprint(i)} }
	retain := func(i int, event string, n int) error {
		_, err := b.Publish(t.Context(), broker.Publication{Room: zone(i), Event: event, Retain: true, Data: sized(n)})
		return err
	}
	Subscribe(t, b, zone(3))
	for i := range 3 {
		testkit.Must(t, retain(i, "STATE", size))
	}
	WantExceeded(t, retain(3, "STATE", size), broker.QuotaRetainedBytes, bytes)
	testkit.Must(t, retain(0, "STATE", size)) // in place of the one before
	WantExceeded(t, retain(0, "STATE", 2*size), broker.QuotaRetainedBytes, bytes)
	testkit.Must(t, retain(0, "STATE", size/2))
	testkit.Must(t, retain(3, "STATE", size/2))
	WantExceeded(t, retain(3, "ANOTHER", 10), broker.QuotaRetainedEvents, 4)
	publish(t, b, broker.Publication{Room: zone(3), Data: sized(size)}) // it is not retained
	if there, err := b.DeleteRetained(t.Context(), zone(1), "STATE"); err != nil || !there {
		t.Fatalf("delete a retained event: %v %v", there, err)
	}
	testkit.Must(t, retain(3, "ANOTHER", 10))
	r.WantExactly(zone(3), 1, 3)
}

// quotaOfOne: while one warehouse is published to as fast as can be, at many times what it may
// keep, all that is published to another one is accepted and arrives.
func quotaOfOne(t *testing.T, open Open) {
	const rooms, messages = 10, 200
	b, r := start(t, open, broker.Limits{Warehouse: broker.Quota{Rooms: rooms, HistoryBytes: 50_000, RetainedBytes: 20_000,
		RetainedEvents: rooms}})
	greedy, modest := Room(t).Warehouse, Room(t)
	Subscribe(t, b, modest)
	ctx, cancel := context.WithCancel(t.Context())
	var accepted, refused atomic.Int64
	var flood sync.WaitGroup
	for i := range publishers {
		flood.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				at := wire.Room{Warehouse: greedy, Zone: fmt.Sprint(i, "-", n)}
				_, err := b.Publish(ctx, broker.Publication{Room: at, Event: "E", Retain: true, Data: sized(5_000)})
				switch {
				case err == nil:
					accepted.Add(1)
				case wire.AsError(err).Code == wire.CodeQuotaExceeded:
					refused.Add(1)
				case ctx.Err() == nil:
					t.Errorf("refused with %v", err)
				}
			}
		})
	}
	for range messages {
		publish(t, b, broker.Publication{Room: modest, Event: "STATE", Retain: true, Data: sized(100)})
	}
	testkit.Eventually(t, "ten times the quota was published", func() bool { return refused.Load() > 10*rooms })
	cancel()
	flood.Wait()
	r.WantExactly(modest, 1, messages)
	// What is on its way at the same time may go beyond the quota.
	if n := accepted.Load(); n == 0 || n > rooms+publishers {
		t.Errorf("%d rooms were accepted, the quota is %d", n, rooms)
	}
	used := b.Usage()
	if u := used[greedy]; u.Rooms > rooms+publishers || u.HistoryBytes == 0 {
		t.Errorf("it is said to keep %+v", u)
	}
	if u, err := b.UsageOf(t.Context(), modest.Warehouse); err != nil || u != used[modest.Warehouse] {
		t.Errorf("asked for one warehouse, it says %+v, %v; want %+v", u, err, used[modest.Warehouse])
	}
	if u := used[modest.Warehouse]; u.Rooms != 1 || u.RetainedEvents != 1 || u.HistoryBytes < 100*messages {
		t.Errorf("the other is said to keep %+v", u)
	}
}
