package broker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// What the memory broker lets go of: what was deleted, what is too old, what is too much.

// DeleteRetained implements [Deleter].
func (b *Memory) DeleteRetained(_ context.Context, room wire.Room, event string) (bool, error) {
	r, err := b.room(room, false)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unretain(func(name string) bool { return isOf(name, event) }) {
		return false, nil
	}
	b.ledger.settle(r, r.keeps(), false, 0)
	if r.subscribed {
		b.handler.Retained(room, r.snapshot())
	}
	return true, nil
}

// DeleteRoom implements [Deleter].
func (b *Memory) DeleteRoom(_ context.Context, room wire.Room) (bool, error) {
	r, err := b.room(room, false)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 || r.forgotten {
		return false, nil
	}
	last := wire.Offset{Epoch: r.epoch, N: r.n}
	b.reset(r)
	if r.subscribed {
		b.handler.Gap(room, Gap{From: last, To: wire.Offset{Epoch: r.epoch}}, nil)
	}
	b.forgetUnused(r)
	return true, nil
}

// reset makes a room, whose mutex is held, one that nobody published to, of another epoch.
func (b *Memory) reset(r *memoryRoom) {
	b.mu.Lock()
	b.forget(r.name)
	r.epoch = b.epochOf(r.name)
	b.mu.Unlock()
	r.n, r.bytes, r.history, r.retained, r.retainedBytes = 0, 0, nil, nil, 0
	b.ledger.settle(r, Usage{}, false, 0)
}

// evictions bounds the rooms that one publication takes something from. More is left to the next.
const evictions = 64

// evict takes their histories from the rooms that were published to longest ago, until all of them
// keep no more than the limit. A room that keeps nothing any more, and that nobody is in, is
// forgotten.
func (b *Memory) evict() {
	for range evictions {
		r := b.ledger.quietest(b.limits.Total)
		if r == nil {
			return
		}
		r.mu.Lock()
		switch {
		case r.forgotten || r.n == 0:
		case len(r.history) == 0 && len(r.retained) == 0 && !r.subscribed:
			b.reset(r)
			b.forgetUnused(r)
		default:
			r.bytes, r.history = 0, nil
			b.ledger.settle(r, r.keeps(), false, 0)
		}
		r.mu.Unlock()
	}
}

// sweepInterval is the time between two sweeps.
func (b *Memory) sweepInterval() time.Duration {
	return min(max(b.limits.Age/4, time.Second), time.Minute)
}

// sweepLater makes sure that there is a sweep to come.
func (b *Memory) sweepLater() {
	b.mu.RLock()
	coming := b.sweeping != nil
	b.mu.RUnlock()
	if coming {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sweeping == nil && !b.closed {
		b.sweeping = time.AfterFunc(b.sweepInterval(), b.sweep)
	}
}

// sweep forgets what is too old, of rooms that nobody publishes to as well. It comes again while
// there is something that will be.
func (b *Memory) sweep() {
	now := time.Now()
	b.mu.RLock()
	rooms := slices.Collect(maps.Values(b.rooms))
	b.mu.RUnlock()
	left := b.keys.sweep(now)
	for _, r := range rooms {
		r.mu.Lock()
		if r.n > 0 && !r.forgotten {
			b.expire(r, now)
			left = left || len(r.history) > 0 || b.limits.RetainAge > 0 && len(r.retained) > 0
		}
		r.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case left && !b.closed:
		b.sweeping.Reset(b.sweepInterval())
	default:
		b.sweeping = nil
	}
}
