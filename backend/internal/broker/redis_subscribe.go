package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Where each room is subscribed to: at the server that holds its keys. The subscription is
// unconfirmed until the server has answered. A lost connection, a slot that moved to another server
// and a failover all make subscriptions unconfirmed, and retrySubscriptions brings them back.

// An attempt is the state of a subscription that is not confirmed.
type attempt struct {
	since time.Time // when it became unconfirmed
	next  time.Time // when to subscribe again
	pause time.Duration
}

const (
	// confirmTimeout is how long a server may take to confirm, before the next attempt.
	confirmTimeout = time.Second
	// retryInterval is the time between two looks at unconfirmed subscriptions.
	retryInterval = 50 * time.Millisecond
)

// newAttempt returns one that is repeated after that time.
func newAttempt(wait time.Duration) *attempt {
	now := time.Now()
	return &attempt{since: now, next: now.Add(wait), pause: firstPause}
}

// delay puts the next attempt off, each time for longer.
func (a *attempt) delay(now time.Time, longest time.Duration) {
	a.next = now.Add(a.pause)
	a.pause = min(2*a.pause, longest)
}

var errDisconnected = errors.New("pub/sub connection lost")

// connect makes the first pub/sub connection: to the only server, or to one of the cluster's.
func (b *Redis) connect(ctx context.Context) error {
	for {
		c, err := b.connFor(ctx, b.watchKey())
		if err != nil {
			return err
		}
		b.mu.RLock()
		connected, lost := c.pubsub != nil, c.lost
		b.mu.RUnlock()
		if connected {
			return nil
		}
		if lost {
			return errDisconnected
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connFor returns the connection to the server that holds the key, and starts it if need be.
func (b *Redis) connFor(ctx context.Context, key string) (*pubsubConn, error) {
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
	c := b.conns[address]
	if c == nil {
		c = &pubsubConn{broker: b, address: address, client: client, rooms: map[string]*redisRoom{}}
		b.conns[address] = c
		b.running.Go(c.run)
	}
	c.client = client // a cluster forgets servers, and makes another client when one comes back
	return c, nil
}

// subscribeRoom subscribes to a room at the server that holds it now. It does not wait for the
// confirmation. The error is for the caller to know; retrySubscriptions tries again all the same.
func (b *Redis) subscribeRoom(ctx context.Context, r *redisRoom) error {
	c, err := b.connFor(ctx, r.keys.channel)
	if err != nil {
		return err
	}
	if r.isClosed() {
		return nil
	}
	b.mu.Lock()
	if b.rooms[r.keys.channel] != r { // it has just been unsubscribed from
		b.mu.Unlock()
		return nil
	}
	old := r.conn
	r.conn = c
	c.rooms[r.keys.channel] = r
	if b.unconfirmed[r] == nil {
		b.unconfirmed[r] = newAttempt(confirmTimeout)
	}
	pubsub, lost := c.pubsub, c.lost
	b.mu.Unlock()
	if old != nil && old != c {
		b.detachRoom(old, r)
	}
	switch {
	case pubsub != nil:
		return closeOnError(pubsub, b.dialect.subscribe(pubsub, b.ctx, r.keys.channel))
	case lost:
		return errDisconnected
	}
	return nil // it subscribes to all its rooms as soon as it is connected
}

// unsubscribeRoom ends a room's subscription.
func (b *Redis) unsubscribeRoom(r *redisRoom) {
	b.mu.Lock()
	c := r.conn
	delete(b.unconfirmed, r)
	b.mu.Unlock()
	if c != nil {
		b.detachRoom(c, r)
	}
}

// detachRoom takes a room from a connection, unless a later subscription to the same room is there.
func (b *Redis) detachRoom(c *pubsubConn, r *redisRoom) {
	b.mu.Lock()
	held := c.rooms[r.keys.channel] == r
	if held {
		delete(c.rooms, r.keys.channel)
	}
	pubsub := c.pubsub
	b.mu.Unlock()
	if held && pubsub != nil {
		b.sendUnsubscribe(pubsub, r.keys.channel)
	}
}

// sendUnsubscribe ends the subscription to a channel. When this fails the connection is lost, and
// the next one does not subscribe to it.
func (b *Redis) sendUnsubscribe(pubsub *redis.PubSub, channel string) {
	if err := closeOnError(pubsub, b.dialect.unsubscribe(pubsub, b.ctx, channel)); err != nil {
		b.opts.Log.Debug("unsubscribe failed", "channel", channel, "error", err)
	}
}

// closeOnError closes a connection to which a command could not be written, and returns the error.
// go-redis has reconnected by then, and subscribed to all channels in one command, which a cluster
// refuses: pubsubConn has to begin anew.
func closeOnError(pubsub *redis.PubSub, err error) error {
	if err != nil {
		pubsub.Close()
	}
	return err
}

// onSubscribed handles the confirmation of a subscription.
func (b *Redis) onSubscribed(c *pubsubConn, channel string) {
	b.mu.Lock()
	r := c.rooms[channel]
	confirmed := r != nil && r.conn == c // it may be moving to another connection
	if confirmed {
		delete(b.unconfirmed, r)
	}
	pubsub := c.pubsub
	b.mu.Unlock()
	switch {
	case confirmed:
		r.handleConfirmation()
	case r == nil && pubsub != nil: // unsubscribed from before the SUBSCRIBE was written
		b.sendUnsubscribe(pubsub, channel)
	}
}

// onUnsubscribed handles the end of a subscription: one that we asked for or, in a cluster, one
// whose slot has moved to another server.
func (b *Redis) onUnsubscribed(c *pubsubConn, channel string) {
	b.mu.Lock()
	r := c.rooms[channel]
	if r != nil {
		b.unconfirmed[r] = newAttempt(0)
	}
	b.mu.Unlock()
	if r != nil && b.cluster != nil {
		b.cluster.ReloadState(b.ctx)
	}
}

// retrySubscriptions repeats unconfirmed subscriptions that are due, until Close.
func (b *Redis) retrySubscriptions() {
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
		for _, r := range b.dueRetries(time.Now()) {
			if err := b.subscribeRoom(b.ctx, r); err != nil && !errors.Is(err, errDisconnected) {
				b.opts.Log.Debug("resubscribe failed", "room", r.name, "error", err)
			}
		}
	}
}

// sortRooms puts rooms into an order that repeats, so that a simulation does.
func sortRooms(rooms []*redisRoom) {
	slices.SortFunc(rooms, func(a, b *redisRoom) int { return strings.Compare(a.keys.channel, b.keys.channel) })
}

// dueRetries returns the rooms to subscribe to again now. Without a cluster, those of a lost
// connection wait for it to come back.
func (b *Redis) dueRetries(now time.Time) (rooms []*redisRoom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r, a := range b.unconfirmed {
		if a.next.After(now) || b.cluster == nil && r.conn != nil && r.conn.pubsub == nil {
			continue
		}
		a.next = now.Add(confirmTimeout)
		rooms = append(rooms, r)
	}
	sortRooms(rooms)
	return rooms
}
