package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/wire"
)

// fullError says that Redis takes no writes that need memory.
type fullError struct{ err error }

func (e fullError) Error() string {
	return "Redis is out of memory, nothing can be published until there is room: " + e.err.Error()
}

// Everywhere reports that no other instance is better off.
func (fullError) Everywhere() bool { return true }

// Health implements [Broker].
func (b *Redis) Health() error {
	if b.ctx.Err() != nil {
		return errClosed()
	}
	if err := b.down.Load(); err != nil {
		if !isOutOfMemory(*err) {
			return fmt.Errorf("Redis is not available: %w", *err)
		}
		if other := b.pubsubHealth(); other != nil {
			return other
		}
		return fullError{*err}
	}
	return b.pubsubHealth()
}

func (b *Redis) pubsubHealth() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.conns {
		if c.lost && (b.cluster == nil || len(c.rooms) > 0) {
			return errors.New("Redis is not available: pub/sub connection lost")
		}
	}
	for _, a := range b.unconfirmed {
		if time.Since(a.since) > 2*confirmTimeout {
			return errors.New("Redis is not available: not all subscriptions are confirmed")
		}
	}
	return nil
}

// checkMaster asks the Sentinels, if there are any, which server is the master. When it changed,
// the pub/sub connections are made anew: the old one may live on, and publish nothing.
func (b *Redis) checkMaster(was string) (master string) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	master, err := b.opts.Target.Master(ctx)
	if err != nil || master == was {
		return was
	}
	if was != "" {
		b.opts.Log.Warn("failover: Redis has another master", "was", was, "now", master)
		b.mu.RLock()
		conns := slices.Collect(maps.Values(b.conns))
		b.mu.RUnlock()
		for _, c := range conns {
			c.reconnect()
		}
	}
	return master
}

// checkWritable probes each server, and whether they take writes.
func (b *Redis) checkWritable() error {
	seen := new(sync.Map)
	if err := b.forEachServer(b.ctx, func(ctx context.Context, client *redis.Client) error {
		seen.Store(client.Options().Addr, true)
		return b.probe(ctx, client)
	}); err != nil {
		if b.cluster != nil {
			b.cluster.ReloadState(b.ctx)
		}
		return err
	}
	b.servers.keep(seen)
	ctx, cancel := context.WithTimeout(b.ctx, b.opts.Timings.Command)
	defer cancel()
	return b.client.Set(ctx, b.watchKey(), 1, time.Minute).Err()
}

const (
	reconcileRate  = 2000 // rooms a second at most
	reconcileBatch = 200  // rooms in one round trip
	// deliveryGrace is how long a message may be under way.
	deliveryGrace = 500 * time.Millisecond
	// idleAfter is the time without a message after which a room is idle. Others find their own
	// holes by the next message.
	idleAfter = time.Second
)

// reconcile compares idle rooms with Redis, until Close: silence of pub/sub proves nothing. A room
// that is stale is subscribed to again, and so repaired. A connection that has stale rooms twice in
// a row is made anew.
func (b *Redis) reconcile() {
	suspects := map[*pubsubConn]bool{}                // of the last round
	for pauseFor(b.ctx, 2*b.opts.Timings.Reconcile) { // half of it to all of it
		now := map[*pubsubConn]bool{}
		for some := range slices.Chunk(b.idleRooms(), reconcileBatch) {
			for _, r := range b.staleRooms(some) {
				if c := b.resubscribe(r); c != nil {
					now[c] = true
				}
			}
			if !pauseFor(b.ctx, reconcileBatch*time.Second/reconcileRate) {
				return
			}
		}
		for c := range now {
			if suspects[c] {
				delete(now, c)
				b.opts.Log.Warn("pub/sub connection does not deliver: reconnecting", "server", c.address)
				c.reconnect()
			}
		}
		suspects = now
	}
}

func (b *Redis) idleRooms() []*redisRoom {
	b.mu.RLock()
	rooms := make([]*redisRoom, 0, len(b.rooms))
	for _, r := range b.rooms {
		if b.unconfirmed[r] == nil {
			rooms = append(rooms, r)
		}
	}
	b.mu.RUnlock()
	rooms = slices.DeleteFunc(rooms, func(r *redisRoom) bool { _, idle := r.lastDelivered(); return !idle })
	sortRooms(rooms)
	return rooms
}

// staleRooms returns those of the rooms that lack what Redis has, or have what it lacks.
func (b *Redis) staleRooms(rooms []*redisRoom) (stale []*redisRoom) {
	before := make([]delivered, len(rooms))
	for i, r := range rooms {
		before[i], _ = r.lastDelivered()
	}
	changed := b.changedRooms(rooms, before)
	if len(changed) == 0 || !pauseFor(b.ctx, 2*deliveryGrace) {
		return nil
	}
	for _, i := range slices.Sorted(maps.Keys(changed)) {
		there := changed[i]
		here, _ := rooms[i].lastDelivered()
		if here.at.Epoch != there.at.Epoch || here.at.N < there.at.N || before[i].at.N > there.at.N || there.reuses(here) {
			stale = append(stale, rooms[i])
		}
	}
	return stale
}

// A newestMessage is what a room's meta hash says of its last message: when it was accepted in ms,
// 0 if that is unknown.
type newestMessage struct {
	at       wire.Offset
	accepted int64
}

// reuses reports whether this is another message than the one that was delivered at its offset:
// Redis had lost that, and gave its number again.
func (m newestMessage) reuses(last delivered) bool {
	return m.at == last.at && m.accepted != 0 && last.accepted != 0 && m.accepted != last.accepted.Millis()
}

// changedRooms reads the rooms' newest messages, and returns those that are not the ones of before,
// by index.
func (b *Redis) changedRooms(rooms []*redisRoom, before []delivered) map[int]newestMessage {
	ctx, cancel := context.WithTimeout(b.ctx, b.opts.Timings.Command)
	defer cancel()
	pipe := b.client.Pipeline()
	reads := make([]*redis.SliceCmd, len(rooms))
	emptyEpochs := map[string]*redis.StringCmd{} // by key
	for i, r := range rooms {
		reads[i] = pipe.HMGet(ctx, r.keys.meta, "epoch", "n", "at")
		if key := b.emptyEpochKey(r.name); emptyEpochs[key] == nil {
			emptyEpochs[key] = pipe.Get(ctx, key)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	changed := map[int]newestMessage{}
	for i, r := range rooms {
		values, err := reads[i].Result()
		if err != nil || len(values) != 3 {
			continue // Redis is away: each room is confirmed anew after that
		}
		epoch, known := values[0].(string)
		if !known { // it was never published to, or its history is lost
			if epoch, err = emptyEpochs[b.emptyEpochKey(r.name)].Result(); err != nil && !errors.Is(err, redis.Nil) {
				continue
			}
		}
		digits, _ := values[1].(string)
		n, _ := strconv.ParseUint(digits, 10, 64)
		digits, _ = values[2].(string)
		accepted, _ := strconv.ParseInt(digits, 10, 64)
		there := newestMessage{wire.Offset{Epoch: epoch, N: n}, accepted}
		if there.at != before[i].at || there.reuses(before[i]) {
			changed[i] = there
		}
	}
	return changed
}

// resubscribe subscribes to a stale room again, and returns its connection.
func (b *Redis) resubscribe(r *redisRoom) *pubsubConn {
	if r.isClosed() {
		return nil
	}
	b.opts.Log.Warn("subscription missed a message: resubscribing", "room", r.name)
	if err := b.subscribeRoom(b.ctx, r); err != nil {
		b.opts.Log.Debug("resubscribe failed", "room", r.name, "error", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return r.conn
}
