package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A thousand operations in an order that nobody thought of, by clients that know nothing of one
// another, on a broker that fails now and then. Whatever happened: each stream is unbroken, and the
// hub holds the rooms that have members, no other.
func TestRandomOperationsKeepThePromises(t *testing.T) {
	const actors, operations = 10, 100
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := build(t, options{rooms: 5, limits: broker.Limits{Messages: 30}})
	mood := func(odds float64) func(context.Context, wire.Room) error {
		return func(context.Context, wire.Room) error {
			if rand.Float64() < odds {
				return errBroker
			}
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			return nil
		}
	}
	h.broker.on(mood(.05), mood(.02))

	var all sync.WaitGroup
	actorOf := make([]*actor, actors)
	for i := range actors {
		a := &actor{house: h, name: fmt.Sprint("actor-", i), rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		actorOf[i] = a
		all.Go(func() {
			a.arrive()
			for range operations {
				a.operate()
			}
		})
	}
	all.Wait()

	h.broker.on(nil, nil)
	held := map[wire.Room]bool{}
	members := map[wire.Room]int{}
	for _, a := range actorOf {
		wantUnbroken(t, a.guest.flush())
		rooms := a.guest.Rooms()
		for _, r := range rooms {
			held[r] = true
			members[r]++
		}
	}
	for r := range held {
		if n, inFlight := h.Load(r); n != members[r] || inFlight != 0 {
			t.Errorf("publishers to %s see %d members with %d bytes in flight, want %d with none", r, n, inFlight, members[r])
		}
	}
	subscribed := h.broker.subscribed()
	if h.Rooms() != len(held) || len(subscribed) != len(held) {
		t.Errorf("members are in %d rooms, the hub holds %d and is subscribed to %d", len(held), h.Rooms(), len(subscribed))
	}
	if n := h.Connections(); n != actors {
		t.Errorf("%d connections, want %d", n, actors)
	}
	last := map[wire.Room]wire.Offset{}
	for r := range held {
		last[r] = h.publish(r, 1)
	}
	for _, a := range actorOf { // whoever is in a room gets its next message, whoever is not gets none
		frames := a.guest.flush()
		wantUnbroken(t, frames)
		in := a.guest.Rooms()
		for r, o := range last {
			got := slices.ContainsFunc(frames, func(f wire.ServerFrame) bool { return f.Room == r.String() && f.Offset == o.String() })
			if want := slices.Contains(in, r); got != want {
				t.Errorf("%s is in %v; got the message of %s: %v", a.name, in, r, got)
			}
		}
	}
}

// An actor is a client with a memory: it knows the last offset that it saw in each room.
type actor struct {
	*house
	name  string
	rand  *rand.Rand
	guest *guest
	last  map[wire.Room]wire.Offset
}

func (a *actor) arrive() {
	a.guest = a.house.guest(a.name)
}

func (a *actor) room() wire.Room { return room(fmt.Sprint(a.rand.IntN(6))) }

func (a *actor) operate() {
	switch n := a.rand.IntN(20); {
	case n < 7:
		a.join()
	case n < 11:
		at := a.room()
		in := slices.Contains(a.guest.Rooms(), at)
		if err := a.guest.leave(at); (err == nil) != in {
			a.t.Errorf("%s leaves %s, in it: %v: %v", a.name, at, in, err)
		}
	case n < 18:
		a.send(broker.Publication{Room: a.room(), Event: fmt.Sprint("E", a.rand.IntN(3)), Retain: a.rand.IntN(4) == 0})
	case n < 19:
		a.publish(a.room(), 40) // more than the history keeps
	default: // the connection is lost, the client comes back
		frames := a.guest.flush()
		wantUnbroken(a.t, frames)
		a.remember(frames)
		a.guest.end()
		a.arrive()
	}
}

func (a *actor) remember(frames []wire.ServerFrame) {
	a.last = map[wire.Room]wire.Offset{}
	for _, f := range frames {
		if f.Room == "" || f.Retained {
			continue
		}
		at, err := wire.ParseRoom(f.Room)
		if err != nil {
			a.t.Error(err)
		}
		a.last[at], _ = wire.ParseOffset(f.Offset)
	}
}

// join joins one to three rooms, with the last offset where there is one. What of it failed the
// client takes as left.
func (a *actor) join() {
	if a.rand.IntN(3) == 0 {
		a.remember(a.guest.flush())
	}
	var joins []hub.Join
	for range 1 + a.rand.IntN(3) {
		at := a.room()
		if !slices.ContainsFunc(joins, func(j hub.Join) bool { return j.Room == at }) {
			joins = append(joins, hub.Join{Room: at, After: a.last[at]})
		}
	}
	before := a.guest.Rooms()
	announced := false
	err := a.guest.joinThen(context.Background(), func() { announced = true }, joins...)
	in := a.guest.Rooms()
	for _, j := range joins {
		switch is := slices.Contains(in, j.Room); {
		case err == nil && !is:
			a.t.Errorf("%s joined %s and is not in it", a.name, j.Room)
		case err != nil && !announced && is != slices.Contains(before, j.Room):
			a.t.Errorf("%s was refused %s, yet in it before: %v, after: %v", a.name, j.Room, !is, is)
		case err != nil && announced && !is:
			a.guest.Queue.Push(left(j.Room))
		}
	}
}
