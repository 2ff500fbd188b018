package broker

import (
	"container/list"
	"slices"
	"sync"
)

// A ledger is what all rooms of a Memory keep: by warehouse, and together. It knows which rooms
// were published to longest ago, which are the first to give up what they keep.
type ledger struct {
	mu         sync.Mutex
	total      int // bytes: of the histories, keys, retained events, and roomCost of each room
	retained   int // bytes of it
	warehouses map[string]Usage
	rooms      *list.List // of *memoryRoom that were published to, the latest first
}

// roomCost is about what a room takes besides its messages, in bytes.
const roomCost = 512

func newLedger() *ledger { return &ledger{warehouses: map[string]Usage{}, rooms: list.New()} }

func (u Usage) bytes() int { return u.HistoryBytes + u.RetainedBytes + roomCost*u.Rooms }

// of returns what the warehouse keeps, and how many bytes of retained events all of them.
func (l *ledger) of(warehouse string) (u Usage, retained int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.warehouses[warehouse], l.retained
}

// settle notes that the room, whose mutex is held, keeps this much now, and that it was published
// to when that is so. It reports whether all rooms together keep more than most bytes.
func (l *ledger) settle(r *memoryRoom, now Usage, published bool, most int) (over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(r.name.Warehouse, now.minus(r.usage))
	r.usage = now
	switch {
	case now.Rooms == 0 && r.place != nil:
		l.rooms.Remove(r.place)
		r.place = nil
	case now.Rooms > 0 && r.place == nil:
		r.place = l.rooms.PushFront(r)
	case published:
		l.rooms.MoveToFront(r.place)
	}
	return l.total > most
}

// addKeys notes that idempotency keys of a warehouse take so many bytes more.
func (l *ledger) addKeys(warehouse string, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(warehouse, Usage{HistoryBytes: bytes})
}

// add is called with the mutex held.
func (l *ledger) add(warehouse string, more Usage) {
	l.total += more.bytes()
	l.retained += more.RetainedBytes
	if u := l.warehouses[warehouse].plus(more); u == (Usage{}) {
		delete(l.warehouses, warehouse)
	} else {
		l.warehouses[warehouse] = u
	}
}

// quietest returns the room that was published to longest ago, while all of them keep more than
// most bytes. It is taken for the latest then, so that the next call returns another one.
func (l *ledger) quietest(most int) *memoryRoom {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.rooms.Back()
	if l.total <= most || last == nil {
		return nil
	}
	l.rooms.MoveToFront(last)
	return last.Value.(*memoryRoom)
}

func (l *ledger) usage() map[string]Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Usage, len(l.warehouses))
	for name, u := range l.warehouses {
		all[name] = u
	}
	return all
}

// zones returns those of a warehouse that were published to, by name.
func (l *ledger) zones(warehouse string) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.rooms.Front(); e != nil; e = e.Next() {
		if room := e.Value.(*memoryRoom).name; room.Warehouse == warehouse && room.Zone != "" {
			names = append(names, room.Zone)
		}
	}
	slices.Sort(names)
	return names
}

// refuse returns the error of a publication that is beyond a quota, or else what the room's history
// may cost at most. key is the idempotency key as it is kept, if there is one.
func (b *Memory) refuse(r *memoryRoom, p Publication, retention Retention, key string) (allowed int, err error) {
	q := b.limits.Warehouse
	used, retained := b.ledger.of(p.Room.Warehouse)
	left := q.left(used)
	allowed = r.usage.HistoryBytes + left.HistoryBytes
	if key != "" {
		allowed -= memoryKeyCost(key)
	}
	switch {
	case r.usage.Rooms == 0 && left.Rooms <= 0:
		return 0, q.exceeded(QuotaRooms, p.Room.Warehouse)
	case len(p.Data)+messageCost > allowed:
		return 0, q.exceeded(QuotaHistoryBytes, p.Room.Warehouse)
	case retention.Name == "", retention.Ends: // which makes room
		return allowed, nil
	}
	name := retention.Name
	more, events := retainedCost(name, p.Data), 1
	if old, ok := r.retained[name]; ok {
		more, events = more-retainedCost(name, old.Data), 0
	}
	sameKind := func(other string) bool { return isKeyed(other) == isKeyed(name) }
	switch most := b.limits.Total / 2; {
	case events > 0 && r.count(sameKind) >= retention.most(b.limits):
		return 0, retention.full(b.limits, p.Room)
	case more > 0 && more > left.RetainedBytes:
		return 0, q.exceeded(QuotaRetainedBytes, p.Room.Warehouse)
	case events > left.RetainedEvents:
		return 0, q.exceeded(QuotaRetainedEvents, p.Room.Warehouse)
	case more > 0 && retained+more > most:
		return 0, quotaError(QuotaMemory, "what is retained has half of the %d bytes that this server keeps in memory: "+
			"delete retained events, or raise MEMORY_BYTES", b.limits.Total)
	}
	return allowed, nil
}

// retainedCost is what a retained event counts, in bytes.
func retainedCost(event string, data []byte) int { return len(data) + len(event) + messageCost }
