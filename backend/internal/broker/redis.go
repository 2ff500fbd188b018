package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
	"github.com/zonecast/zonecast/backend/wire"
)

// RedisOptions of [OpenRedis]. Target is needed; zero values of the others mean the defaults.
type RedisOptions struct {
	Target *redisconn.Target
	Limits Limits // Rooms and Keys are for Redis's own memory limit to bound
	Log    *slog.Logger
	// OnReconnect, if not nil, is told when a connection for subscriptions is back after it was lost.
	OnReconnect func()
	// OnRepair, if not nil, is told when a room's subscription is caught up from its history: after a lost connection, or
	// because a message did not arrive.
	OnRepair func()
	// OnFork, if not nil, is told when Redis had lost messages of a room that were delivered already.
	OnFork func()
	// Pace, if not nil, waits until the room's members can take more, for a bounded time. A repair calls it between portions of
	// what was missed.
	Pace func(ctx context.Context, room wire.Room)
}

// Redis is the broker of several instances, which share one Redis, or one Redis Cluster.
//
//	Publish ──▶ committer ── one script a message ──▶ Redis: offset, stream, retained value, idempotency key, PUBLISH
//	handler ◀── redisRoom ◀── feed (one to each shard) ◀── pub/sub ──┘  │
//	                └───────── what is missing ◀── History ─────────────┘
//
// Pub/sub gives no guarantee, and none is asked of it: each message carries its number, so a room notices what did not
// arrive and reads it from the stream before it goes on; and a room in which nothing arrives is compared with Redis every
// few seconds. The offset, the stream and the message are made by one script (atomic in Redis), so a message that was
// answered with its offset is in the stream before anyone hears of it.
//
// Keys of a room, which all hash to one slot: zonecast:{room}:meta (hash: epoch, n), :stream (entries n-µs), :retained (hash
// by event), :keys (hash of idempotency keys), :order (their times). The channel is zonecast:{room}.
type Redis struct {
	// Static after construction.
	opts      RedisOptions
	client    redis.UniversalClient
	cluster   *redis.ClusterClient // client, when it is one of a cluster; otherwise nil
	dialect   dialect
	handler   Handler
	committer *committer
	opened    time.Time
	reading   chan struct{}   // holds a token for each repair that reads its history
	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	running   sync.WaitGroup // feeds, the watches, committers and repairs

	warned atomic.Int64          // when a failed command was logged last, in s since 1970
	down   atomic.Pointer[error] // why Redis can't be used; nil while it can

	mu       sync.RWMutex
	rooms    map[string]*redisRoom // subscribed to, or about to be, by channel
	feeds    map[string]*feed      // by the address of the server
	unplaced map[*redisRoom]*placing
	closed   bool
}

var _ Broker = (*Redis)(nil)

const (
	// redisRetryAfter is what publishers are told to wait while Redis is away.
	redisRetryAfter = time.Second
	// redisTimeout bounds one command. A restart of Redis or a failover takes longer: publishers get 503 meanwhile.
	redisTimeout = 3 * time.Second
	// subscribeTimeout bounds a subscription; the hub keeps those who join waiting for it.
	subscribeTimeout = 5 * time.Second
	// repairReads is how many repairs may read their histories at once, so that a new connection does not ask Redis for
	// all rooms in the same moment.
	repairReads = 16
)

// OpenRedis begins to receive. It fails if the subscriptions can't be served.
func OpenRedis(ctx context.Context, opts RedisOptions, handler Handler) (*Redis, error) {
	opts.Limits = opts.Limits.withDefaults()
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	b := &Redis{opts: opts, client: opts.Target.Client(redisconn.Tuning{Timeout: redisTimeout}), handler: handler,
		dialect: classic, opened: time.Now(), reading: make(chan struct{}, repairReads),
		rooms: map[string]*redisRoom{}, feeds: map[string]*feed{}, unplaced: map[*redisRoom]*placing{}}
	b.cluster, _ = b.client.(*redis.ClusterClient)
	if opts.Target.Sharded {
		b.dialect = sharded
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.committer = newCommitter(b)
	b.running.Go(b.watch)
	b.running.Go(b.sweep)
	b.running.Go(b.audit)
	if err := b.listen(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("Redis at %s: subscribe: %w", opts.Target, err), b.Close())
	}
	return b, nil
}

// keys are the names of a room's keys.
type keys struct{ channel, meta, stream, retained string }

func keysOf(room wire.Room) keys {
	channel := "zonecast:{" + room.String() + "}"
	return keys{channel, channel + ":meta", channel + ":stream", channel + ":retained"}
}

// shard returns a client of the server that holds the key. It is the cluster's own, and never to be closed.
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
	k := keysOf(p.Room)
	names := []string{k.meta, k.stream, k.retained}
	digest := ""
	if p.IdempotencyKey != "" {
		names, digest = append(names, k.channel+":keys", k.channel+":order"), p.digest()
	}
	retain := "0"
	if p.Retain {
		retain = "1"
	}
	l := b.opts.Limits
	answer, err := b.committer.commit(ctx, len(p.Data), names, NewEpoch(), k.channel, p.Event, []byte(p.Data), retain,
		l.Messages, l.Age.Milliseconds(), l.Bytes, l.Retained, wire.IdempotencyWindow.Milliseconds(), p.Conflate,
		b.dialect.publish, digest, p.IdempotencyKey)
	if err != nil {
		return Receipt{}, b.unavailable("publish to "+p.Room.String(), err)
	}
	parts := strings.Fields(answer)
	switch {
	case len(parts) == 1 && parts[0] == "full":
		return Receipt{}, wire.Errorf(wire.CodeLimitReached,
			"%d events are retained in %s already: reuse one of their names", l.Retained, p.Room)
	case len(parts) == 4 && parts[0] == "again":
		if o, err := parseOffset(parts[1], parts[2]); err == nil && parts[3] != digest {
			return Receipt{}, errOtherMessage(o)
		}
	case len(parts) != 3:
		return Receipt{}, fmt.Errorf("publish to %s: Redis answered %q", p.Room, answer)
	}
	o, err := parseOffset(parts[1], parts[2])
	return Receipt{Offset: o, Duplicate: parts[0] == "again"}, err
}

func parseOffset(epoch, n string) (wire.Offset, error) {
	v, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		return wire.Offset{}, fmt.Errorf("offset in Redis: %w", err)
	}
	return wire.Offset{Epoch: epoch, N: v}, nil
}

// unavailable turns an error of Redis into one that the caller can read, and logs the cause.
func (b *Redis) unavailable(doing string, err error) error {
	if b.ctx.Err() != nil {
		return errClosed()
	}
	if errors.Is(err, context.Canceled) {
		return wire.Errorf(wire.CodeUnavailable, "the request was canceled: it may have been carried out or not")
	}
	if last, now := b.warned.Load(), time.Now().Unix(); now > last && b.warned.CompareAndSwap(last, now) { // once a second
		b.opts.Log.Warn("Redis failed", "doing", doing, "error", err)
	}
	if redis.HasErrorPrefix(err, "WRONGTYPE") || strings.Contains(err.Error(), "WRONGTYPE") {
		return wire.Errorf(wire.CodeInternal, "the room's keys in Redis hold something that is not of Zonecast: its operator has to "+
			"delete them, or give Zonecast a database of its own")
	}
	if errors.Is(err, errBacklog) {
		return &wire.Error{Code: wire.CodeRateLimited, RetryAfter: redisRetryAfter.Milliseconds(),
			Message: "more is published than Redis takes: publish slower"}
	}
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: redisRetryAfter.Milliseconds(), Message: away(err)}
}

// isRefusal reports whether an error is Redis's own answer that it did not carry a command out. One from within a script says
// nothing about what the script did before.
func isRefusal(err error) bool {
	var answered redis.Error
	return errors.As(err, &answered) && !strings.Contains(err.Error(), "script")
}

// away says why Redis does not take a command, without what only its operator should know.
func away(err error) string {
	var network *net.OpError
	switch {
	case redis.HasErrorPrefix(err, "OOM"):
		return "Redis is out of memory: try again"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "Redis takes no writes: try again"
	case isRefusal(err), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, errFeedLost),
		errors.As(err, &network) && network.Op == "dial":
		return "Redis is not available, and nothing was done: try again"
	}
	// What was sent may have been carried out although the answer is missing.
	return "Redis did not answer, so this may have been done or not: try again; publish with the same idempotency key"
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
	err := b.place(ctx, r)
	if err == nil {
		select {
		case <-r.confirmed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	var s Snapshot
	var stamp int64
	if err == nil {
		s, stamp, err = b.position(ctx, room)
	}
	if err != nil {
		b.Unsubscribe(room)
		return Snapshot{}, b.unavailable("subscribe to "+room.String(), err)
	}
	r.begin(s.Offset, stamp)
	return s, nil
}

// Unsubscribe implements [Broker].
func (b *Redis) Unsubscribe(room wire.Room) {
	channel := keysOf(room).channel
	b.mu.Lock()
	r := b.rooms[channel]
	delete(b.rooms, channel)
	b.mu.Unlock()
	if r != nil {
		r.end()
		b.displace(r)
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
	var open []*redis.PubSub
	for _, f := range b.feeds {
		if f.pubsub != nil {
			open = append(open, f.pubsub)
		}
	}
	b.mu.Unlock()
	b.stop()
	for _, r := range rooms {
		r.end()
	}
	for _, pubsub := range open {
		pubsub.Close() // ends the feed's waiting
	}
	b.running.Wait()
	return errors.Join(b.committer.close(), b.client.Close())
}

// spawn runs f on a goroutine that Close waits for. It does not, and reports false, when Close was called.
func (b *Redis) spawn(f func()) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.closed {
		b.running.Go(f)
	}
	return !b.closed
}
