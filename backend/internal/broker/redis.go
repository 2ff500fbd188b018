package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/wire"
)

// RedisOptions of [OpenRedis]. URL is needed; zero values of the others mean the defaults.
type RedisOptions struct {
	// URL is redis://, rediss:// or unix://, as redis.ParseURL reads it.
	URL    string
	Limits Limits // Rooms and Keys are for Redis's own memory limit to bound
	Log    *slog.Logger
	// OnReconnect, if not nil, is told when the subscriptions are back after they were lost.
	OnReconnect func()
	// OnRepair, if not nil, is told when a room's subscription is caught up from its history: after a lost connection, or
	// because a message did not arrive.
	OnRepair func()
}

// Redis is the broker of several instances, which share one Redis.
//
//	Publish ──▶ committer ── one script a message ──▶ Redis: offset, stream, retained value, idempotency key, PUBLISH
//	handler ◀── redisRoom ◀── receiver ◀── pub/sub ──┘  │
//	                └── what is missing ◀── History ────┘
//
// Pub/sub gives no guarantee, and none is asked of it: each message carries its number, so a room notices what did not
// arrive and reads it from the stream before it goes on. The offset, the stream and the message are made by one script
// (atomic in Redis), so a message that was answered with its offset is in the stream before anyone hears of it.
//
// Keys of a room, which all hash to one slot: zonecast:{room}:meta (hash: epoch, n), :stream (entries n-µs), :retained (hash
// by event), :key:… (idempotency keys). The channel is zonecast:{room}.
type Redis struct {
	// Static after construction.
	opts      RedisOptions
	client    *redis.Client
	handler   Handler
	committer *committer
	ctx       context.Context // ends with Close
	stop      context.CancelFunc
	running   sync.WaitGroup // the receiver, the watch on Redis's health, committers and repairs

	warned atomic.Int64          // when a failed command was logged last, in s since 1970
	down   atomic.Pointer[error] // why Redis can't be used; nil while it can

	mu     sync.RWMutex
	rooms  map[string]*redisRoom // subscribed to, or about to be, by channel
	pubsub *redis.PubSub         // nil while the connection is lost
	closed bool
}

var _ Broker = (*Redis)(nil)

const (
	// redisRetryAfter is what publishers are told to wait while Redis is away.
	redisRetryAfter = time.Second
	// redisTimeout bounds one command. A restart of Redis or a failover takes longer: publishers get 503 meanwhile.
	redisTimeout = 3 * time.Second
	// subscribeTimeout bounds a subscription; the hub keeps those who join waiting for it.
	subscribeTimeout = 5 * time.Second
)

// OpenRedis connects to Redis and starts to receive. It fails if Redis does not answer, or is too old.
func OpenRedis(ctx context.Context, opts RedisOptions, handler Handler) (*Redis, error) {
	o, err := redis.ParseURL(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL is not one of Redis (%w): write for example redis://127.0.0.1:6379/0", withoutSecret(err))
	}
	o.MaxRetries = -1 // a publish whose answer was lost may have been accepted: only the publisher may repeat it, with a key
	o.DialTimeout = cmp.Or(o.DialTimeout, redisTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, redisTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, redisTimeout)
	o.ContextTimeoutEnabled = true
	opts.Limits = opts.Limits.withDefaults()
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	redis.SetLogger(libraryLog{opts.Log})
	b := &Redis{opts: opts, client: redis.NewClient(o), handler: handler, rooms: map[string]*redisRoom{}}
	if err := b.greet(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("Redis at %s: %w", o.Addr, err), b.client.Close())
	}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.committer = newCommitter(b.client)
	b.running.Go(func() { b.committer.run(b.ctx) })
	receiving := make(chan struct{})
	b.running.Go(func() { b.receive(receiving) })
	b.running.Go(b.watch)
	select {
	case <-receiving:
		return b, nil
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("Redis at %s: subscribe: %w", o.Addr, ctx.Err()), b.Close())
	}
}

// libraryLog takes what go-redis itself logs, which the errors that it returns say as well. go-redis has one logger for the
// whole program.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "go-redis", "said", fmt.Sprintf(format, args...))
}

// withoutSecret takes the URL out of an error of url.Parse, since it may hold a password.
func withoutSecret(err error) error {
	var inner interface{ Unwrap() error }
	if errors.As(err, &inner) && inner.Unwrap() != nil {
		return inner.Unwrap()
	}
	return err
}

// greet checks that Redis is there, new enough (XTRIM MINID came with 6.2) and does not drop histories silently.
func (b *Redis) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*redisTimeout)
	defer cancel()
	if err := b.client.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := b.client.InfoMap(ctx, "server", "memory").Result()
	if err != nil {
		return nil // not permitted to ask
	}
	version := info["Server"]["redis_version"]
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 && (major < 6 || major == 6 && minor < 2) {
		return fmt.Errorf("version %s is too old: 6.2 or newer is needed", version)
	}
	if policy := info["Memory"]["maxmemory_policy"]; policy != "" && policy != "noeviction" && info["Memory"]["maxmemory"] != "0" {
		b.opts.Log.Warn("Redis may drop histories when its memory is full: set maxmemory-policy noeviction", "policy", policy)
	}
	return nil
}

// keys are the names of a room's keys.
type keys struct{ channel, meta, stream, retained string }

func keysOf(room wire.Room) keys {
	channel := "zonecast:{" + room.String() + "}"
	return keys{channel, channel + ":meta", channel + ":stream", channel + ":retained"}
}

// Publish implements [Broker].
func (b *Redis) Publish(ctx context.Context, p Publication) (Receipt, error) {
	if b.ctx.Err() != nil {
		return Receipt{}, errClosed()
	}
	k := keysOf(p.Room)
	names := []string{k.meta, k.stream, k.retained}
	if p.IdempotencyKey != "" {
		names = append(names, k.channel+":key:"+p.IdempotencyKey)
	}
	retain := "0"
	if p.Retain {
		retain = "1"
	}
	l := b.opts.Limits
	answer, err := b.committer.commit(ctx, names, NewEpoch(), k.channel, p.Event, []byte(p.Data), retain,
		l.Messages, l.Age.Milliseconds(), l.Bytes, l.Retained, wire.IdempotencyWindow.Milliseconds(), p.Conflate)
	if err != nil {
		return Receipt{}, b.unavailable("publish to "+p.Room.String(), err)
	}
	switch parts := strings.Fields(answer); parts[0] {
	case "full":
		return Receipt{}, wire.Errorf(wire.CodeLimitReached,
			"%d events are retained in %s already: reuse one of their names", l.Retained, p.Room)
	default:
		o, err := parseOffset(parts[1], parts[2])
		return Receipt{Offset: o, Duplicate: parts[0] == "again"}, err
	}
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
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: redisRetryAfter.Milliseconds(),
		Message: "Redis is not available: try again"}
}

// Subscribe implements [Broker].
func (b *Redis) Subscribe(ctx context.Context, room wire.Room) (Snapshot, error) {
	k := keysOf(room)
	r := newRedisRoom(b, room)
	b.mu.Lock()
	pubsub, closed := b.pubsub, b.closed
	if pubsub != nil && !closed {
		b.rooms[k.channel] = r
	}
	b.mu.Unlock()
	if closed {
		return Snapshot{}, errClosed()
	}
	if pubsub == nil {
		return Snapshot{}, b.unavailable("subscribe to "+room.String(), errors.New("the connection is lost"))
	}
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	err := pubsub.Subscribe(ctx, k.channel)
	if err == nil {
		select {
		case <-r.confirmed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	var s Snapshot
	if err == nil {
		s, err = b.position(ctx, room)
	}
	if err != nil {
		b.Unsubscribe(room)
		return Snapshot{}, b.unavailable("subscribe to "+room.String(), err)
	}
	r.begin(s.Offset)
	return s, nil
}

// Unsubscribe implements [Broker].
func (b *Redis) Unsubscribe(room wire.Room) {
	channel := keysOf(room).channel
	b.mu.Lock()
	r, pubsub := b.rooms[channel], b.pubsub
	delete(b.rooms, channel)
	b.mu.Unlock()
	if r == nil {
		return
	}
	r.dead.Store(true)
	if pubsub == nil {
		return
	}
	// When this fails the connection is lost, and the next one does not subscribe to the channel.
	if err := pubsub.Unsubscribe(b.ctx, channel); err != nil {
		b.opts.Log.Debug("unsubscribe", "room", room, "error", err)
	}
}

// Health implements [Broker].
func (b *Redis) Health() error {
	if b.ctx.Err() != nil {
		return errClosed()
	}
	if err := b.down.Load(); err != nil {
		return fmt.Errorf("Redis is not available: %w", *err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.pubsub == nil {
		return errors.New("Redis is not available: the subscriptions are not back yet")
	}
	return nil
}

// watch asks Redis once a second whether it is there and takes writes, which it refuses when its memory is full.
func (b *Redis) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := b.client.Set(b.ctx, "zonecast:watch", 1, time.Minute).Err()
		switch was := b.down.Load(); {
		case b.ctx.Err() != nil:
			return
		case err == nil && was != nil:
			b.down.Store(nil)
			b.opts.Log.Info("Redis is back")
		case err != nil:
			b.down.Store(&err)
			if was == nil {
				b.opts.Log.Error("Redis is away", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
	}
}

// spawn runs f on a goroutine that Close waits for, unless it has been closed.
func (b *Redis) spawn(f func()) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.closed {
		b.running.Go(f)
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
	for _, r := range b.rooms {
		r.dead.Store(true)
	}
	pubsub := b.pubsub
	b.mu.Unlock()
	b.stop()
	if pubsub != nil {
		pubsub.Close() // ends the receiver's waiting
	}
	b.running.Wait()
	return b.client.Close()
}
