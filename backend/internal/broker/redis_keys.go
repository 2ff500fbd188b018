package broker

import (
	"context"
	"fmt"

	"github.com/zonecast/zonecast/backend/wire"
)

// keys are the names of a room's keys, which all hash to one slot.
type keys struct{ channel, meta, stream, retained, idempotency, order string }

func (b *Redis) keysOf(room wire.Room) keys {
	channel := b.opts.Prefix + ":{" + room.String() + "}"
	return keys{channel, channel + ":meta", channel + ":stream", channel + ":retained", channel + ":keys", channel + ":order"}
}

// watchKey is written to find out whether Redis takes writes.
func (b *Redis) watchKey() string { return b.opts.Prefix + ":watch" }

// lifeKey holds the epoch of all rooms that nobody published to: the Redis's own, see roomPreamble.
func (b *Redis) lifeKey() string { return b.opts.Prefix + ":life" }

// usageKey is the hash of what each room of a warehouse keeps.
func (b *Redis) usageKey(warehouse string) string {
	return b.keysOf(wire.Room{Warehouse: warehouse}).channel + ":usage"
}

// withLife adds to a script's keys the one of the Redis's own epoch or, in a cluster, where that is
// of another slot, returns the epoch as it was read last.
func (b *Redis) withLife(keys []string) (all []string, life string) {
	if b.cluster == nil {
		return append(keys, b.lifeKey()), ""
	}
	return keys, *b.life.Load()
}

// readLife reads the Redis's own epoch, and makes one if there is none.
func (b *Redis) readLife(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timings.Command)
	defer cancel()
	life, err := b.client.Get(ctx, b.lifeKey()).Result()
	if err != nil || life == "" {
		if err := b.client.SetNX(ctx, b.lifeKey(), NewEpoch(), 0).Err(); err != nil {
			return fmt.Errorf("make an epoch: %w", err)
		}
		if life, err = b.client.Get(ctx, b.lifeKey()).Result(); err != nil {
			return fmt.Errorf("read the epoch: %w", err)
		}
	}
	b.life.Store(&life)
	return nil
}

// renewLife gives rooms that nobody published to another epoch: Redis has lost messages, and they
// may be those that were the first of such a room.
func (b *Redis) renewLife(ctx context.Context) {
	life := NewEpoch()
	if err := b.client.Set(ctx, b.lifeKey(), life, 0).Err(); err != nil {
		b.opts.Log.Warn("the epoch of empty rooms could not be renewed", "error", err)
		return
	}
	b.life.Store(&life)
}
