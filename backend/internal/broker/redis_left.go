package broker

import (
	"context"
	"slices"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecast/zonecast/backend/wire"
)

// maxLeftRooms is how many rooms an instance remembers that it left, about 200 bytes each; the one
// that it left longest ago is forgotten first.
const maxLeftRooms = 50_000

// leftRooms are rooms with the last message that this instance delivered there without a
// subscription that knows of it: before it left the room, or out of the history. When Redis loses
// that, nobody is there to notice; so it is looked for when the instance subscribes again, when a
// subscription is repaired, and when a connection to Redis is back. Then the room gets a new epoch,
// by which clients that were away are told, at whichever instance they come back.
type leftRooms struct {
	cache    *lru.Cache[wire.Room, delivered]
	checking atomic.Bool
}

// A delivered message is known by its offset and when it was accepted; 0 if that is unknown.
type delivered struct {
	at       wire.Offset
	accepted wire.Micros
}

func newLeftRooms() *leftRooms {
	cache, err := lru.New[wire.Room, delivered](maxLeftRooms)
	if err != nil {
		panic(err) // of a size that is none
	}
	return &leftRooms{cache: cache}
}

// leave remembers a room that was subscribed to.
func (l *leftRooms) leave(r *redisRoom) {
	last, _ := r.lastDelivered()
	if last.at.N > 0 {
		l.cache.Add(r.name, last)
	}
}

// noteRead remembers a message that was read from the history, unless the room's subscription has
// delivered it, too.
func (b *Redis) noteRead(m *Message) {
	b.mu.RLock()
	r := b.rooms[b.keysOf(m.Room).channel]
	b.mu.RUnlock()
	if r != nil {
		if last, _ := r.lastDelivered(); m.Offset.Epoch == last.at.Epoch && m.Offset.N <= last.at.N {
			return
		}
	}
	b.left.cache.Add(m.Room, delivered{m.Offset, m.Accepted})
}

// checkLeft makes sure that Redis has what was delivered in a room without its subscription.
func (b *Redis) checkLeft(ctx context.Context, room wire.Room) error {
	last, ok := b.left.cache.Get(room)
	if !ok {
		return nil
	}
	if _, _, err := b.history(ctx, room, last.at, last.accepted, 1); err != nil {
		return err
	}
	b.left.cache.Remove(room)
	return nil
}

// checkAllLeft looks at all rooms that were left, the latest first: Redis was away. They are
// remembered further on, as far as Redis has what was delivered there.
func (b *Redis) checkAllLeft() {
	if !b.left.checking.CompareAndSwap(false, true) {
		return
	}
	defer b.left.checking.Store(false)
	rooms := b.left.cache.Keys()
	slices.Reverse(rooms)
	for _, room := range rooms {
		last, ok := b.left.cache.Peek(room)
		if !ok {
			continue
		}
		page, _, err := b.history(b.ctx, room, last.at, last.accepted, 1)
		switch {
		case err != nil:
			b.warnOnceASecond("rooms without members could not be compared with Redis", "room", room, "error", err)
			return // another connection is to come
		case page.Gap != nil && page.Gap.To.Epoch != last.at.Epoch:
			b.left.cache.Remove(room)
		}
	}
}
