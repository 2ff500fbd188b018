package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/wire"
)

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
	for _, f := range b.feeds {
		if f.lost && (b.cluster == nil || len(f.rooms) > 0) {
			return errors.New("Redis is not available: the subscriptions are not back yet")
		}
	}
	for _, p := range b.unplaced {
		if time.Since(p.since) > 2*confirmWithin {
			return errors.New("Redis is not available: not all subscriptions are confirmed")
		}
	}
	return nil
}

// watchEvery is how often Redis is asked whether it works.
const watchEvery = time.Second

// watch asks Redis once a second whether it is there and takes writes, which it refuses when its memory is full.
func (b *Redis) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for master := ""; ; {
		master = b.follow(master)
		err := b.works()
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

// follow asks the Sentinels, if there are any, which server is the master. When it is another one than it was, the
// subscriptions are made anew: the old master may live on for a while, and publish nothing.
func (b *Redis) follow(was string) (master string) {
	ctx, cancel := context.WithTimeout(b.ctx, watchEvery)
	defer cancel()
	master, err := b.opts.Target.Master(ctx)
	if err != nil || master == was {
		return was
	}
	if was != "" {
		b.opts.Log.Warn("another server is the master", "was", was, "now", master)
		b.mu.RLock()
		feeds := slices.Collect(maps.Values(b.feeds))
		b.mu.RUnlock()
		for _, f := range feeds {
			f.cut()
		}
	}
	return master
}

func (b *Redis) works() error {
	if b.cluster != nil {
		// Each server, and that together they hold all slots.
		if err := b.cluster.ForEachMaster(b.ctx, func(ctx context.Context, client *redis.Client) error {
			return client.Ping(ctx).Err()
		}); err != nil {
			b.cluster.ReloadState(b.ctx)
			return err
		}
	}
	return b.client.Set(b.ctx, "zonecast:watch", 1, time.Minute).Err()
}

const (
	// auditEvery is how often each quiet room is compared with Redis, unless there are more than auditRate times as many
	// rooms: then it takes longer.
	auditEvery = 5 * time.Second
	auditRate  = 2000 // rooms a second
	auditChunk = 200  // rooms in one round trip
	// auditGrace is how long a message may be on its way.
	auditGrace = 500 * time.Millisecond
	// quietFor is for how long nothing must have been published in a room that is looked at: others find their own holes.
	quietFor = time.Second
)

// audit compares the rooms in which nothing arrives with Redis, until Close: a subscription that is silent is not trusted. One
// that is behind is subscribed to again, and so repaired. A feed with such rooms twice in a row is connected anew.
func (b *Redis) audit() {
	suspects := map[*feed]bool{}        // of the last round
	for pauseFor(b.ctx, 2*auditEvery) { // half of it to all of it
		now := map[*feed]bool{}
		for chunk := range slices.Chunk(b.quiet(), auditChunk) {
			for _, r := range b.behind(chunk) {
				f := b.repeat(r)
				if f != nil {
					now[f] = true
				}
			}
			if !pauseFor(b.ctx, auditChunk*time.Second/auditRate) {
				return
			}
		}
		for f := range now {
			if suspects[f] {
				delete(now, f)
				b.opts.Log.Warn("subscriptions do not deliver: connecting anew", "server", f.address)
				f.cut()
			}
		}
		suspects = now
	}
}

// quiet returns the rooms to look at.
func (b *Redis) quiet() []*redisRoom {
	b.mu.RLock()
	rooms := make([]*redisRoom, 0, len(b.rooms))
	for _, r := range b.rooms {
		if b.unplaced[r] == nil {
			rooms = append(rooms, r)
		}
	}
	b.mu.RUnlock()
	return slices.DeleteFunc(rooms, func(r *redisRoom) bool { _, quiet := r.position(quietFor); return !quiet })
}

// behind returns those of the rooms that lack what Redis has, or have what it lacks.
func (b *Redis) behind(rooms []*redisRoom) (late []*redisRoom) {
	before := make([]wire.Offset, len(rooms))
	for i, r := range rooms {
		before[i], _ = r.position(0)
	}
	at := b.positions(rooms, before)
	if len(at) == 0 || !pauseFor(b.ctx, 2*auditGrace) {
		return nil
	}
	for i, there := range at {
		if here, _ := rooms[i].position(0); here.Epoch != there.Epoch || here.N < there.N || before[i].N > there.N {
			late = append(late, rooms[i])
		}
	}
	return late
}

// positions reads how the rooms stand, and returns those that differ from before, by index. A room that nobody has published
// to is remembered for another day.
func (b *Redis) positions(rooms []*redisRoom, before []wire.Offset) map[int]wire.Offset {
	ctx, cancel := context.WithTimeout(b.ctx, redisTimeout)
	defer cancel()
	pipe := b.client.Pipeline()
	reads := make([]*redis.SliceCmd, len(rooms))
	for i, r := range rooms {
		reads[i] = pipe.HMGet(ctx, r.keys.meta, "epoch", "n")
		if before[i].N == 0 {
			// By its text, not its hash: the server may not know it.
			rememberScript.Eval(ctx, pipe, []string{r.keys.meta, r.keys.retained})
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	differ := map[int]wire.Offset{}
	for i := range rooms {
		values, err := reads[i].Result()
		if err != nil || len(values) != 2 {
			continue // Redis is away: this ends with a confirmation of each room
		}
		epoch, _ := values[0].(string) // nothing at all, when the history is lost
		text, _ := values[1].(string)
		n, _ := strconv.ParseUint(text, 10, 64)
		if there := (wire.Offset{Epoch: epoch, N: n}); there != before[i] {
			differ[i] = there
		}
	}
	return differ
}

// repeat subscribes to a room that is behind again, and returns where.
func (b *Redis) repeat(r *redisRoom) *feed {
	if r.isDead() {
		return nil
	}
	b.opts.Log.Warn("a subscription was silent although something was published", "room", r.name)
	if err := b.place(b.ctx, r); err != nil {
		b.opts.Log.Debug("subscribe again", "room", r.name, "error", err)
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return r.feed
}

// cut ends the connection of a feed that does not deliver, so that it makes a new one.
func (f *feed) cut() {
	b := f.broker
	b.mu.RLock()
	pubsub := f.pubsub
	b.mu.RUnlock()
	if pubsub != nil {
		pubsub.Close()
	}
}
