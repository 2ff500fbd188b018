package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A dialect is how Redis is told to publish and subscribe.
type dialect struct {
	publish                string // the command of the publish script
	subscribe, unsubscribe func(p *redis.PubSub, ctx context.Context, channels ...string) error
}

var (
	// classic pub/sub reaches all servers of a cluster, whichever of them one is subscribed at.
	classic = dialect{"PUBLISH", (*redis.PubSub).Subscribe, (*redis.PubSub).Unsubscribe}
	// sharded pub/sub (Redis 7) stays within the shard of the channel, where the room's keys are too.
	sharded = dialect{"SPUBLISH", (*redis.PubSub).SSubscribe, (*redis.PubSub).SUnsubscribe}
)

const (
	// probeAfter is how long a connection for subscriptions may be silent before it is asked whether it still works, and then
	// how long it has to answer.
	probeAfter = 5 * time.Second
	// resubscribeChunk is how many channels go into one SUBSCRIBE.
	resubscribeChunk = 500
	// Between two attempts to connect; each pause is half to all of its length.
	firstPause, longestPause = 100 * time.Millisecond, 2 * time.Second
)

// A feed is the connection for the subscriptions at one server: the only one, or a shard's. It makes a new one whenever it
// is lost. go-redis would do so by itself, but subscribe again to all channels in one command, which a cluster refuses, and
// without a word, so that nobody would look for what was missed.
type feed struct {
	// Static after construction.
	broker  *Redis
	address string

	// Guarded by broker.mu.
	client *redis.Client
	pubsub *redis.PubSub         // nil while the connection is lost, or not yet there
	lost   bool                  // the last attempt to connect failed, or the connection did
	rooms  map[string]*redisRoom // that are placed here, by channel
}

// run keeps the connection until Close, or until it is lost while no room needs it.
func (f *feed) run() {
	b := f.broker
	pause := firstPause
	for connected := false; ; {
		b.mu.RLock()
		client := f.client
		b.mu.RUnlock()
		pubsub := client.Subscribe(b.ctx)
		err := pubsub.Ping(b.ctx)
		if err == nil {
			if connected && b.opts.OnReconnect != nil {
				b.opts.OnReconnect()
			}
			connected = true
			began := time.Now()
			err = f.attend(pubsub)
			if time.Since(began) > longestPause {
				pause = firstPause
			}
		}
		pubsub.Close()
		if needed := f.lose(); !needed || b.ctx.Err() != nil {
			return
		}
		b.opts.Log.Warn("the subscriptions to Redis are lost", "server", f.address, "error", err, "again in at most", pause)
		if !pauseFor(b.ctx, pause) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// lose takes the rooms' confirmations back, and reports whether the feed is still needed. In a cluster the rooms may find
// another place meanwhile.
func (f *feed) lose() (needed bool) {
	b := f.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	f.pubsub, f.lost = nil, true
	for _, r := range f.rooms {
		b.unplaced[r] = newPlacing(firstPause)
	}
	if b.cluster == nil {
		return true
	}
	b.cluster.ReloadState(b.ctx)
	if len(f.rooms) > 0 {
		return true
	}
	delete(b.feeds, f.address)
	return false
}

// attend subscribes to the feed's rooms and hands on what arrives, until the connection is lost.
func (f *feed) attend(pubsub *redis.PubSub) error {
	b := f.broker
	if message, err := pubsub.ReceiveTimeout(b.ctx, probeAfter); err != nil { // the answer to the first ping
		return err
	} else if _, ok := message.(*redis.Pong); !ok {
		return fmt.Errorf("PING was answered with %T", message)
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed()
	}
	f.pubsub, f.lost = pubsub, false
	channels := make([]string, 0, len(f.rooms))
	for channel, r := range f.rooms {
		channels = append(channels, channel)
		b.unplaced[r] = newPlacing(confirmWithin)
	}
	b.mu.Unlock()
	if err := b.subscribe(pubsub, channels); err != nil {
		return err
	}
	for probed := false; ; {
		message, err := pubsub.ReceiveTimeout(b.ctx, probeAfter)
		var refusal redis.Error
		switch {
		case err == nil:
			probed = false
			f.take(message)
		case errors.As(err, &refusal): // the server's answer to a SUBSCRIBE: the sweep tries again
			f.refused(err)
		default:
			if err = b.probe(pubsub, err, probed); err != nil {
				return err
			}
			probed = true
		}
	}
}

// subscribe asks for the channels: in a cluster for one at a time, since those of two slots may not go together.
func (b *Redis) subscribe(pubsub *redis.PubSub, channels []string) error {
	most := resubscribeChunk
	if b.cluster != nil {
		most = 1
	}
	for chunk := range slices.Chunk(channels, most) {
		if err := b.dialect.subscribe(pubsub, b.ctx, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// probe pings a connection on which nothing arrived in time. An error means that it is lost.
func (b *Redis) probe(pubsub *redis.PubSub, err error, probed bool) error {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return err
	}
	if probed {
		return fmt.Errorf("no answer within %v", probeAfter)
	}
	return pubsub.Ping(b.ctx)
}

// take never blocks on Redis: rooms that have to ask it something do so on a goroutine of their own.
func (f *feed) take(message any) {
	b := f.broker
	switch m := message.(type) {
	case *redis.Subscription:
		switch m.Kind {
		case "subscribe", "ssubscribe":
			b.confirm(f, m.Channel)
		case "unsubscribe", "sunsubscribe":
			b.evicted(f, m.Channel)
		}
	case *redis.Message:
		b.mu.RLock()
		r := b.rooms[m.Channel]
		b.mu.RUnlock()
		if r == nil {
			return
		}
		decoded, err := decodePayload(r.name, m.Payload)
		if err != nil {
			b.opts.Log.Warn("message ignored", "error", err)
			return
		}
		r.live(decoded)
	}
}

// refused is told of a SUBSCRIBE that the server did not take.
func (f *feed) refused(err error) {
	b := f.broker
	if b.cluster != nil {
		b.cluster.ReloadState(b.ctx) // MOVED, most likely
	}
	b.opts.Log.Warn("Redis refused a subscription", "server", f.address, "error", err)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range f.rooms { // whose it was is not said
		if p := b.unplaced[r]; p != nil {
			p.delay(now)
		}
	}
}

// pauseFor waits out one pause, and reports false when ctx ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
