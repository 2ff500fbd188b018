package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// publishAll publishes from many publishers as fast as they are let, and returns how many messages were accepted.
func (h *house) publishAll(room wire.Room, publishers, each int) (accepted int) {
	data := json.RawMessage(`"` + strings.Repeat("x", 500) + `"`)
	var all sync.WaitGroup
	var mu sync.Mutex
	for range publishers {
		all.Go(func() {
			for range each {
				h.send(broker.Publication{Room: room, Data: data})
				mu.Lock()
				accepted++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return accepted
}

// When publishers outrun everybody, they wait; nobody is thrown out, and all that was accepted arrives.
func TestAFloodIsDeliveredToEverybody(t *testing.T) {
	const members = 40
	h := build(t, options{bytes: 64 << 10, limits: endless, wait: 10 * time.Second})
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.sleeper(fmt.Sprint("guest-", i))
		if err := guests[i].join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
	}
	go func() { // the readers begin late
		time.Sleep(100 * time.Millisecond)
		for _, g := range guests {
			g.wake()
		}
	}()
	accepted := h.publishAll(room("a"), 8, 600)
	for _, g := range guests {
		if code := g.Queue.Code(); code != 0 {
			t.Fatalf("%s was closed with %s", g.ID, code)
		}
		if n := wantUnbroken(t, g.flush())[room("a").String()]; n != accepted {
			t.Fatalf("%s got %d of %d messages", g.ID, n, accepted)
		}
	}
	if h.waits.Load() == 0 {
		t.Error("no publisher had to wait: this was no flood")
	}
}

// One client that stops reading makes no publisher wait, costs no more than its bound, and nobody else notices it.
func TestOneOfManyWhoStopsReadingHoldsUpNobody(t *testing.T) {
	const members = 50
	h := build(t, options{bytes: 256 << 10, limits: endless})
	asleep := h.sleeper("asleep")
	guests := []*guest{asleep}
	for i := range members - 1 {
		guests = append(guests, h.guest(fmt.Sprint("guest-", i)))
	}
	for _, g := range guests {
		if err := g.join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
	}
	accepted := 0
	data := json.RawMessage(`"` + strings.Repeat("x", 8000) + `"`)
	for ; asleep.Queue.Code() == 0; accepted++ {
		if accepted == 20_000 {
			t.Fatal("the client that doesn't read is still there")
		}
		h.send(broker.Publication{Room: room("a"), Data: data})
		eventually(t, "the others have read", func() bool { return h.pool.Waiting() <= int64(asleep.Queue.Stats().Waiting) })
	}
	if code := asleep.Queue.Code(); code != wire.CloseSlowConsumer {
		t.Errorf("closed with %s, want %s", code, wire.CloseSlowConsumer)
	}
	if n := h.waits.Load(); n != 0 {
		t.Errorf("publishers had to wait %d times", n)
	}
	for _, g := range guests[1:] {
		if n := wantUnbroken(t, g.flush())[room("a").String()]; n != accepted || g.Queue.Code() != 0 {
			t.Fatalf("%s got %d of %d messages, code %s", g.ID, n, accepted, g.Queue.Code())
		}
	}
}

// When one of 1,000 stops reading, the others' latency stays what it was. The bound is far above what noise does to the
// figures, and far below what they are when anyone waits for the one: it sleeps for the whole second half.
func TestTheOthersKeepTheirLatencyWhenOneOfAThousandStopsReading(t *testing.T) {
	const others, messages = 999, 200
	watch := new(stopwatch)
	h := build(t, options{bytes: 1 << 20, limits: endless, meter: watch})
	asleep := h.sleeper("asleep")
	steady := func() { // at the pace of those who read
		for range messages {
			h.send(broker.Publication{Room: room("a"), Data: json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)})
			eventually(t, "those who read have read", func() bool { return h.pool.Waiting() == int64(asleep.Queue.Stats().Waiting) })
		}
	}
	for i := range others {
		if err := h.idle(t, fmt.Sprint(i), drain(t)).Join(t.Context(), []hub.Join{{Room: room("a")}}, silent); err != nil {
			t.Fatal(err)
		}
	}
	steady()
	before := watch.p99(t, others*messages)

	if err := asleep.join(hub.Join{Room: room("a")}, hub.Join{Room: room("b")}); err != nil {
		t.Fatal(err)
	}
	for asleep.Queue.Stats().Waiting == 0 { // until its socket is full
		h.send(broker.Publication{Room: room("b"), Data: json.RawMessage(`"` + strings.Repeat("x", 60_000) + `"`)})
		time.Sleep(time.Millisecond)
	}
	watch.forget()
	steady()
	after := watch.p99(t, others*messages)
	t.Logf("p99 from the broker to the socket: %v, and with one of them asleep %v", before, after)
	if after > 5*before+20*time.Millisecond {
		t.Errorf("p99 was %v, and is %v with one of a thousand asleep", before, after)
	}
	for _, s := range h.Sessions() {
		if code := s.Queue.Code(); code != 0 {
			t.Fatalf("%s was closed with %s", s.ID, code)
		}
	}
}

// However few the members are: the one of them that stops reading makes publishers wait for a moment, once.
func TestOneOfFewWhoStopsReadingHoldsUpNobody(t *testing.T) {
	for _, members := range []int{2, 4, 8} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			h := build(t, options{bytes: 1 << 20, limits: endless, slow: time.Minute, wait: 10 * time.Second})
			asleep := h.sleeper("asleep")
			guests := []*guest{asleep}
			for i := range members - 1 {
				guests = append(guests, h.guest(fmt.Sprint("guest-", i)))
			}
			for _, g := range guests {
				if err := g.join(hub.Join{Room: room("a")}); err != nil {
					t.Fatal(err)
				}
			}
			data := json.RawMessage(`"` + strings.Repeat("x", 16_000) + `"`)
			accepted := 0
			for ; asleep.Queue.Code() == 0; accepted++ {
				h.send(broker.Publication{Room: room("a"), Data: data})
				eventually(t, "the others have read", func() bool { return h.pool.Waiting() <= int64(asleep.Queue.Stats().Waiting) })
			}
			if n := h.waits.Load(); n > 3 {
				t.Errorf("publishers had to wait %d times for one that takes nothing", n)
			}
			for _, g := range guests[1:] {
				if n := wantUnbroken(t, g.flush())[room("a").String()]; n != accepted {
					t.Fatalf("%s got %d of %d messages", g.ID, n, accepted)
				}
			}
		})
	}
}

// slowed counts how often a member became slow.
type slowed struct {
	quiet
	atomic.Int64
}

func (s *slowed) Slow(n int) { s.Add(int64(max(n, 0))) }

// When all read slower than is published, they count as slow, and publishers wait for them all the same.
func TestAFloodOfSlowReadersIsDeliveredToEverybody(t *testing.T) {
	const members = 40
	var slow slowed
	h := build(t, options{bytes: 1 << 20, limits: endless, slow: 50 * time.Millisecond, wait: 20 * time.Second, meter: &slow})
	h.dial = narrow
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.sleeper(fmt.Sprint("guest-", i))
		guests[i].pace = 2 * time.Millisecond
		if err := guests[i].join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
		guests[i].wake()
	}
	accepted := h.publishAll(room("a"), 4, 900)
	for _, g := range guests {
		if n := wantUnbroken(t, g.flush())[room("a").String()]; n != accepted || g.Queue.Code() != 0 {
			t.Fatalf("%s got %d of %d messages, closed with %s", g.ID, n, accepted, g.Queue.Code())
		}
	}
	if n := slow.Load(); h.waits.Load() == 0 || n < members {
		t.Errorf("publishers waited %d times and members became slow %d times: this was no flood", h.waits.Load(), n)
	}
}

// What the broker has accepted and not yet delivered counts as well: with Redis both are different moments.
func TestPublishersWaitForWhatIsUnderWayFromTheBroker(t *testing.T) {
	h := build(t, options{bytes: 256 << 10, limits: endless, wait: 100 * time.Millisecond})
	g := h.guest("g")
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	h.broker.tap.turnOff()
	p := broker.Publication{Room: room("a"), Event: "E", Data: json.RawMessage(`"` + strings.Repeat("x", 8000) + `"`)}
	accepted := 0
	var err error
	for ; err == nil && accepted < 1000; accepted++ {
		_, err = h.Publish(t.Context(), p)
	}
	if e := wire.AsError(err); err == nil || e.Code != wire.CodeRateLimited || accepted > 10 {
		t.Fatalf("after %d messages that are under way: %v", accepted, err)
	}
	h.broker.tap.turnOn()
	for range 20 {
		if _, err := h.Publish(t.Context(), p); err != nil {
			t.Fatalf("after all has arrived: %v", err)
		}
	}
	wantUnbroken(t, g.flush())
}

// A publisher waits so long and no longer; other rooms go on meanwhile.
func TestPublishersAreRefusedWhenTheirMembersDoNotRecover(t *testing.T) {
	h := build(t, options{bytes: 64 << 10, stall: time.Minute, wait: 50 * time.Millisecond})
	g := h.sleeper("g")
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Fatal(err)
	}
	data := json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)
	var refused *wire.Error
	for range 10_000 {
		if _, err := h.Publish(t.Context(), broker.Publication{Room: room("a"), Event: "E", Data: data}); err != nil {
			refused = wire.AsError(err)
			break
		}
	}
	if refused == nil || refused.Code != wire.CodeRateLimited || refused.RetryAfter == 0 || g.Queue.Code() != 0 {
		t.Fatalf("got %v, closed with %s; want rate_limited with a time to try again, and the client still there", refused, g.Queue.Code())
	}
	h.send(broker.Publication{Room: room("b"), Data: data})
	g.wake()
	eventually(t, "publishing works again", func() bool {
		_, err := h.Publish(t.Context(), broker.Publication{Room: room("a"), Event: "E", Data: data})
		return err == nil
	})
}

// A few who read slowly, and don't stop, are left to their bound: the others' publishers don't go at their pace.
func TestAFewSlowReadersDontSetThePace(t *testing.T) {
	const quick, slow = 14, 2
	h := build(t, options{bytes: 1 << 20, limits: endless, slow: 100 * time.Millisecond, wait: 10 * time.Second})
	for i := range quick {
		if err := h.guest(fmt.Sprint("quick-", i)).join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
	}
	h.dial = narrow
	tricklers := make([]*guest, slow)
	for i := range tricklers {
		tricklers[i] = h.sleeper(fmt.Sprint("slow-", i))
		tricklers[i].pace = 10 * time.Millisecond
		if err := tricklers[i].join(hub.Join{Room: room("a")}); err != nil {
			t.Fatal(err)
		}
		tricklers[i].wake()
	}
	data := json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)
	for published := 0; tricklers[0].Queue.Code() == 0 || tricklers[1].Queue.Code() == 0; published++ {
		if published > 5000 {
			t.Fatal("20 MB were published, and those who read 150 KB a second are still there: they set the pace")
		}
		h.send(broker.Publication{Room: room("a"), Data: data})
		eventually(t, "the quick ones have read", func() bool {
			return h.pool.Waiting() <= int64(tricklers[0].Queue.Stats().Waiting+tricklers[1].Queue.Stats().Waiting)
		})
	}
	if n := h.waits.Load(); n > 10 {
		t.Errorf("publishers had to wait %d times", n)
	}
}

// Each of many rooms is busy with one publisher, and all of them have one member in common. It reads as fast as it can, and
// that they are all for it is nobody's fault: their publishers wait for it.
func TestAFloodOfManyRoomsIsDeliveredToWhoIsInAllOfThem(t *testing.T) {
	for _, others := range []int{0, 9} {
		t.Run(fmt.Sprint(others, " others in each"), func(t *testing.T) {
			const rooms, each = 64, 40
			h := build(t, options{bytes: 1 << 20, rooms: rooms, limits: endless, wait: 20 * time.Second})
			g := h.guest("everywhere")
			var joins []hub.Join
			for i := range rooms {
				joins = append(joins, hub.Join{Room: room(fmt.Sprint(i))})
				for j := range others {
					if err := h.idle(t, fmt.Sprint(i, "-", j), drain(t)).Join(t.Context(), joins[i:], silent); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := g.join(joins...); err != nil {
				t.Fatal(err)
			}
			data := json.RawMessage(`"` + strings.Repeat("x", 8000) + `"`)
			var all sync.WaitGroup
			for _, j := range joins {
				all.Go(func() {
					for range each {
						h.send(broker.Publication{Room: j.Room, Data: data})
					}
				})
			}
			all.Wait()
			got := wantUnbroken(t, g.flush())
			for _, j := range joins {
				if n := got[j.Room.String()]; n != each || g.Queue.Code() != 0 {
					t.Fatalf("got %d of %d messages of %s, closed with %s", n, each, j.Room, g.Queue.Code())
				}
			}
			if h.waits.Load() == 0 {
				t.Error("no publisher had to wait: this was no flood")
			}
		})
	}
}
