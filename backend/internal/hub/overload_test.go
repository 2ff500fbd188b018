package hub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// announced is the line between two hubs: what one announces, the other hears.
type announced struct {
	mu    sync.Mutex
	until map[wire.Room]time.Time
}

func (a *announced) OverloadedUntil(room wire.Room) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until[room]
}

// An announcer is its one end.
type announcer struct{ to *announced }

func newAnnouncer() announcer { return announcer{&announced{until: map[wire.Room]time.Time{}}} }

func (a announcer) Announce(room wire.Room) {
	a.to.mu.Lock()
	defer a.to.mu.Unlock()
	a.to.until[room] = time.Now().Add(backpressure.SignalTTL)
}

func (announcer) OverloadedUntil(wire.Room) time.Time { return time.Time{} }

// A listener is the other.
type listener struct{ *announced }

func (listener) Announce(wire.Room) {}

// An instance without members of a room lets its publishers wait for those of another one, and no
// longer than they are behind.
func TestPublishersWaitForMembersOfOtherInstances(t *testing.T) {
	line := newAnnouncer()
	h := build(t, options{bytes: 64 << 10, stall: time.Minute, limits: endless, signal: line, wait: 50 * time.Millisecond})
	elsewhere := build(t, options{signal: listener{line.to}, wait: 50 * time.Millisecond})
	g := h.sleeper("g")
	g.enter(room("a"))
	p := broker.Publication{Room: room("a"), Event: "E", Data: xs(4000)}
	if _, err := elsewhere.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for { // until the member is behind for good
		if _, err := h.Publish(t.Context(), p); err != nil {
			break
		}
	}
	h.abroad(room("a"), 1)
	eventually(t, "it is announced", func() bool { return !line.to.OverloadedUntil(room("a")).IsZero() })
	for range 3 { // it is announced again and again, although nothing is published any more
		time.Sleep(backpressure.SignalInterval)
		eventually(t, "the other instance refuses publications", func() bool {
			_, err := elsewhere.Publish(t.Context(), p)
			return err != nil && wire.AsError(err).Code == wire.CodeRateLimited
		})
	}
	p.Room = room("b")
	if _, err := elsewhere.Publish(t.Context(), p); err != nil {
		t.Errorf("another room: %v", err)
	}
	g.wake()
	p.Room = room("a")
	eventually(t, "the other instance publishes again", func() bool {
		_, err := elsewhere.Publish(t.Context(), p)
		return err == nil
	})
}

// abroad publishes as another instance does: without asking whether the members here can take it.
func (h *house) abroad(name wire.Room, n int) {
	h.t.Helper()
	for range n {
		p := broker.Publication{Room: name, Event: "E", Data: xs(4000)}
		if _, err := h.broker.Publish(h.t.Context(), p); err != nil {
			h.t.Fatal(err)
		}
	}
}

// What other instances publish before they hear of it may be far more than the members' queues
// hold: nobody is thrown out.
func TestWhatIsOnItsWayFromOtherInstancesThrowsNobodyOut(t *testing.T) {
	const members, messages = 6, 200
	line := newAnnouncer()
	h := build(t, options{bytes: 128 << 10, limits: endless, signal: line, stall: time.Minute})
	h.dial = narrow
	guests := make([]*guest, members)
	for i := range guests {
		guests[i] = h.sleeper(fmt.Sprint("guest-", i))
		guests[i].enter(room("a"))
	}
	h.abroad(room("a"), messages)
	if h.Deferred() == 0 {
		t.Error("nothing waits in the room: this was no flood")
	}
	eventually(t, "it is announced", func() bool { return !line.to.OverloadedUntil(room("a")).IsZero() })
	h.abroad(room("b"), 1) // another room goes on
	for _, g := range guests {
		g.wake()
	}
	late := h.member("late", room("a")) // who comes meanwhile finds all of it in its order
	eventually(t, "all that was deferred has gone to the members", func() bool { return h.Deferred() == 0 })
	for _, g := range guests {
		g.wantAll(room("a"), messages)
	}
	wantUnbroken(t, late.flush())
}

// Who joins while messages are deferred joins where the members are, and gets those with them.
func TestWhoJoinsIsNotHeldUpByWhatIsDeferred(t *testing.T) {
	h := build(t, options{bytes: 128 << 10, limits: endless, signal: newAnnouncer(), stall: time.Minute, wait: time.Minute})
	h.dial = narrow
	asleep := h.sleeper("asleep")
	asleep.enter(room("a"))
	first := h.send(broker.Publication{Room: room("a")})
	published := 1
	for ; h.Deferred() < 512<<10; published++ { // until its socket is full for good
		h.abroad(room("a"), 1)
	}
	late := h.guest("late")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	testkit.Must(t, late.joinThen(ctx, nil, hub.Join{Room: room("a"), After: first}))
	if h.Deferred() == 0 {
		t.Error("nothing was deferred any more when it had joined")
	}
	asleep.wake()
	eventually(t, "all that was deferred has gone to the members", func() bool { return h.Deferred() == 0 })
	asleep.wantAll(room("a"), published)
	late.wantAll(room("a"), published-1)
}

// When a room can hold back no more, only the oldest goes to the members: one of them that reads
// nothing does not have the others thrown out with it.
func TestWhatOverflowsIsNotAllThatIsDeferred(t *testing.T) {
	h := build(t, options{bytes: 64 << 10, limits: endless, signal: newAnnouncer(), stall: time.Minute, wait: time.Minute})
	h.dial = narrow
	asleep := []*guest{h.sleeper("asleep-1"), h.sleeper("asleep-2")}
	for _, g := range asleep {
		g.enter(room("a"))
	}
	reads := h.member("reads", room("a"))
	const nearlyFull = 7 * 64 << 10
	for before, full := 0, false; !full; {
		h.abroad(room("a"), 1)
		after := h.Deferred()
		if full = before > nearlyFull && after <= before; full && before-after > before/2 {
			t.Errorf("%d of %d bytes went to the members at once, for a message of 4000", before-after, before)
		}
		before = after
	}
	if code := reads.Queue.Code(); code != 0 {
		t.Errorf("who reads was closed with %s", code)
	}
}

// A room holds back so much and no more, and in their order; members who never read meet their
// bound.
func TestWhatIsDeferredInARoomIsBounded(t *testing.T) {
	line := newAnnouncer()
	h := build(t, options{bytes: 64 << 10, limits: endless, signal: line, stall: time.Minute})
	h.dial = narrow
	g := h.sleeper("g")
	g.enter(room("a"))
	most := 0
	for range 1000 {
		h.abroad(room("a"), 1)
		most = max(most, h.Deferred())
	}
	if most == 0 || most > 8*64<<10 {
		t.Errorf("%d bytes waited in the room, want some, and at most eight times the bound of a connection", most)
	}
	if code := g.Queue.Code(); code != wire.CloseSlowConsumer {
		t.Errorf("closed with %s, want %s", code, wire.CloseSlowConsumer)
	}
	g.end()
	eventually(t, "nothing is kept for nobody", func() bool { return h.Deferred() == 0 })
}
