package hub_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// publishAll publishes as fast as the publishers are let, and returns how many messages that were.
func (h *house) publishAll(room wire.Room, publishers, each int) int {
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				h.send(broker.Publication{Room: room, Data: xs(500)})
			}
		})
	}
	all.Wait()
	return publishers * each
}

// publishUntilClosed publishes at the pace of those who read, at most so many messages, until each
// of those who don't is closed as slow, and returns how many messages that took.
func (h *house) publishUntilClosed(data json.RawMessage, most int, slow ...*guest) (published int) {
	h.t.Helper()
	isOpen := func(g *guest) bool { return g.Queue.Code() == 0 }
	for ; slices.ContainsFunc(slow, isOpen); published++ {
		if published == most {
			h.t.Fatalf("%d messages were published, and those who don't read are still there", published)
		}
		h.send(broker.Publication{Room: room("a"), Data: data})
		eventually(h.t, "the others have read", func() bool {
			waiting := h.pool.QueuedBytes()
			for _, g := range slow {
				waiting -= int64(g.Queue.Stats().QueuedBytes)
			}
			return waiting <= 0
		})
	}
	for _, g := range slow {
		if code := g.Queue.Code(); code != wire.CloseSlowConsumer {
			h.t.Errorf("%s was closed with %s, want %s", g.ID, code, wire.CloseSlowConsumer)
		}
	}
	return published
}

// patient is for readers that share a busy machine with the server: they may not come to read for
// more than the second after which a client would be given up.
const patient = 20 * time.Second

// When publishers outrun everybody, they wait; nobody is thrown out, and all that was accepted
// arrives.
func TestAFloodIsDeliveredToEverybody(t *testing.T) {
	const members = 12
	h := build(t, options{bytes: 512 << 10, limits: endless, wait: time.Minute, stall: patient})
	h.dial = narrow
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.sleeper(fmt.Sprint("guest-", i))
		guests[i].enter(room("a"))
	}
	go func() { // the readers begin late
		time.Sleep(100 * time.Millisecond)
		for _, g := range guests {
			g.wake()
		}
	}()
	published := h.publishAll(room("a"), 8, 300)
	for _, g := range guests {
		g.wantAll(room("a"), published)
	}
	h.wantWaits()
}

// wantWaits fails unless publishers had to wait.
func (h *house) wantWaits() {
	h.t.Helper()
	if h.waits.Load() == 0 {
		h.t.Error("no publisher had to wait: this was no flood")
	}
}

// One client that stops reading costs no more than its bound, and nobody else notices it: among
// many it makes no publisher wait, and among few only for a moment, once.
func TestOneWhoStopsReadingHoldsUpNobody(t *testing.T) {
	for _, tt := range []struct {
		members, bytes, data int
		waits                int64
	}{{2, 512 << 10, 16_000, 3}, {4, 512 << 10, 16_000, 3}, {8, 512 << 10, 16_000, 3}, {50, 256 << 10, 8000, 0}} {
		t.Run(fmt.Sprint("of ", tt.members), func(t *testing.T) {
			h := build(t, options{bytes: tt.bytes, limits: endless, slow: time.Minute, wait: 10 * time.Second})
			var others []*guest
			for i := range tt.members - 1 {
				others = append(others, h.member(fmt.Sprint("guest-", i), room("a")))
			}
			h.dial = narrow
			asleep := h.sleeper("asleep")
			asleep.enter(room("a"))
			published := h.publishUntilClosed(xs(tt.data), 20_000, asleep)
			if n := h.waits.Load(); n > tt.waits {
				t.Errorf("publishers had to wait %d times for one that takes nothing, want at most %d", n, tt.waits)
			}
			for _, g := range others {
				g.wantAll(room("a"), published)
			}
		})
	}
}

// When one of 1,000 stops reading, the others' latency stays what it was. The bound is far above
// what noise does to the figures, and far below what they are when anyone waits for the one: it
// sleeps for the whole second half.
func TestTheOthersKeepTheirLatencyWhenOneOfAThousandStopsReading(t *testing.T) {
	const others, messages = 999, 20
	watch := new(stopwatch)
	h := build(t, options{bytes: 1 << 20, limits: endless, meter: watch})
	h.dial = narrow
	asleep := h.sleeper("asleep")
	steady := func() { // at the pace of those who read
		for range messages {
			h.send(broker.Publication{Room: room("a"), Data: xs(2000)})
			eventually(t, "those who read have read", func() bool { return h.pool.QueuedBytes() == int64(asleep.Queue.Stats().QueuedBytes) })
		}
	}
	for i := range others {
		h.idle(t, fmt.Sprint(i), drain(t), hub.Join{Room: room("a")})
	}
	steady()
	before := watch.p99(t, others*messages)

	asleep.enter(room("a"), room("b"))
	for asleep.Queue.Stats().QueuedBytes == 0 { // until its socket is full
		h.send(broker.Publication{Room: room("b"), Data: xs(60_000)})
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

// slowed counts how often a member became slow.
type slowed struct {
	quiet
	atomic.Int64
}

func (s *slowed) Slow(n int) { s.Add(int64(max(n, 0))) }

// When all read slower than is published, they count as slow, and publishers wait for them all the
// same.
func TestAFloodOfSlowReadersIsDeliveredToEverybody(t *testing.T) {
	const members = 20
	var slow slowed
	// A smaller bound is filled while the system does not run the thread of one reader, which is
	// then an outlier.
	h := build(t, options{bytes: 512 << 10, limits: endless, slow: 50 * time.Millisecond,
		wait: time.Minute, stall: patient, meter: &slow})
	h.dial = narrow
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.trickler(fmt.Sprint("guest-", i), 2*time.Millisecond)
	}
	published := h.publishAll(room("a"), 4, 500)
	for _, g := range guests {
		g.wantAll(room("a"), published)
	}
	h.wantWaits()
	if slow.Load() == 0 {
		t.Error("nobody became slow: this was no flood")
	}
}

// trickler is a member that reads slowly.
func (h *house) trickler(name string, pace time.Duration) *guest {
	h.t.Helper()
	g := h.sleeper(name)
	g.pace = pace
	g.enter(room("a"))
	g.wake()
	return g
}

// What the broker has accepted and not yet delivered counts as well: with Redis both are different
// moments.
func TestPublishersWaitForWhatIsUnderWayFromTheBroker(t *testing.T) {
	h := build(t, options{bytes: 256 << 10, limits: endless, wait: 100 * time.Millisecond})
	g := h.member("g", room("a"))
	h.broker.tap.turnOff()
	p := broker.Publication{Room: room("a"), Event: "E", Data: xs(8000)}
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
	g.enter(room("a"))
	data := xs(4000)
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

// A few who read slowly, and don't stop, are left to their bound: the others' publishers don't go
// at their pace.
func TestAFewSlowReadersDontSetThePace(t *testing.T) {
	const quick, most = 14, 1250 // 20 MB
	h := build(t, options{bytes: 1 << 20, limits: endless, slow: 100 * time.Millisecond, wait: 10 * time.Second})
	for i := range quick {
		h.member(fmt.Sprint("quick-", i), room("a"))
	}
	h.dial = narrow
	const pace = 10 * time.Millisecond // 150 KB a second
	published := h.publishUntilClosed(xs(16_000), most, h.trickler("slow-0", pace), h.trickler("slow-1", pace))
	if n := h.waits.Load(); n > int64(published/4) { // some are for the grace of a few
		t.Errorf("publishers had to wait %d times for %d messages", n, published)
	}
}

// Each of many rooms is busy with one publisher, and all of them have one member in common. It
// reads as fast as it can, and that they are all for it is nobody's fault: their publishers wait
// for it.
func TestAFloodOfManyRoomsIsDeliveredToWhoIsInAllOfThem(t *testing.T) {
	for _, others := range []int{0, 9} {
		t.Run(fmt.Sprint(others, " others in each"), func(t *testing.T) {
			const rooms, each = 32, 20
			h := build(t, options{bytes: 1 << 20, rooms: rooms, limits: endless, wait: time.Minute, stall: patient})
			var joins []hub.Join
			for i := range rooms {
				joins = append(joins, hub.Join{Room: room(fmt.Sprint(i))})
				for j := range others {
					h.idle(t, fmt.Sprint(i, "-", j), drain(t), joins[i:]...)
				}
			}
			h.dial = narrow
			g := h.guest("everywhere")
			g.mustJoin(joins...)
			var all sync.WaitGroup
			for _, j := range joins {
				all.Go(func() {
					for range each {
						h.send(broker.Publication{Room: j.Room, Data: xs(8000)})
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
			h.wantWaits()
		})
	}
}
