package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/wire"
)

// RedisOptions of [OpenRedis]. Target is needed; zero values of the others mean the defaults.
type RedisOptions struct {
	Target  *redisconn.Target
	Limits  Limits // Total and Keys are for Redis's own memory limit to bound
	Timings RedisTimings
	Log     *slog.Logger
	// Prefix begins the names of all keys and channels (default redisconn.DefaultPrefix). Instances
	// with different ones know nothing of one another.
	Prefix string
	// OnReconnect, if not nil, is called when a pub/sub connection is back after it was lost.
	OnReconnect func()
	// OnRepair, if not nil, is called when a room is resynchronised from its stream: after a lost
	// connection, or because a message did not arrive.
	OnRepair func()
	// OnFork, if not nil, is called when Redis had lost messages of a room that were delivered.
	OnFork func()
	// OnProbe, if not nil, is told how long a probe of a server took, a round trip of its own, and
	// its error.
	OnProbe func(took time.Duration, err error)
	// Pace, if not nil, waits until the room's members can take more, for a bounded time. A repair
	// calls it after every 64 KiB.
	Pace func(ctx context.Context, room wire.Room)
	// Signer signs messages and verifies those that arrive; nil for neither.
	Signer *bus.Signer
	// MaxStoredBytes bounds the data of a message that is read (default 1 MiB); more is refused.
	MaxStoredBytes int
	// OnRefuse, if not nil, is called when something in Redis is not what an instance would write.
	OnRefuse func(bus.Kind, bus.Refusal)
	// Durability is what durable publications wait for (default: the disk, for 3 s).
	Durability Durability
	// OnDurable, if not nil, is called when a durable publication was confirmed, or not, after so
	// long.
	OnDurable func(result DurableResult, waited time.Duration)
}

// RedisTimings are the waits of the Redis broker. Zero values mean the defaults.
type RedisTimings struct {
	// Command is the timeout of one command (default 3 s). A restart of Redis or a failover takes
	// longer: publishers get 503 meanwhile.
	Command time.Duration
	// PubSub is the silence after which a pub/sub connection is pinged, and then the timeout of the
	// answer (default 5 s).
	PubSub    time.Duration
	Backoff   time.Duration // longest pause between two attempts to connect (default 2 s)
	Health    time.Duration // between two health checks (default 1 s)
	Reconcile time.Duration // between two comparisons of idle rooms with Redis (default 5 s)
	// Recount is the time after which what a warehouse keeps is counted anew, without what has
	// expired (default 30 s).
	Recount time.Duration
	// Eviction is between two looks at whether Redis evicts what it should keep (default 30 s).
	Eviction time.Duration
}

func (t RedisTimings) withDefaults() RedisTimings {
	return RedisTimings{
		Command:   cmp.Or(t.Command, 3*time.Second),
		PubSub:    cmp.Or(t.PubSub, 5*time.Second),
		Backoff:   cmp.Or(t.Backoff, 2*time.Second),
		Health:    cmp.Or(t.Health, time.Second),
		Reconcile: cmp.Or(t.Reconcile, 5*time.Second),
		Recount:   cmp.Or(t.Recount, 30*time.Second),
		Eviction:  cmp.Or(t.Eviction, 30*time.Second),
	}
}

// Redis is the broker of several instances, which share one Redis, or one Redis Cluster.
//
//	Publish ──▶ committer ── publish script ──▶ Redis: offset, stream, retained, key, PUBLISH
//	handler ◀── redisRoom ◀── pubsubConn (one per shard) ◀── pub/sub ──┘    │
//	                └───────── what is missing ◀── History ─────────────────┘
//
// Pub/sub guarantees nothing. Each message carries its number, so a room notices what did not
// arrive and reads it from the stream before it goes on; an idle room is compared with Redis every
// few seconds. The offset, the stream and the message are made by one script (atomic in Redis), so
// a message that was answered with its offset is in the stream before anyone hears of it.
//
// Keys of a room, which all hash to one slot, with the default prefix: zonecast:{room}:meta (hash:
// epoch, n), :stream (entries n-µs), :retained (hash by event), :keys (hash of idempotency keys),
// :order (their times). The channel is zonecast:{room}. zonecast:{warehouse:name}:usage is the
// index of what the rooms of a warehouse keep, zonecast:life, or in a cluster zonecast:{tag}:life
// for a slot, the epoch of rooms that nobody published to.
type Redis struct {
	// Static after construction.
	opts        RedisOptions
	client      redis.UniversalClient
	cluster     *redis.ClusterClient // client, when it is one of a cluster; otherwise nil
	dialect     dialect
	handler     Handler
	committer   *committer
	durable     *durable
	usage       *usages
	left        *leftRooms
	repairSlots chan struct{}   // holds a token for each repair that reads its history
	ctx         context.Context // ends with Close
	stop        context.CancelFunc
	running     sync.WaitGroup // every goroutine

	lastWarned atomic.Int64          // Unix time of the last warning of what may happen often
	down       atomic.Pointer[error] // why Redis can't be used; nil while it can
	denied     atomic.Pointer[error] // why what is published would not be delivered; nil while it would
	servers    servers
	wake       chan struct{} // makes the monitor look at once

	mu          sync.RWMutex
	rooms       map[string]*redisRoom  // subscribed to, or about to be, by channel
	conns       map[string]*pubsubConn // by the address of the server
	unconfirmed map[*redisRoom]*attempt
	closed      bool
}

var _ Broker = (*Redis)(nil)

const (
	// redisRetryAfter is what publishers are told to wait while Redis is away.
	redisRetryAfter = time.Second
	// subscribeTimeout bounds a subscription; the hub keeps those who join waiting for it.
	subscribeTimeout = 5 * time.Second
	// maxRepairReads is how many repairs may read their histories at once, so that a new connection
	// does not ask Redis for all rooms at the same time.
	maxRepairReads = 16
)

// OpenRedis begins to receive. It fails if the subscriptions can't be served.
func OpenRedis(ctx context.Context, opts RedisOptions, handler Handler) (*Redis, error) {
	opts.Limits, opts.Timings, opts.Prefix = opts.Limits.withDefaults(), opts.Timings.withDefaults(), cmp.Or(opts.Prefix, redisconn.DefaultPrefix)
	opts.MaxStoredBytes, opts.Durability = cmp.Or(opts.MaxStoredBytes, wire.QueuedBytes), opts.Durability.withDefaults()
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	b := &Redis{opts: opts, client: opts.Target.Client(redisconn.Tuning{Timeout: opts.Timings.Command}), handler: handler,
		dialect: classic, repairSlots: make(chan struct{}, maxRepairReads), wake: make(chan struct{}, 1),
		rooms: map[string]*redisRoom{}, conns: map[string]*pubsubConn{}, unconfirmed: map[*redisRoom]*attempt{}}
	b.cluster, _ = b.client.(*redis.ClusterClient)
	if opts.Target.Sharded {
		b.dialect = sharded
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.committer, b.usage, b.durable, b.left = newCommitter(b), newUsages(b), newDurable(b), newLeftRooms()
	if b.cluster == nil {
		if _, err := b.readEmptyEpoch(ctx, wire.Room{}); err != nil {
			return nil, errors.Join(fmt.Errorf("Redis at %s: %w", opts.Target, err), b.Close())
		}
	}
	watch := newMonitor(b)
	watch.look() // so that nothing is taken that could not be delivered
	b.running.Go(watch.run)
	b.running.Go(func() { b.usage.run(b.ctx) })
	b.running.Go(b.retrySubscriptions)
	b.running.Go(b.reconcile)
	if err := b.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("Redis at %s: subscribe: %w", opts.Target, err), b.Close())
	}
	return b, nil
}

// shard returns a client of the server that holds the key. It is the cluster's own: never close it.
func (b *Redis) shard(ctx context.Context, key string) (*redis.Client, error) {
	if b.cluster == nil {
		return b.client.(*redis.Client), nil
	}
	return b.cluster.MasterForKey(ctx, key)
}

// Publish implements [Broker].
func (b *Redis) Publish(ctx context.Context, p Publication) (Receipt, error) {
	if b.ctx.Err() != nil {
		return Receipt{}, errClosed()
	}
	k := b.keysOf(p.Room)
	if err := b.refuseIfSuspended(ctx, k.meta); err != nil {
		return Receipt{}, b.unavailable("publish to "+p.Room.String(), err)
	}
	if p.Durable {
		if err := b.durable.refuse(ctx, p.Room); err != nil {
			return Receipt{}, err
		}
	}
	names := []string{k.meta, k.stream, k.retained}
	digest, key := "", ""
	if p.IdempotencyKey != "" {
		names, digest, key = append(names, k.idempotency, k.order), p.digest(), p.scopedKey()
	}
	names, emptyEpoch := b.withEmptyEpoch(p.Room, names...)
	l, left := b.opts.Limits, b.usage.left(ctx, p.Room.Warehouse)
	retention := RetentionOf(p.Event, p.Data, p.Retain)
	commit := func(emptyEpoch string) (string, error) {
		return b.committer.commit(ctx, p.Room.Warehouse, len(p.Data), names, NewEpoch(), emptyEpoch, k.channel, p.Event, []byte(p.Data),
			retainText(p.Retain), l.Messages, l.Age.Milliseconds(), l.Bytes, retention.most(l), wire.IdempotencyWindow.Milliseconds(),
			b.attributes(&p), b.dialect.publish, digest, key, l.RetainAge.Milliseconds(),
			left.Rooms, left.HistoryBytes, left.RetainedBytes, left.RetainedEvents,
			retention.Name, lines(retention.Drops), retention.keepsText(), retention.endsText(), retention.Expires, p.Durable)
	}
	answer, err := commit(emptyEpoch)
	if answer == askEmptyEpoch {
		if emptyEpoch, err = b.readEmptyEpoch(ctx, p.Room); err == nil {
			answer, err = commit(emptyEpoch)
		}
	}
	if err != nil {
		return Receipt{}, b.unavailable("publish to "+p.Room.String(), err)
	}
	parts := strings.Fields(answer)
	var confirm func(context.Context) error
	if p.Durable && len(parts) > 3 { // new or again
		last := len(parts) - 1
		confirm, parts = b.durable.begin(p.Room, parts[last]), parts[:last]
	}
	switch {
	case len(parts) == 1 && parts[0] == "full":
		return Receipt{}, retention.full(l, p.Room)
	case len(parts) == 2 && parts[0] == "quota":
		return Receipt{}, l.Warehouse.exceeded(parts[1], p.Room.Warehouse)
	case len(parts) == 4 && parts[0] == "again":
		o, err := parseOffset(parts[1], parts[2])
		if err == nil && parts[3] != digest {
			return Receipt{}, errOtherMessage(o)
		}
		return Receipt{Offset: o, Duplicate: true, Confirm: confirm}, err
	case len(parts) != 9:
		return Receipt{}, fmt.Errorf("publish to %s: Redis answered %q", p.Room, answer)
	}
	o, err := parseOffset(parts[1], parts[2])
	if err != nil {
		return Receipt{}, err
	}
	before, after, err := parseUsage(parts[3:])
	if err != nil {
		return Receipt{}, err
	}
	if after.Rooms = 1; o.N > 1 {
		before.Rooms = 1
	}
	b.usage.published(p.Room, before, after, false)
	return Receipt{Offset: o, Confirm: confirm}, nil
}

// unavailable turns an error of Redis into one that the caller can read, and logs the cause.
func (b *Redis) unavailable(doing string, err error) error {
	if b.ctx.Err() != nil {
		return errClosed()
	}
	if errors.Is(err, context.Canceled) {
		return wire.Errorf(wire.CodeUnavailable, "the request was canceled: the outcome is unknown")
	}
	b.warnOnceASecond("Redis command failed", "doing", doing, "error", err)
	if redis.HasErrorPrefix(err, "WRONGTYPE") || strings.Contains(err.Error(), "WRONGTYPE") {
		return wire.Errorf(wire.CodeInternal, "the room's keys in Redis are not Zonecast's: delete them, or give Zonecast "+
			"a database of its own")
	}
	if errors.Is(err, errBacklog) {
		return &wire.Error{Code: wire.CodeRateLimited, RetryAfter: redisRetryAfter.Milliseconds(),
			Message: "Redis can't keep up with publishing: publish slower"}
	}
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: redisRetryAfter.Milliseconds(), Message: refusalText(err)}
}

// warnOnceASecond logs what may happen often.
func (b *Redis) warnOnceASecond(message string, facts ...any) {
	if last, now := b.lastWarned.Load(), time.Now().Unix(); now > last && b.lastWarned.CompareAndSwap(last, now) {
		b.opts.Log.Warn(message, facts...)
	}
}

// isOutOfMemory reports whether Redis refused a command because its memory is full. An older one
// says so within another error, for a command of a script.
func isOutOfMemory(err error) bool {
	return err != nil && (redis.HasErrorPrefix(err, "OOM") || strings.Contains(err.Error(), "OOM command not allowed"))
}

// isRefusal reports whether Redis answered that it did not carry a command out. An error from
// within a script says nothing about what the script did before.
func isRefusal(err error) bool {
	var answered redis.Error
	return errors.As(err, &answered) && !strings.Contains(err.Error(), "script")
}

// refusalText says why Redis does not take a command, without what only its operator should know.
func refusalText(err error) string {
	var network *net.OpError
	switch {
	case isOutOfMemory(err): // which scripts are told before they write anything
		return "Redis is out of memory, nothing was done: try again later, or have its operator make room"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "Redis takes no writes: try again"
	case isRefusal(err), errors.As(err, new(errCircuit)), errors.Is(err, errLate), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, errDisconnected),
		errors.As(err, &network) && network.Op == "dial":
		return "Redis is not available, nothing was done: try again"
	}
	return "no reply from Redis, the outcome is unknown: try again, with the same idempotency key"
}

// Subscribe implements [Broker].
func (b *Redis) Subscribe(ctx context.Context, room wire.Room) (Snapshot, error) {
	r := newRedisRoom(b, room)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return Snapshot{}, errClosed()
	}
	b.rooms[r.keys.channel] = r
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	err := b.subscribeRoom(ctx, r)
	if err == nil {
		select {
		case <-r.confirmed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = b.checkLeft(ctx, room)
	}
	var s storedRoom
	if err == nil {
		s, err = b.readState(ctx, room)
	}
	if err != nil {
		b.Unsubscribe(room)
		return Snapshot{}, b.unavailable("subscribe to "+room.String(), err)
	}
	r.goLive(s)
	return s.Snapshot, nil
}

// Unsubscribe implements [Broker].
func (b *Redis) Unsubscribe(room wire.Room) {
	channel := b.keysOf(room).channel
	b.mu.Lock()
	r := b.rooms[channel]
	delete(b.rooms, channel)
	b.mu.Unlock()
	if r != nil {
		r.close()
		b.left.leave(r)
		b.unsubscribeRoom(r)
	}
}

// Close implements [Broker].
func (b *Redis) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	rooms := slices.Collect(maps.Values(b.rooms))
	conns := slices.Collect(maps.Values(b.conns))
	b.mu.Unlock()
	b.stop()
	for _, r := range rooms {
		r.close()
	}
	for _, c := range conns {
		c.reconnect() // ends its receiving; it makes no new connection
	}
	b.running.Wait()
	return errors.Join(b.committer.close(), b.durable.close(), b.client.Close())
}

// spawn runs f on a goroutine that Close waits for. After Close it does nothing and reports false.
func (b *Redis) spawn(f func()) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.closed {
		b.running.Go(f)
	}
	return !b.closed
}
