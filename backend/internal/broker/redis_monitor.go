package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/redisconn"
)

// A monitor finds out, until Close, whether Redis answers, takes writes, which it refuses when its
// memory is full, and delivers what is published.
type monitor struct {
	broker   *Redis
	own      echo
	master   string    // as the Sentinels say
	silent   int       // how often in a row nothing was heard
	evicting []string  // servers, with their policies
	looked   time.Time // at these
}

func newMonitor(b *Redis) *monitor {
	return &monitor{broker: b, own: echo{channel: b.opts.Prefix + ":echo:" + NewEpoch()}}
}

func (m *monitor) run() {
	b := m.broker
	for b.ctx.Err() == nil {
		pause := b.opts.Timings.Health
		if b.down.Load() != nil {
			pause = min(pause, probeAgain)
		}
		select {
		case <-time.After(pause):
		case <-b.wake:
		case <-b.ctx.Done():
		}
		m.look()
	}
	if m.own.pubsub != nil {
		_ = m.own.pubsub.Close() // the program goes on without it
	}
}

// look looks once.
func (m *monitor) look() {
	b := m.broker
	m.master = b.checkMaster(m.master)
	err := b.checkWritable()
	if err == nil {
		err = m.listen()
	}
	switch was := b.down.Load(); {
	case b.ctx.Err() != nil:
		return
	case err == nil && was != nil:
		b.down.Store(nil)
		b.opts.Log.Info("Redis is available again")
	case err != nil:
		b.down.Store(&err)
		if isOutOfMemory(err) && (was == nil || !isOutOfMemory(*was)) {
			b.opts.Log.Error("Redis is out of memory: nothing can be published until there is room", "error", err)
		} else if was == nil {
			b.opts.Log.Error("Redis is not available", "error", err)
		}
	}
	if err == nil && time.Since(m.looked) > b.opts.Timings.Eviction {
		m.evicting, m.looked = b.warnOfEviction(m.evicting), time.Now()
	}
}

// listen hears what it publishes. A connection that was just lost is no reason to complain.
func (m *monitor) listen() error {
	b := m.broker
	err := b.hearItself(&m.own)
	var denied *redisconn.DeniedError
	if errors.As(err, &denied) {
		b.denied.Store(&err)
		return err
	}
	b.denied.Store(nil)
	if err == nil {
		m.silent = 0
		return nil
	}
	if m.silent++; m.silent < timeoutsToOpen {
		return nil
	}
	return err
}

// warnOfEviction warns when Redis begins to evict what it should keep; before is what it said the
// last time.
func (b *Redis) warnOfEviction(before []string) []string {
	ctx, cancel := context.WithTimeout(b.ctx, probeTimeout)
	defer cancel()
	var mu sync.Mutex
	var now []string
	look := func(ctx context.Context, client *redis.Client) error {
		info, err := client.InfoMap(ctx, "memory").Result()
		if err != nil {
			return err
		}
		m := info["Memory"]
		if policy := m["maxmemory_policy"]; policy != "" && policy != "noeviction" && cmp.Or(m["maxmemory"], "0") != "0" {
			mu.Lock()
			defer mu.Unlock()
			now = append(now, client.Options().Addr+" "+policy)
		}
		return nil
	}
	if err := b.forEachServer(ctx, look); err != nil {
		return before // it may not be asked, or is away
	}
	slices.Sort(now)
	if len(now) > 0 && !slices.Equal(before, now) {
		b.opts.Log.Warn("Redis drops histories when its memory is full: set maxmemory-policy noeviction", "policies", now)
	}
	return now
}

// forEachServer calls f for the only server, or for each master of the cluster.
func (b *Redis) forEachServer(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if b.cluster != nil {
		return b.cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, b.client.(*redis.Client))
}
