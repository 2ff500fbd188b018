package broker

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Limits bound what a broker keeps. Zero values mean the defaults.
type Limits struct {
	Messages int           // kept of each room (default wire.HistoryMessages)
	Age      time.Duration // of kept messages (default wire.HistoryAge)
	Bytes    int           // of data kept of each room (default 4 MiB); the oldest go first
	Rooms    int           // with messages (default 1,000,000); a new one is refused then
	Retained int           // events retained of each room (default 32); a new one is refused then
	Keys     int           // idempotency keys (default 1,000,000); the oldest goes first
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Messages: cmp.Or(l.Messages, wire.HistoryMessages),
		Age:      cmp.Or(l.Age, wire.HistoryAge),
		Bytes:    cmp.Or(l.Bytes, 4<<20),
		Rooms:    cmp.Or(l.Rooms, 1_000_000),
		Retained: cmp.Or(l.Retained, 32),
		Keys:     cmp.Or(l.Keys, 1_000_000),
	}
}

// Memory is the broker of a single instance: all is lost with the process, and a new epoch tells
// so.
type Memory struct {
	epoch   string
	limits  Limits
	handler Handler
	keys    idempotencyCache

	rejecting atomic.Bool // takes no more publications

	mu     sync.RWMutex
	rooms  map[wire.Room]*memoryRoom
	closed bool
}

var _ Broker = (*Memory)(nil)

type memoryRoom struct {
	mu         sync.Mutex
	n          uint64
	bytes      int        // of data in history
	history    []*Message // oldest first, without holes, the last one has number n
	retained   map[string]*Message
	subscribed bool
	forgotten  bool // no longer in Memory.rooms
}

// NewMemory returns an empty broker with its own epoch. It delivers to handler within Publish.
func NewMemory(limits Limits, handler Handler) *Memory {
	limits = limits.withDefaults()
	return &Memory{
		epoch:   NewEpoch(),
		limits:  limits,
		handler: handler,
		keys:    idempotencyCache{limit: limits.Keys, known: map[string]firstUse{}},
		rooms:   map[wire.Room]*memoryRoom{},
	}
}

// NewEpoch returns an epoch that no room had before: the time in ms and a random part, in base 36.
func NewEpoch() string {
	return strconv.FormatInt(time.Now().UnixMilli(), 36) + strconv.FormatUint(rand.Uint64N(36*36*36*36), 36)
}

func errClosed() error { return wire.Errorf(wire.CodeUnavailable, "the server is shutting down") }

// lock returns the room, made if need be, with its mutex held.
func (b *Memory) lock(room wire.Room) (*memoryRoom, error) {
	for {
		r, err := b.room(room, true)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		if !r.forgotten {
			return r, nil
		}
		r.mu.Unlock()
	}
}

// room returns the room, or nil; with create it makes it.
func (b *Memory) room(room wire.Room, create bool) (*memoryRoom, error) {
	b.mu.RLock()
	r, closed := b.rooms[room], b.closed
	b.mu.RUnlock()
	if closed {
		return nil, errClosed()
	}
	if r != nil || !create {
		return r, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r = b.rooms[room]; r != nil {
		return r, nil
	}
	if len(b.rooms) >= b.limits.Rooms {
		return nil, wire.Errorf(wire.CodeLimitReached, "there are %d rooms already, the most that this server keeps",
			b.limits.Rooms)
	}
	r = new(memoryRoom)
	b.rooms[room] = r
	return r, nil
}

// Publish implements [Broker].
func (b *Memory) Publish(_ context.Context, p Publication) (Receipt, error) {
	if b.rejecting.Load() {
		return Receipt{}, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 1000,
			Message: "the server is shutting down: try again"}
	}
	r, err := b.lock(p.Room)
	if err != nil {
		return Receipt{}, err
	}
	defer r.mu.Unlock()
	now := time.Now()
	if p.IdempotencyKey != "" {
		if first, ok := b.keys.find(p.Room, p.IdempotencyKey, now); ok {
			if first.digest != p.digest() {
				return Receipt{}, errOtherMessage(first.offset)
			}
			return Receipt{Offset: first.offset, Duplicate: true}, nil
		}
	}
	if p.Retain && r.retained[p.Event] == nil && len(r.retained) >= b.limits.Retained {
		return Receipt{}, wire.Errorf(wire.CodeLimitReached,
			"%d events are retained in %s already: reuse one of their names", b.limits.Retained, p.Room)
	}
	r.n++
	m := &Message{
		Message: wire.Message{Room: p.Room, Event: p.Event, Offset: wire.Offset{Epoch: b.epoch, N: r.n},
			Time: now.UnixMilli(), Data: p.Data},
		Accepted: wire.MicrosOf(now),
		Retain:   p.Retain,
		Conflate: p.Conflate,
	}
	r.keep(m, b.limits, now)
	if p.IdempotencyKey != "" {
		b.keys.add(p.Room, p.IdempotencyKey, firstUse{m.Offset, p.digest()}, now)
	}
	if r.subscribed {
		b.handler.Message(m)
	}
	return Receipt{Offset: m.Offset}, nil
}

// keep adds m to the history and forgets what is over the limits.
func (r *memoryRoom) keep(m *Message, l Limits, now time.Time) {
	if m.Retain {
		if r.retained == nil {
			r.retained = map[string]*Message{}
		}
		r.retained[m.Event] = m
	}
	r.history = append(r.history, m)
	r.bytes += len(m.Data)
	r.expire(l, now)
}

func (r *memoryRoom) expire(l Limits, now time.Time) {
	oldest := wire.MicrosOf(now.Add(-l.Age))
	drop := 0
	for drop < len(r.history) &&
		(len(r.history)-drop > l.Messages || r.bytes > l.Bytes || r.history[drop].Accepted < oldest) {
		r.bytes -= len(r.history[drop].Data)
		r.history[drop] = nil
		drop++
	}
	r.history = r.history[drop:]
}

// Subscribe implements [Broker].
func (b *Memory) Subscribe(_ context.Context, room wire.Room) (Snapshot, error) {
	r, err := b.lock(room)
	if err != nil {
		return Snapshot{}, err
	}
	defer r.mu.Unlock()
	r.subscribed = true
	s := Snapshot{Offset: wire.Offset{Epoch: b.epoch, N: r.n}}
	for _, m := range r.retained {
		s.Retained = append(s.Retained, m)
	}
	slices.SortFunc(s.Retained, func(a, b *Message) int { return cmp.Compare(a.Offset.N, b.Offset.N) })
	return s, nil
}

// Unsubscribe implements [Broker]. A room that nobody published to is forgotten.
func (b *Memory) Unsubscribe(room wire.Room) {
	b.mu.RLock()
	r := b.rooms[room]
	b.mu.RUnlock()
	if r == nil {
		return
	}
	r.mu.Lock() // not with b.mu held: the room may be in the middle of a fan-out
	r.subscribed = false
	r.forgotten = r.n == 0
	forgotten := r.forgotten
	r.mu.Unlock()
	if forgotten { // whoever finds it until then looks again, see lock
		b.mu.Lock()
		delete(b.rooms, room)
		b.mu.Unlock()
	}
}

// History implements [Broker].
func (b *Memory) History(_ context.Context, room wire.Room, after wire.Offset, limit int) (Page, error) {
	r, err := b.room(room, false)
	if err != nil {
		return Page{}, err
	}
	if r == nil {
		r = new(memoryRoom)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(b.limits, time.Now())
	found := r.history
	if first := r.n - uint64(len(found)) + 1; after.Epoch == b.epoch && after.N >= first {
		found = found[min(after.N+1-first, uint64(len(found))):]
	}
	page := newPage(after, wire.Offset{Epoch: b.epoch, N: r.n}, found)
	page.Messages = slices.Clone(found[:min(limit, len(found))])
	return page, nil
}

// RejectPublishes refuses publications from now on: the process is about to end, and they would be
// lost with it.
func (b *Memory) RejectPublishes() { b.rejecting.Store(true) }

// Health implements [Broker].
func (b *Memory) Health() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errClosed()
	}
	return nil
}

// Close implements [Broker].
func (b *Memory) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// An idempotencyCache remembers the latest idempotency keys for wire.IdempotencyWindow.
type idempotencyCache struct {
	limit int

	mu    sync.Mutex
	known map[string]firstUse
	order []usedKey // oldest first
}

// A firstUse is what a key was used for first.
type firstUse struct {
	offset wire.Offset
	digest string
}

type usedKey struct {
	key string
	at  time.Time
}

func (c *idempotencyCache) find(room wire.Room, key string, now time.Time) (firstUse, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	first, ok := c.known[room.String()+" "+key]
	return first, ok
}

func (c *idempotencyCache) add(room wire.Room, key string, first firstUse, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := room.String() + " " + key
	c.known[full] = first
	c.order = append(c.order, usedKey{full, now})
	c.expire(now)
}

func (c *idempotencyCache) expire(now time.Time) {
	for len(c.order) > 0 && (len(c.order) > c.limit || now.Sub(c.order[0].at) >= wire.IdempotencyWindow) {
		delete(c.known, c.order[0].key)
		c.order[0] = usedKey{}
		c.order = c.order[1:]
	}
}
