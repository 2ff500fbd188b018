package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/chance"
)

// A dialect is the set of pub/sub commands of a Redis.
type dialect struct {
	publish                string // the command of the publish script
	subscribe, unsubscribe func(p *redis.PubSub, ctx context.Context, channels ...string) error
}

var (
	// classic pub/sub reaches all servers of a cluster, whichever of them one is subscribed at.
	classic = dialect{"PUBLISH", (*redis.PubSub).Subscribe, (*redis.PubSub).Unsubscribe}
	// sharded pub/sub (Redis 7) stays within the shard of the channel, as the room's keys do.
	sharded = dialect{"SPUBLISH", (*redis.PubSub).SSubscribe, (*redis.PubSub).SUnsubscribe}
)

const (
	// resubscribeBatch is how many channels go into one SUBSCRIBE.
	resubscribeBatch = 500
	// firstPause is the first pause of an exponential backoff up to RedisTimings.Backoff. Each
	// pause takes half to all of its length.
	firstPause = 100 * time.Millisecond
)

// A pubsubConn is the pub/sub connection to one server: the only one, or a shard's. It reconnects
// whenever it is lost. go-redis would do so by itself, but subscribe again to all channels in one
// command, which a cluster refuses, and silently, so that nobody would look for what was missed.
type pubsubConn struct {
	// Static after construction.
	broker  *Redis
	address string

	// Guarded by broker.mu.
	client *redis.Client
	pubsub *redis.PubSub         // nil while disconnected
	lost   bool                  // the last attempt to connect failed, or the connection did
	rooms  map[string]*redisRoom // subscribed to here, by channel
}

// run keeps the connection until Close, or until it is lost while no room needs it.
func (c *pubsubConn) run() {
	b := c.broker
	pause := firstPause
	for connected := false; ; {
		b.mu.RLock()
		client := c.client
		b.mu.RUnlock()
		pubsub := client.Subscribe(b.ctx)
		err := pubsub.Ping(b.ctx)
		if err == nil {
			if connected && b.opts.OnReconnect != nil {
				b.opts.OnReconnect()
			}
			b.spawn(b.checkAllLeft)
			connected = true
			began := time.Now()
			err = c.receiveLoop(pubsub)
			if time.Since(began) > b.opts.Timings.Backoff {
				pause = firstPause
			}
		}
		pubsub.Close()
		if needed := c.onDisconnect(); !needed || b.ctx.Err() != nil {
			return
		}
		b.opts.Log.Warn("pub/sub connection to Redis lost", "server", c.address, "error", err, "retry_in", pause)
		if !pauseFor(b.ctx, pause) {
			return
		}
		pause = min(2*pause, b.opts.Timings.Backoff)
	}
}

// onDisconnect marks the rooms' subscriptions as unconfirmed, and reports whether the connection is
// still needed. In a cluster the rooms may move to another one meanwhile.
func (c *pubsubConn) onDisconnect() (needed bool) {
	b := c.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	c.pubsub, c.lost = nil, true
	for _, r := range c.rooms {
		b.unconfirmed[r] = newAttempt(firstPause)
	}
	if b.cluster == nil {
		return true
	}
	b.cluster.ReloadState(b.ctx)
	if len(c.rooms) > 0 {
		return true
	}
	delete(b.conns, c.address)
	return false
}

// receiveLoop subscribes to the rooms and handles what arrives, until the connection is lost.
func (c *pubsubConn) receiveLoop(pubsub *redis.PubSub) error {
	b := c.broker
	timeout := b.opts.Timings.PubSub
	message, err := pubsub.ReceiveTimeout(b.ctx, timeout) // the answer to the first ping
	if err != nil {
		return err
	}
	if _, ok := message.(*redis.Pong); !ok {
		return fmt.Errorf("PING was answered with %T", message)
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed()
	}
	c.pubsub, c.lost = pubsub, false
	channels := slices.Sorted(maps.Keys(c.rooms))
	for _, r := range c.rooms {
		b.unconfirmed[r] = newAttempt(confirmTimeout)
	}
	b.mu.Unlock()
	if err := b.sendSubscribe(pubsub, channels); err != nil {
		return err
	}
	for pinged := false; ; {
		message, err := pubsub.ReceiveTimeout(b.ctx, timeout)
		var refusal redis.Error
		var network net.Error
		switch {
		case err == nil:
			pinged = false
			c.handle(message)
		case errors.As(err, &refusal): // the answer to a SUBSCRIBE, which is repeated later
			c.onRefusal(err)
		case !errors.As(err, &network) || !network.Timeout():
			return err
		case pinged:
			return fmt.Errorf("no answer within %v", timeout)
		default:
			if err := pubsub.Ping(b.ctx); err != nil {
				return err
			}
			pinged = true
		}
	}
}

// sendSubscribe subscribes to the channels: in a cluster to one at a time, since those of two slots
// may not go together.
func (b *Redis) sendSubscribe(pubsub *redis.PubSub, channels []string) error {
	batch := resubscribeBatch
	if b.cluster != nil {
		batch = 1
	}
	for some := range slices.Chunk(channels, batch) {
		if err := b.dialect.subscribe(pubsub, b.ctx, some...); err != nil {
			return err
		}
	}
	return nil
}

// handle never blocks on Redis: rooms that have to ask it something do so on their own goroutine.
func (c *pubsubConn) handle(message any) {
	b := c.broker
	switch m := message.(type) {
	case *redis.Subscription:
		switch m.Kind {
		case "subscribe", "ssubscribe":
			b.onSubscribed(c, m.Channel)
		case "unsubscribe", "sunsubscribe":
			b.onUnsubscribed(c, m.Channel)
		}
	case *redis.Message:
		b.mu.RLock()
		r := b.rooms[m.Channel]
		b.mu.RUnlock()
		if r == nil {
			return
		}
		if m.Payload == recheck {
			r.recheck()
			return
		}
		decoded, err := b.decodeLive(r.name, m.Payload)
		if err != nil {
			b.refuse(bus.Message, r.name, err)
			return
		}
		decoded.setClockAhead(b.servers.at(c.address).clock.ahead())
		r.handleLive(decoded)
	}
}

// onRefusal handles a SUBSCRIBE that the server refused.
func (c *pubsubConn) onRefusal(err error) {
	b := c.broker
	if b.cluster != nil {
		b.cluster.ReloadState(b.ctx) // MOVED, most likely
	}
	b.opts.Log.Warn("Redis refused a subscription", "server", c.address, "error", err)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range c.rooms { // the error does not name the channel
		if a := b.unconfirmed[r]; a != nil {
			a.delay(now, b.opts.Timings.Backoff)
		}
	}
}

// reconnect closes a connection that does not deliver, so that run makes a new one.
func (c *pubsubConn) reconnect() {
	c.broker.mu.RLock()
	pubsub := c.pubsub
	c.broker.mu.RUnlock()
	if pubsub != nil {
		pubsub.Close()
	}
}

// pauseFor waits out one pause, and reports false when ctx ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d/2 + chance.N(d/2)):
		return true
	case <-ctx.Done():
		return false
	}
}
