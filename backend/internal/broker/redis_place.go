package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Where each room is subscribed to. A room is placed at the feed of the server that holds its keys, and unplaced until the
// server has confirmed the subscription. A lost connection, a slot that moved to another server and a failover all make
// rooms unplaced, and one sweep brings all of them back.

// A placing is the state of a room that no server has confirmed.
type placing struct {
	since time.Time // when it began
	next  time.Time // when to try again
	pause time.Duration
}

// confirmWithin is how long a server may take to confirm, before it is asked again.
const confirmWithin = time.Second

// newPlacing returns one that is tried again after that time.
func newPlacing(wait time.Duration) *placing {
	now := time.Now()
	return &placing{since: now, next: now.Add(wait), pause: firstPause}
}

// delay puts the next try off, each time for longer.
func (p *placing) delay(now time.Time) {
	p.next = now.Add(p.pause)
	p.pause = min(2*p.pause, longestPause)
}

var errFeedLost = errors.New("the connection for subscriptions is lost")

// listen makes the first connections: to the only server, or to one of the cluster's, which shows that it can be done.
func (b *Redis) listen(ctx context.Context) error {
	for {
		f, err := b.feedFor(ctx, "zonecast:watch")
		if err != nil {
			return err
		}
		b.mu.RLock()
		connected, lost := f.pubsub != nil, f.lost
		b.mu.RUnlock()
		if connected {
			return nil
		}
		if lost {
			return errFeedLost
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// feedFor returns the feed of the server that holds the key, and starts it if need be.
func (b *Redis) feedFor(ctx context.Context, key string) (*feed, error) {
	client, err := b.shard(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	address := client.Options().Addr
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed()
	}
	f := b.feeds[address]
	if f == nil {
		f = &feed{broker: b, address: address, client: client, rooms: map[string]*redisRoom{}}
		b.feeds[address] = f
		b.running.Go(f.run)
	}
	f.client = client // a cluster forgets servers, and makes another client when one comes back
	return f, nil
}

// place subscribes to a room where it belongs now. It does not wait for the confirmation. The error is for whoever waits for
// it; the sweep tries again all the same.
func (b *Redis) place(ctx context.Context, r *redisRoom) error {
	f, err := b.feedFor(ctx, r.keys.channel)
	if err != nil {
		return err
	}
	if r.isDead() {
		return nil
	}
	b.mu.Lock()
	if b.rooms[r.keys.channel] != r { // it has just been unsubscribed from
		b.mu.Unlock()
		return nil
	}
	old := r.feed
	r.feed = f
	f.rooms[r.keys.channel] = r
	if b.unplaced[r] == nil {
		b.unplaced[r] = newPlacing(confirmWithin)
	}
	pubsub, lost := f.pubsub, f.lost
	b.mu.Unlock()
	if old != nil && old != f {
		b.depart(old, r)
	}
	switch {
	case pubsub != nil:
		return give(pubsub, b.dialect.subscribe(pubsub, b.ctx, r.keys.channel))
	case lost:
		return errFeedLost
	}
	return nil // it subscribes to all its rooms as soon as it is connected
}

// displace ends a room's subscription.
func (b *Redis) displace(r *redisRoom) {
	b.mu.Lock()
	f := r.feed
	delete(b.unplaced, r)
	b.mu.Unlock()
	if f != nil {
		b.depart(f, r)
	}
}

// depart takes a room from a feed, unless a later subscription to the same room has its place there.
func (b *Redis) depart(f *feed, r *redisRoom) {
	b.mu.Lock()
	held := f.rooms[r.keys.channel] == r
	if held {
		delete(f.rooms, r.keys.channel)
	}
	pubsub := f.pubsub
	b.mu.Unlock()
	if !held || pubsub == nil {
		return
	}
	b.leave(pubsub, r.keys.channel)
}

// leave ends the subscription to a channel. When this fails the connection is lost, and the next one does not subscribe to it.
func (b *Redis) leave(pubsub *redis.PubSub, channel string) {
	if err := give(pubsub, b.dialect.unsubscribe(pubsub, b.ctx, channel)); err != nil {
		b.opts.Log.Debug("unsubscribe", "channel", channel, "error", err)
	}
}

// give closes a connection to which a command could not be written, and returns the error. go-redis has made another one by
// then, and subscribed to all channels in one command, which a cluster refuses: the feed must begin anew.
func give(pubsub *redis.PubSub, err error) error {
	if err != nil {
		pubsub.Close()
	}
	return err
}

// confirm is told that a server has subscribed us to a channel.
func (b *Redis) confirm(f *feed, channel string) {
	b.mu.Lock()
	r := f.rooms[channel]
	placed := r != nil && r.feed == f // it may be on its way to another feed
	if placed {
		delete(b.unplaced, r)
	}
	pubsub := f.pubsub
	b.mu.Unlock()
	switch {
	case placed:
		r.confirm()
	case r == nil && pubsub != nil: // unsubscribed from before the command that subscribed
		b.leave(pubsub, channel)
	}
}

// evicted is told that a server has ended a subscription: because we asked for it or, in a cluster, because the channel's
// slot has moved to another server.
func (b *Redis) evicted(f *feed, channel string) {
	b.mu.Lock()
	r := f.rooms[channel]
	if r != nil {
		b.unplaced[r] = newPlacing(0)
	}
	b.mu.Unlock()
	if r != nil && b.cluster != nil {
		b.cluster.ReloadState(b.ctx)
	}
}

// sweepEvery is how often unplaced rooms are looked at.
const sweepEvery = 50 * time.Millisecond

// sweep places the rooms again that have waited for a confirmation for long enough, until Close.
func (b *Redis) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
		for _, r := range b.due(time.Now()) {
			if err := b.place(b.ctx, r); err != nil && !errors.Is(err, errFeedLost) {
				b.opts.Log.Debug("subscribe again", "room", r.name, "error", err)
			}
		}
	}
}

// due returns the rooms to be placed again now. Those at a feed that is lost and the only one there is wait for the feed.
func (b *Redis) due(now time.Time) (rooms []*redisRoom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r, p := range b.unplaced {
		if p.next.After(now) || b.cluster == nil && r.feed != nil && r.feed.pubsub == nil {
			continue
		}
		p.next = now.Add(confirmWithin)
		rooms = append(rooms, r)
	}
	return rooms
}
