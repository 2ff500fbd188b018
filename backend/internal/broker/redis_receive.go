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

const (
	// probeAfter is how long a subscription may be silent before it is asked whether it still works, and then how long it
	// has to answer.
	probeAfter = 5 * time.Second
	// resubscribeChunk is how many channels go into one SUBSCRIBE.
	resubscribeChunk = 500
	// Between two attempts to connect; each pause is half to all of its length.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
)

// receive keeps one connection for the subscriptions, and a new one whenever it is lost, until Close. It closes receiving
// when the first one is there.
func (b *Redis) receive(receiving chan<- struct{}) {
	pause := firstPause
	for connected := 0; ; {
		pubsub := b.client.Subscribe(b.ctx)
		err := pubsub.Ping(b.ctx)
		if err == nil {
			if connected++; connected > 1 && b.opts.OnReconnect != nil {
				b.opts.OnReconnect()
			}
			pause = firstPause
			err = b.attend(pubsub, func() {
				if connected == 1 {
					close(receiving)
				}
			})
		}
		b.mu.Lock()
		b.pubsub = nil
		b.mu.Unlock()
		pubsub.Close()
		if b.ctx.Err() != nil {
			return
		}
		b.opts.Log.Warn("the subscriptions to Redis are lost", "error", err, "again in at most", pause)
		if !pauseFor(b.ctx, pause) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// attend subscribes to all rooms and hands on what arrives, until the connection is lost.
func (b *Redis) attend(pubsub *redis.PubSub, attending func()) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed()
	}
	b.pubsub = pubsub
	attending()
	channels := make([]string, 0, len(b.rooms))
	for channel := range b.rooms {
		channels = append(channels, channel)
	}
	b.mu.Unlock()
	for chunk := range slices.Chunk(channels, resubscribeChunk) {
		if err := pubsub.Subscribe(b.ctx, chunk...); err != nil {
			return err
		}
	}
	probed := true // by receive, a moment ago
	for {
		message, err := pubsub.ReceiveTimeout(b.ctx, probeAfter)
		if err != nil {
			if err = b.probe(pubsub, err, probed); err != nil {
				return err
			}
			probed = true
			continue
		}
		probed = false
		b.take(message)
	}
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
func (b *Redis) take(message any) {
	switch m := message.(type) {
	case *redis.Subscription:
		if r := b.room(m.Channel); r != nil && m.Kind == "subscribe" {
			r.confirm()
		}
	case *redis.Message:
		r := b.room(m.Channel)
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

func (b *Redis) room(channel string) *redisRoom {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.rooms[channel]
}

// pauseFor waits out one pause, and reports false when ctx ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d/2 + rand.N(d/2)):
		return true
	case <-ctx.Done():
		return false
	}
}
