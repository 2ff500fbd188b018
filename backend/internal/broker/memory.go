package broker

import (
	"cmp"
	"container/list"
	"context"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/internal/chance"
	"github.com/zonecast/zonecast/backend/wire"
)

// Limits bound what a broker keeps. Zero values mean the defaults.
type Limits struct {
	Messages int           // kept of each room (default wire.HistoryMessages)
	Age      time.Duration // of kept messages (default wire.HistoryAge)
	Bytes    int           // of data kept of each room (default 4 MiB); the oldest go first
	Retained int           // events retained of each room (default 32); a new one is refused then
	// Alerts is how many alerts and acknowledgements are kept of each room (default 1000). More are
	// refused, but for critical ones, which have a quarter of that for themselves.
	Alerts int
	// RetainAge is how long events are retained (default for ever).
	RetainAge time.Duration
	// Warehouse is what each warehouse may keep (default no limit).
	Warehouse Quota
	// Total is what is kept in all, in bytes (default 256 MiB). The rooms that were published to
	// longest ago give up their histories first, and are forgotten then. Retained events take half
	// of it at most; more are refused.
	Total int
	Keys  int // idempotency keys (default 1,000,000); the oldest goes first
}

// DefaultTotal is the default of [Limits].Total. What it bounds takes up to 1.5 times as much heap,
// see TestMemoryTakesWhatIsDocumented.
const DefaultTotal = 256 << 20

func (l Limits) withDefaults() Limits {
	l.Messages = cmp.Or(l.Messages, wire.HistoryMessages)
	l.Age = cmp.Or(l.Age, wire.HistoryAge)
	l.Bytes = cmp.Or(l.Bytes, 4<<20)
	l.Retained = cmp.Or(l.Retained, 32)
	l.Alerts = cmp.Or(l.Alerts, 1000)
	l.Total = cmp.Or(l.Total, DefaultTotal)
	l.Keys = cmp.Or(l.Keys, 1_000_000)
	return l
}

// Memory is the broker of a single instance: all is lost with the process, and a new epoch tells
// so.
//
//	Publish ──▶ memoryRoom: offset, history, retained ──▶ handler
//	              └──▶ ledger: what each warehouse keeps, and all together
//	sweep (timer) ──▶ forgets what is too old
//	evict (after a publication) ──▶ what is too much
type Memory struct {
	// Static after construction.
	limits  Limits
	handler Handler
	keys    idempotencyCache
	ledger  *ledger
	seed    maphash.Seed

	rejecting atomic.Bool // takes no more publications

	mu     sync.RWMutex
	rooms  map[wire.Room]*memoryRoom
	closed bool
	epoch  string // of the rooms that were never forgotten
	// forgotten counts how often a room was, by its hash: each time its epoch becomes another one,
	// since its numbers are given again.
	forgotten map[uint64]uint64
	sweeping  *time.Timer // nil while there is nothing to sweep
}

var _ Broker = (*Memory)(nil)

// maxForgotten bounds Memory.forgotten. Beyond it all rooms that there are none of get another
// epoch.
const maxForgotten = 1_000_000

type memoryRoom struct {
	name wire.Room

	mu            sync.Mutex
	epoch         string
	n             uint64
	bytes         int                        // of data in history
	history       []*Message                 // oldest first, without holes, the last one has number n
	retained      map[string]retainedMessage // by name
	retainedBytes int
	subscribed    bool
	forgotten     bool // no longer in Memory.rooms

	// Guarded by the ledger's mutex; usage is only changed with mu held as well.
	usage Usage
	place *list.Element // in the ledger; nil while the room was not published to
}

// A retainedMessage is a message with when it is not retained any more, in ms since 1970; 0 for
// [Limits].RetainAge.
type retainedMessage struct {
	*Message
	expires int64
}

// NewMemory returns an empty broker with its own epoch. It delivers to handler within Publish.
func NewMemory(limits Limits, handler Handler) *Memory {
	limits = limits.withDefaults()
	b := &Memory{
		epoch:     NewEpoch(),
		limits:    limits,
		handler:   handler,
		ledger:    newLedger(),
		seed:      maphash.MakeSeed(),
		rooms:     map[wire.Room]*memoryRoom{},
		forgotten: map[uint64]uint64{},
	}
	b.keys = idempotencyCache{limit: limits.Keys, known: map[string]firstUse{}, added: b.ledger.addKeys}
	return b
}

// NewEpoch returns an epoch that no room had before: the time in ms and a random part, in base 36.
func NewEpoch() string {
	return strconv.FormatInt(time.Now().UnixMilli(), 36) + strconv.FormatUint(chance.Uint64N(36*36*36*36), 36)
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

// room returns the room. One that there is none of is made: for this call alone, or with keep for
// all.
func (b *Memory) room(room wire.Room, keep bool) (*memoryRoom, error) {
	b.mu.RLock()
	r, closed, epoch := b.rooms[room], b.closed, b.epochOf(room)
	b.mu.RUnlock()
	switch {
	case closed:
		return nil, errClosed()
	case r != nil:
		return r, nil
	case !keep:
		return &memoryRoom{name: room, epoch: epoch}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r = b.rooms[room]; r == nil {
		r = &memoryRoom{name: room, epoch: b.epochOf(room)}
		b.rooms[room] = r
	}
	return r, nil
}

// epochOf is the epoch that a room begins with. It is called with b.mu held.
func (b *Memory) epochOf(room wire.Room) string {
	if times := b.forgotten[maphash.Comparable(b.seed, room)]; times > 0 {
		return b.epoch + "x" + strconv.FormatUint(times, 36)
	}
	return b.epoch
}

// forget notes that numbers of the room will be given again. It is called with b.mu held.
func (b *Memory) forget(room wire.Room) {
	if len(b.forgotten) >= maxForgotten {
		b.epoch, b.forgotten = NewEpoch(), map[uint64]uint64{}
		return
	}
	b.forgotten[maphash.Comparable(b.seed, room)]++
}

// Publish implements [Broker].
func (b *Memory) Publish(_ context.Context, p Publication) (Receipt, error) {
	if p.Durable {
		return Receipt{}, errDurableUnsupported("this server keeps everything in memory alone: give it a Redis (REDIS_URL)")
	}
	receipt, over, err := b.publish(p)
	if over {
		b.evict()
	}
	return receipt, err
}

func (b *Memory) publish(p Publication) (_ Receipt, over bool, _ error) {
	if b.rejecting.Load() {
		return Receipt{}, false, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 1000,
			Message: "the server is shutting down: try again"}
	}
	r, err := b.lock(p.Room)
	if err != nil {
		return Receipt{}, false, err
	}
	defer r.mu.Unlock()
	now := time.Now()
	key := ""
	if p.IdempotencyKey != "" {
		key = r.epoch + " " + p.Room.String() + " " + p.scopedKey()
		if first, ok := b.keys.find(key, now); ok {
			if first.digest != p.digest() {
				return Receipt{}, false, errOtherMessage(first.offset)
			}
			return Receipt{Offset: first.offset, Duplicate: true}, false, nil
		}
	}
	if p.Retain {
		r.expireRetained(b.limits, now)
	}
	retention := RetentionOf(p.Event, p.Data, p.Retain)
	allowed, err := b.refuse(r, p, retention, key)
	if err != nil {
		b.forgetUnused(r)
		return Receipt{}, false, err
	}
	r.n++
	m := &Message{
		Message: wire.Message{Room: p.Room, Event: p.Event, Offset: wire.Offset{Epoch: r.epoch, N: r.n},
			Time: now.UnixMilli(), Data: p.Data},
		Accepted: wire.MicrosOf(now),
		Retain:   p.Retain,
	}
	m.setAttributes(p.Conflate, p.Traceparent)
	r.keep(m, retention, b.limits)
	r.expire(b.limits, allowed, now)
	over = b.ledger.settle(r, r.keeps(), true, b.limits.Total)
	if key != "" {
		b.keys.add(key, p.Room.Warehouse, firstUse{m.Offset, p.digest()}, now)
	}
	b.sweepLater()
	if r.subscribed {
		b.handler.Message(m)
	}
	return Receipt{Offset: m.Offset}, over, nil
}

// keep adds m to the history, and does what it does to what is retained.
func (r *memoryRoom) keep(m *Message, retention Retention, l Limits) {
	if retention.Name != "" {
		if r.retained == nil {
			r.retained = map[string]retainedMessage{}
		}
		snapshot, some := r.retained[wire.EventShiftSnapshot]
		listed := some && len(retention.About) > 0 && retention.IsListedIn(snapshot.Data)
		_, open := r.retained[retention.Name]
		removed := retention.Removal()
		r.unretain(func(name string) bool {
			return removed(name) || !open && !listed && slices.Contains(retention.About, name)
		})
		if !retention.Ends || listed && r.count(isKeyed) < retention.most(l) {
			r.retained[retention.Name] = retainedMessage{m, retention.Expires}
			r.retainedBytes += retainedCost(retention.Name, m.Data)
		}
	}
	r.history = append(r.history, m)
	r.bytes += len(m.Data)
}

// unretain takes away what is retained under certain names, and reports whether there was
// something.
func (r *memoryRoom) unretain(gone func(name string) bool) (some bool) {
	for name, m := range r.retained {
		if gone(name) {
			r.retainedBytes -= retainedCost(name, m.Data)
			delete(r.retained, name)
			some = true
		}
	}
	return some
}

// count returns how many of the retained names are of a kind.
func (r *memoryRoom) count(kind func(name string) bool) (n int) {
	for name := range r.retained {
		if kind(name) {
			n++
		}
	}
	return n
}

// keeps is what the room keeps now.
func (r *memoryRoom) keeps() Usage {
	return Usage{Rooms: int(min(r.n, 1)), HistoryBytes: r.bytes + messageCost*len(r.history), RetainedBytes: r.retainedBytes,
		RetainedEvents: len(r.retained)}
}

// expire forgets what is over the limits: of the history more than costs so much, too.
func (r *memoryRoom) expire(l Limits, allowed int, now time.Time) {
	oldest := wire.MicrosOf(now.Add(-l.Age))
	drop := 0
	for drop < len(r.history) && (len(r.history)-drop > l.Messages || r.bytes > l.Bytes ||
		r.bytes+messageCost*(len(r.history)-drop) > allowed || r.history[drop].Accepted < oldest) {
		r.bytes -= len(r.history[drop].Data)
		r.history[drop] = nil
		drop++
	}
	if r.history = r.history[drop:]; len(r.history) == 0 {
		r.history = nil
	}
}

// expireRetained forgets what is retained for too long; with an alert, what is told about it.
func (r *memoryRoom) expireRetained(l Limits, now time.Time) {
	ms := now.UnixMilli()
	var gone map[string]bool
	for name, m := range r.retained {
		if (l.RetainAge <= 0 || now.Sub(m.Accepted.Time()) < l.RetainAge) && (m.expires == 0 || ms < m.expires) {
			continue
		}
		if gone == nil {
			gone = map[string]bool{}
		}
		gone[name] = true
		for _, about := range AboutAlert(name) {
			gone[about] = true
		}
	}
	if gone != nil {
		r.unretain(func(name string) bool { return gone[name] })
	}
}

// Subscribe implements [Broker].
func (b *Memory) Subscribe(_ context.Context, room wire.Room) (Snapshot, error) {
	r, err := b.lock(room)
	if err != nil {
		return Snapshot{}, err
	}
	defer r.mu.Unlock()
	r.subscribed = true
	b.expire(r, time.Now())
	return r.snapshot(), nil
}

func (r *memoryRoom) snapshot() Snapshot {
	s := Snapshot{Offset: wire.Offset{Epoch: r.epoch, N: r.n}}
	for _, m := range r.retained {
		s.Retained = append(s.Retained, m.Message)
	}
	slices.SortFunc(s.Retained, func(a, b *Message) int { return cmp.Compare(a.Offset.N, b.Offset.N) })
	return s
}

// expire forgets what is too old of a room, whose mutex is held.
func (b *Memory) expire(r *memoryRoom, now time.Time) {
	r.expire(b.limits, math.MaxInt, now)
	r.expireRetained(b.limits, now)
	b.ledger.settle(r, r.keeps(), false, 0)
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
	b.forgetUnused(r)
	r.mu.Unlock()
}

// forgetUnused forgets a room that nobody published to and nobody is subscribed to. Its mutex is
// held.
func (b *Memory) forgetUnused(r *memoryRoom) {
	if r.subscribed || r.n > 0 || r.forgotten {
		return
	}
	r.forgotten = true // whoever finds it until it is gone looks again, see lock
	b.mu.Lock()
	delete(b.rooms, r.name)
	b.mu.Unlock()
}

// History implements [Broker].
func (b *Memory) History(_ context.Context, room wire.Room, after wire.Offset, limit int) (Page, error) {
	r, err := b.room(room, false)
	if err != nil {
		return Page{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n > 0 && !r.forgotten {
		b.expire(r, time.Now())
	}
	found := r.history
	if first := r.n - uint64(len(found)) + 1; after.Epoch == r.epoch && after.N >= first {
		found = found[min(after.N+1-first, uint64(len(found))):]
	}
	page := newPage(after, wire.Offset{Epoch: r.epoch, N: r.n}, found)
	page.Messages = slices.Clone(found[:min(limit, len(found))])
	return page, nil
}

// Usage implements [Broker].
func (b *Memory) Usage() map[string]Usage { return b.ledger.usage() }

// UsageOf implements [Broker].
func (b *Memory) UsageOf(_ context.Context, warehouse string) (Usage, error) {
	return b.ledger.usage()[warehouse], b.Health()
}

// Zones implements [Broker].
func (b *Memory) Zones(_ context.Context, warehouse string) ([]string, error) {
	if err := b.Health(); err != nil {
		return nil, err
	}
	return b.ledger.zones(warehouse), nil
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
	if b.sweeping != nil {
		b.sweeping.Stop()
	}
	return nil
}
