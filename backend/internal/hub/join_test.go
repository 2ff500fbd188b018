package hub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestMembersSeeOffsetsRiseByOneFromTheirAnnouncement(t *testing.T) {
	const guests, rounds = 8, 25
	h := build(t, options{limits: endless})
	stop := h.flood(room("a"), 2)
	var all sync.WaitGroup
	for i := range guests {
		g := h.guest(fmt.Sprint("guest-", i))
		all.Go(func() {
			for range rounds {
				if err := g.join(hub.Join{Room: room("a")}, hub.Join{Room: room("b")}); err != nil {
					t.Error(err)
					return
				}
				before := g.got()
				eventually(t, "messages come", func() bool { return g.got() > before+i })
				g.exit(room("a"))
			}
			if n := wantUnbroken(t, g.flush())[room("a").String()]; n < rounds {
				t.Errorf("%s got %d messages in %d rounds", g.ID, n, rounds)
			}
		})
	}
	all.Wait()
	stop()
	if n := h.gaps.Load(); n != 0 {
		t.Errorf("%d gaps were told although nothing was missed", n)
	}
}

func TestAnnouncementComesOnceWithAllOffsetsBeforeAnyMessage(t *testing.T) {
	h := build(t, options{})
	h.publish(room("a"), 3)
	h.publish(room("b"), 5)
	g := h.guest("g")
	var announced []wire.Cursor
	err := g.Join(t.Context(), []hub.Join{{Room: room("a")}, {Room: room("b")}, {Room: room("empty")}},
		func(places wire.Cursor) {
			announced = append(announced, places)
			h.publish(room("a"), 1)
			h.publish(room("empty"), 1)
		})
	if err != nil || len(announced) != 1 || len(announced[0]) != 3 {
		t.Fatalf("announced %v, %v", announced, err)
	}
	for i, want := range []uint64{3, 5, 0} {
		if got := announced[0][i].Offset; got.N != want || got.Epoch == "" {
			t.Errorf("room %d was announced at %s, want number %d", i, got, want)
		}
	}
	h.publish(room("b"), 1)
	wantNumbers(t, g, room("a"), "4")
	wantNumbers(t, g, room("b"), "6")
	wantNumbers(t, g, room("empty"), "1")
	if rooms := g.Rooms(); len(rooms) != 3 {
		t.Errorf("the session is in %v", rooms)
	}
}

// What comes between the announcement and the membership may be more than the hub bridges by
// itself.
func TestManyMessagesDuringTheAnnouncementAreNotLost(t *testing.T) {
	const n = 500
	h := build(t, options{})
	h.send(broker.Publication{Room: room("a"), Event: "STATE", Retain: true})
	g := h.guest("g")
	testkit.Must(t, g.joinThen(t.Context(), func() { h.publish(room("a"), n) }, hub.Join{Room: room("a")}))
	h.publish(room("a"), 3)
	if got := wantUnbroken(t, g.flush())[room("a").String()]; got != n+3 {
		t.Errorf("%d messages, want %d", got, n+3)
	}
	if got := numbers(t, g.seen(), room("a")); got[0] != "retained 1" {
		t.Errorf("the first is %s, want the retained event", got[0])
	}
}

func TestLeavingEndsDelivery(t *testing.T) {
	h := build(t, options{})
	g, other := h.member("g", room("a"), room("b")), h.member("other", room("a"), room("b"))
	h.publish(room("a"), 1)
	g.exit(room("a"))
	h.publish(room("a"), 2)
	h.publish(room("b"), 1)
	wantNumbers(t, g, room("a"), "1")
	wantNumbers(t, g, room("b"), "1")
	wantNumbers(t, other, room("a"), "1", "2", "3")
	if rooms := g.Rooms(); len(rooms) != 1 || rooms[0] != room("b") {
		t.Errorf("the session is in %v, want b alone", rooms)
	}
	for _, unknown := range []wire.Room{room("a"), room("never")} {
		if err := g.Leave(unknown); err == nil || wire.AsError(err).Code != wire.CodeNotSubscribed {
			t.Errorf("leaving %s: %v, want the code %s", unknown, err, wire.CodeNotSubscribed)
		}
	}
}

func TestRoomsOfASessionAreLimited(t *testing.T) {
	h := build(t, options{rooms: 3})
	g := h.guest("g")
	refused := func(joins ...hub.Join) {
		t.Helper()
		err := g.Join(t.Context(), joins, func(wire.Cursor) { t.Error("a refused joining was announced") })
		if err == nil || wire.AsError(err).Code != wire.CodeLimitReached {
			t.Errorf("joining %v: %v, want the code %s", joins, err, wire.CodeLimitReached)
		}
	}
	refused(hub.Join{Room: room("a")}, hub.Join{Room: room("b")}, hub.Join{Room: room("c")}, hub.Join{Room: room("d")})
	if n := h.Rooms(); n != 0 {
		t.Errorf("a refused joining left %d rooms", n)
	}
	g.enter(room("a"), room("b"), room("c"))
	refused(hub.Join{Room: room("d")})
	refused(hub.Join{Room: room("a")}, hub.Join{Room: room("d")})
	if err := g.join(hub.Join{Room: room("a")}); err != nil {
		t.Errorf("joining again at the limit: %v", err)
	}
	g.exit(room("b"))
	if err := g.join(hub.Join{Room: room("d")}); err != nil {
		t.Errorf("joining after leaving: %v", err)
	}
}

func TestJoiningARoomTwiceAtOnceIsOneMembership(t *testing.T) {
	h := build(t, options{})
	g := h.member("g", room("a"), room("a"))
	h.publish(room("a"), 2)
	wantNumbers(t, g, room("a"), "1", "2")
	if n := len(g.Rooms()); n != 1 {
		t.Errorf("the session is in %d rooms, want 1", n)
	}
	g.exit(room("a"))
	eventually(t, "the room is released", func() bool { return h.Rooms() == 0 })
}

func TestJoiningAgain(t *testing.T) {
	h := build(t, options{})
	h.send(broker.Publication{Room: room("a"), Event: "STATE", Retain: true})
	g := h.guest("g")
	for i := range 3 {
		g.enter(room("a"))
		h.publish(room("a"), 1)
		wantUnbroken(t, g.flush())
		if n := len(g.Rooms()); n != 1 {
			t.Fatalf("joined %d times: in %d rooms", i+1, n)
		}
	}
	wantNumbers(t, g, room("a"), "retained 1", "2", "retained 1", "3", "retained 1", "4")
	if subscribes, _ := h.broker.calls(); subscribes != 1 {
		t.Errorf("subscribed %d times, want once", subscribes)
	}
	g.exit(room("a"))
	eventually(t, "the room is released", func() bool { return h.Rooms() == 0 })
}

// A member that joins again is told an offset; the next message that it gets must be the one that
// follows. Here one is published after the offset of its room was read and before the announcement.
func TestJoiningAgainAnnouncesWhereItsMessagesGoOn(t *testing.T) {
	h := build(t, options{})
	g := h.member("g", room("a"))
	h.broker.on(func(context.Context, wire.Room) error { h.publish(room("a"), 1); return nil }, nil)
	g.enter(room("a"), room("b"))
	h.publish(room("a"), 1)
	wantUnbroken(t, g.flush())
}

// A member that asks for what it missed gets that first, not what is published meanwhile.
func TestJoiningAgainWithAnOffsetReplaysBeforeAnythingNewer(t *testing.T) {
	h := build(t, options{})
	g := h.member("g", room("a"))
	after := h.publish(room("a"), 10)
	after.N = 4
	err := g.joinThen(t.Context(), func() { h.publish(room("a"), 1) }, hub.Join{Room: room("a"), After: after})
	testkit.Must(t, err)
	h.publish(room("a"), 1)
	wantUnbroken(t, g.flush())
}

func TestASessionIsKnownFromOpenToClose(t *testing.T) {
	h := build(t, options{})
	began := time.Now()
	a, b := h.guest("a"), h.guest("b")
	if n, sessions := h.Connections(), h.Sessions(); n != 2 || len(sessions) != 2 {
		t.Errorf("%d connections, %d sessions, want 2", n, len(sessions))
	}
	if a.ID != "a" || a.User != "user-of-a" || a.Opened.Before(began) || time.Since(a.Opened) < 0 || len(a.Rooms()) != 0 {
		t.Errorf("a new session is %q of %q, opened %v, in %v", a.ID, a.User, a.Opened, a.Rooms())
	}
	a.enter(room("x"), room("y"))
	b.enter(room("y"))
	if n := h.Rooms(); n != 2 {
		t.Errorf("%d rooms, want 2", n)
	}
	for range 2 { // closing again changes nothing
		a.Close()
		if n, sessions := h.Connections(), h.Sessions(); n != 1 || len(sessions) != 1 || sessions[0] != b.Session {
			t.Errorf("%d connections, sessions %v, want b alone", n, sessions)
		}
	}
	if n := h.Rooms(); n != 1 {
		t.Errorf("%d rooms, want 1", n)
	}
	if err := a.Join(t.Context(), []hub.Join{{Room: room("x")}}, func(wire.Cursor) {}); err == nil {
		t.Error("a closed session could join")
	}
	if n := h.Rooms(); n != 1 {
		t.Errorf("joining after the end left %d rooms, want 1", n)
	}
}

// Whoever joins many rooms at once gets all that they hold, more than its bound: at its own pace,
// and without being thrown out.
func TestJoiningManyRoomsThrowsNobodyOut(t *testing.T) {
	const rooms = 48
	for _, resume := range []bool{false, true} {
		t.Run(fmt.Sprintf("resume %v", resume), func(t *testing.T) {
			h := build(t, options{bytes: 256 << 10, rooms: rooms, limits: endless})
			h.dial = narrow
			data := xs(12_000)
			kept := drain(t)
			joins := make([]hub.Join, rooms)
			for i := range joins {
				joins[i] = hub.Join{Room: room(fmt.Sprint(i))}
				first := h.send(broker.Publication{Room: joins[i].Room, Event: "OLD"})
				h.idle(t, fmt.Sprint("keeper-", i), kept, joins[i]) // so that the room bridges what was missed
				h.send(broker.Publication{Room: joins[i].Room, Event: "SHIFT_SNAPSHOT", Retain: true, Data: data})
				if resume {
					joins[i].After = first
				}
			}
			eventually(t, "the keepers have read", func() bool { return h.pool.QueuedBytes() == 0 })
			g := h.sleeper("g")
			g.pace = 100 * time.Microsecond
			g.wake()
			g.mustJoin(joins...)
			snapshots := 0
			for _, f := range g.flush() {
				if f.Event == "SHIFT_SNAPSHOT" {
					snapshots++
				}
			}
			if snapshots != rooms || g.Queue.Code() != 0 {
				t.Errorf("it got %d of %d snapshots, code %s", snapshots, rooms, g.Queue.Code())
			}
		})
	}
}
