package hub

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/internal/backpressure"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/tracing"
	"github.com/zonecast/zonecast/backend/wire"
)

// Options of a [Hub]. Zero values mean the defaults.
type Options struct {
	Pool *outbox.Pool
	// Heartbeat is the time between two heartbeats of a session (default wire.HeartbeatInterval).
	Heartbeat time.Duration
	// MaxRooms is the most rooms of one session (default wire.RoomsPerConnection).
	MaxRooms int
	// InstanceRooms is the most rooms of all sessions together, WarehouseRooms that of one
	// warehouse (default no limit). OnRoomRefused, if not nil, is told which one a room was refused
	// for.
	InstanceRooms, WarehouseRooms int
	OnRoomRefused                 func(limit string)
	// Linger is how long a room stays subscribed to at the broker after its last member has left,
	// so that members that come and go, as long polls do, don't subscribe anew each time (default
	// not at all).
	Linger time.Duration
	// PublishWait is how long a publisher waits at most for members that are behind (default
	// wire.PublishWait).
	PublishWait time.Duration
	// StallTimeout is how long publishers wait for members of which none takes anything (default
	// wire.SlowAfter).
	StallTimeout time.Duration
	// Signal, if not nil, carries between the instances which rooms are overloaded.
	Signal backpressure.Signal
	// Meter, if not nil, is told what the hub does.
	Meter Meter
	// OnWait, if not nil, is told of each publication that has to wait.
	OnWait func()
	// OnGap, if not nil, is told of each gap that sessions are told of.
	OnGap func()
	// RetainAge is how long events are retained (default for ever).
	RetainAge time.Duration
	// Tracer follows messages that are traced; nil for none.
	Tracer *tracing.Tracer
}

const shards = 64

// A Hub holds the rooms and the sessions of one instance. It is a broker.Handler.
type Hub struct {
	opts        Options
	control     *backpressure.Control
	broker      broker.Broker
	seed        maphash.Seed
	rooms       [shards]shard
	kept        roomCount
	heartbeats  heartbeats
	count       atomic.Int64
	activeRooms atomic.Int64 // rooms with members
	idleRooms   atomic.Int64 // rooms that linger without
	recentBytes atomic.Int64 // what the recent frames of all rooms cost
	replays     *replays
	away        atomic.Bool // the broker is, as the sessions know

	deferred atomic.Int64   // bytes in all rooms
	resuming sync.WaitGroup // goroutines that hand on what is deferred

	mu       sync.Mutex
	sessions map[*Session]struct{}
}

type shard struct {
	mu    sync.Mutex
	rooms map[wire.Room]*room
}

var _ broker.Handler = (*Hub)(nil)

// New returns an empty hub. Use must follow before the first session.
func New(opts Options) *Hub {
	if opts.Heartbeat == 0 {
		opts.Heartbeat = wire.HeartbeatInterval
	}
	if opts.PublishWait == 0 {
		opts.PublishWait = wire.PublishWait
	}
	if opts.MaxRooms == 0 {
		opts.MaxRooms = wire.RoomsPerConnection
	}
	if opts.Meter == nil {
		opts.Meter = noMeter{}
	}
	if opts.StallTimeout == 0 {
		opts.StallTimeout = wire.SlowAfter
	}
	h := &Hub{opts: opts, seed: maphash.MakeSeed(), sessions: map[*Session]struct{}{},
		kept: roomCount{warehouses: map[string]int{}},
		control: &backpressure.Control{MaxQueuedBytes: opts.Pool.MaxQueuedBytes(), PublishWait: opts.PublishWait,
			StallTimeout: opts.StallTimeout, OnWait: opts.OnWait, Signal: opts.Signal}}
	for i := range h.rooms {
		h.rooms[i].rooms = map[wire.Room]*room{}
	}
	h.replays = newReplays(h)
	return h
}

// Use sets the broker, whose handler the hub is.
func (h *Hub) Use(b broker.Broker) { h.broker = b }

// SetSignal sets what tells other instances of rooms that are overloaded. It must come before the
// first session.
func (h *Hub) SetSignal(s backpressure.Signal) { h.control.Signal = s }

func (h *Hub) shard(r wire.Room) *shard {
	return &h.rooms[maphash.Comparable(h.seed, r)%shards]
}

// A room is one with members here, or about to have some.
type room struct {
	name wire.Room
	load *backpressure.Load

	refs int // members and those about to be; guarded by the shard's mutex

	subscribing turn // held while subscribed changes, with the broker's answer awaited
	subscribed  bool
	linger      *time.Timer // until the room without members is forgotten; nil while there are some

	mu       sync.Mutex
	begun    bool       // the snapshot is here
	early    []delivery // what came before it: a few, for the broker delivers from the snapshot on
	offset   wire.Offset
	queues   []*outbox.Queue // of the members; the same index as owners
	owners   []*membership
	recent   []recentFrame // the latest frames, without holes up to offset
	bytes    int           // what they cost
	retained []retainedFrame
	kept     *keptNames // when retained events were deleted last; nil for never
	deferred deferred
}

// A delivery is one call of the broker: a message, or a gap, or what is retained after a deletion.
type delivery struct {
	message  *broker.Message
	gap      *broker.Gap
	retained []*broker.Message // after the gap
	kept     *broker.Snapshot
}

// What is kept of a room in the hub bridges the moments between reading history and joining; it is
// not the history. When all rooms together keep more than recentTotal, those that get messages keep
// a few.
const (
	recentMessages = 64
	recentBytes    = 64 << 10
	recentTotal    = 64 << 20
	recentFew      = 4
	recentFewBytes = 4 << 10
)

type recentFrame struct {
	n     uint64
	frame *outbox.Frame
}

type retainedFrame struct {
	name    string // see [broker.Retention]
	n       uint64
	time    int64 // when the broker accepted it, in ms since 1970
	expires int64 // in ms since 1970; 0 for never
	frame   *outbox.Frame
}

// acquire returns the room, subscribed to, and counts the caller in. Each needs a release.
func (h *Hub) acquire(ctx context.Context, name wire.Room) (*room, error) {
	s := h.shard(name)
	s.mu.Lock()
	r := s.rooms[name]
	if r == nil {
		if err := h.addRoom(name); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		r = &room{name: name, load: h.control.NewLoad(name), subscribing: make(turn, 1)}
		s.rooms[name] = r
	}
	if r.refs++; r.refs == 1 {
		h.activeRooms.Add(1)
	}
	s.mu.Unlock()

	r.subscribing.Lock()
	defer r.subscribing.Unlock()
	h.cancelUnsubscribe(r)
	if r.subscribed {
		return r, nil
	}
	r.mu.Lock()
	r.begun, r.early = false, nil
	r.mu.Unlock()
	snapshot, err := h.broker.Subscribe(ctx, name)
	if err != nil {
		h.releaseSubscribing(r)
		return nil, err
	}
	r.subscribed = true
	h.startDelivery(r, snapshot)
	return r, nil
}

// startDelivery ends the subscription of a room: it takes over the snapshot, and then what arrived
// since.
func (h *Hub) startDelivery(r *room, s broker.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.dropRecent(r)
	h.dropDeferred(r)
	r.offset, r.retained, r.kept = s.Offset, nil, nil
	r.load.Delivered(s.Offset, 0)
	h.takeRetained(r, s.Retained)
	for _, a := range r.early {
		h.deliver(r, a)
	}
	r.begun, r.early = true, nil
}

// retain notes a message for members that come later, instead of those that it replaces and those
// that are expired; with an alert goes what is told about it.
func (h *Hub) retain(r *room, m *broker.Message) {
	if r.wasDeleted(m) {
		return
	}
	retention := m.RetentionOf()
	gone, ended, now := retention.Removal(), map[string]bool{}, time.Now()
	open, listed := false, false
	for _, f := range r.retained {
		switch {
		case h.isExpired(f, now):
			for _, about := range broker.AboutAlert(f.name) {
				ended[about] = true
			}
		case f.name == retention.Name:
			open = true
		case f.name == wire.EventShiftSnapshot && len(retention.About) > 0:
			listed = retention.IsListedIn(f.frame.JSON)
		}
	}
	if !open && !listed {
		for _, about := range retention.About {
			ended[about] = true
		}
	}
	r.retained = slices.DeleteFunc(r.retained, func(f retainedFrame) bool { return gone(f.name) || ended[f.name] || h.isExpired(f, now) })
	if !retention.Ends || listed {
		r.retained = append(r.retained, newRetainedFrame(m, retention))
	}
}

func newRetainedFrame(m *broker.Message, retention broker.Retention) retainedFrame {
	return retainedFrame{retention.Name, m.Offset.N, m.Time, retention.Expires, outbox.NewRetained(&m.Message)}
}

// takeRetained takes over what a room retains: each stands for itself, for what came between them
// is not among them.
func (h *Hub) takeRetained(r *room, all []*broker.Message) {
	for _, m := range all {
		if !r.wasDeleted(m) {
			r.retained = append(r.retained, newRetainedFrame(m, m.RetentionOf()))
		}
	}
}

func (h *Hub) release(r *room) {
	r.subscribing.Lock()
	defer r.subscribing.Unlock()
	h.releaseSubscribing(r)
}

// releaseSubscribing is release with r.subscribing held.
func (h *Hub) releaseSubscribing(r *room) {
	s := h.shard(r.name)
	s.mu.Lock()
	r.refs--
	last := r.refs == 0
	s.mu.Unlock()
	if !last {
		return
	}
	h.activeRooms.Add(-1)
	if r.subscribed && h.delayUnsubscribe(r) {
		return
	}
	h.unsubscribe(r)
}

// HasRoom reports whether the room has members here, or had some a moment ago.
func (h *Hub) HasRoom(name wire.Room) bool { return h.find(name) != nil }

func (h *Hub) find(name wire.Room) *room {
	s := h.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[name]
}

// Message implements broker.Handler: it sends m to the room's members.
func (h *Hub) Message(m *broker.Message) {
	r := h.find(m.Room)
	if r == nil {
		return // the last member has just left
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.onDelivery(r, delivery{message: m})
}

// deliverMessage is called with the room's mutex held.
func (h *Hub) deliverMessage(r *room, m *broker.Message) {
	if m.Offset.Epoch == r.offset.Epoch && m.Offset.N <= r.offset.N {
		return // the snapshot or the history had it
	}
	accepted, began := int64(m.Accepted)-m.ClockAhead().Microseconds(), time.Now()
	f := outbox.BroadcastTraced(&m.Message, accepted, m.Conflate(), m.Traceparent())
	f.FannedOut = began.UnixMicro()
	r.offset = m.Offset
	h.remember(r, f)
	if m.Retain {
		h.retain(r, m)
	}
	traced := h.opts.Tracer.Deliver(m.Traceparent(), m.Room, m.Offset, time.UnixMicro(f.Accepted))
	if traced != nil {
		f.OnWritten = func(transport string, took time.Duration) {
			h.opts.Meter.Traced(transport, took, traced.TraceID())
			traced.Written()
		}
	}
	h.opts.Pool.Fanout(f, r.queues)
	h.opts.Meter.FannedOut(time.Duration(f.FannedOut-accepted)*time.Microsecond, time.Since(began), len(r.queues))
	traced.Queued(len(r.queues))
	r.load.Delivered(m.Offset, outbox.Weight(len(f.JSON)))
}

// remember keeps the room's newest frame, and lets go of those that are not recent any more.
func (h *Hub) remember(r *room, f *outbox.Frame) {
	before := r.bytes
	r.recent = append(r.recent, recentFrame{r.offset.N, f})
	r.bytes += cost(f)
	most, bytes := recentMessages, recentBytes
	if h.recentBytes.Load() > recentTotal {
		most, bytes = recentFew, recentFewBytes
	}
	for len(r.recent) > most || r.bytes > bytes && len(r.recent) > 1 {
		r.bytes -= cost(r.recent[0].frame)
		r.recent[0] = recentFrame{}
		r.recent = r.recent[1:]
	}
	h.recentBytes.Add(int64(r.bytes - before))
}

// cost is about what a frame takes in memory: its JSON, and what one form makes of it.
func cost(f *outbox.Frame) int { return outbox.Weight(2 * len(f.JSON)) }

// dropRecent forgets all of them.
func (h *Hub) dropRecent(r *room) {
	h.recentBytes.Add(-int64(r.bytes))
	r.recent, r.bytes = nil, 0
}

// Gap implements broker.Handler: it tells the room's members that messages are lost.
func (h *Hub) Gap(name wire.Room, gap broker.Gap, retained []*broker.Message) {
	r := h.find(name)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h.onDelivery(r, delivery{gap: &gap, retained: retained})
}

// onDelivery takes what the broker calls with. It is called with the room's mutex held.
func (h *Hub) onDelivery(r *room, a delivery) {
	switch {
	case !r.begun:
		r.early = append(r.early, a)
	case !h.deferDelivery(r, a):
		h.deliver(r, a)
	}
}

// deliver hands a delivery on to the room's members. It is called with the room's mutex held.
func (h *Hub) deliver(r *room, a delivery) {
	switch {
	case a.message != nil:
		h.deliverMessage(r, a.message)
	case a.gap != nil:
		h.deliverGap(r, *a.gap, a.retained)
	default:
		r.keepRetained(a.kept)
	}
}

// deliverGap is called with the room's mutex held.
func (h *Hub) deliverGap(r *room, gap broker.Gap, retained []*broker.Message) {
	if gap.To.Epoch == r.offset.Epoch && gap.To.N <= r.offset.N {
		return // of an earlier subscription
	}
	h.dropRecent(r)
	r.offset, r.retained, r.kept = gap.To, nil, nil
	r.load.Delivered(gap.To, 0)
	h.takeRetained(r, retained)
	h.opts.Pool.Fanout(h.gapFrame(r.name, gap), r.queues)
}

func (h *Hub) gapFrame(name wire.Room, gap broker.Gap) *outbox.Frame {
	if h.opts.OnGap != nil {
		h.opts.OnGap()
	}
	return outbox.NewGap(name, gap.From, gap.To)
}
