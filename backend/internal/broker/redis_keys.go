package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

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

// emptyEpochKey holds the epoch of rooms that nobody published to, see roomPreamble: of all of them
// on one server; in a cluster of those of the room's slot, so that it is lost with them.
func (b *Redis) emptyEpochKey(room wire.Room) string {
	if b.cluster == nil {
		return b.opts.Prefix + ":life"
	}
	return b.opts.Prefix + ":{" + slotTags()[slotOf(room.String())] + "}:life"
}

// fenceKey is written to have something to wait for: on the same server as the room, in a cluster
// in its slot.
func (b *Redis) fenceKey(room wire.Room) string {
	if b.cluster == nil {
		return b.opts.Prefix + ":fence"
	}
	return b.opts.Prefix + ":{" + slotTags()[slotOf(room.String())] + "}:fence"
}

// usageKey is the hash of what each room of a warehouse keeps.
func (b *Redis) usageKey(warehouse string) string {
	return b.keysOf(wire.Room{Warehouse: warehouse}).channel + ":usage"
}

// withEmptyEpoch adds to the keys of a room's script the one that holds the epoch of rooms that
// nobody published to, and returns what the script is told of it. In a cluster the key is left out:
// while the slot moves, a script may be refused because some of its keys have moved. There the
// script answers askEmptyEpoch for such a room, and is run again with the epoch.
func (b *Redis) withEmptyEpoch(room wire.Room, keys ...string) (all []string, emptyEpoch string) {
	if b.cluster == nil {
		return append(keys, b.emptyEpochKey(room)), ""
	}
	return keys, askEmptyEpoch
}

// askEmptyEpoch is what a script in a cluster is told instead of the epoch of rooms that nobody
// published to, and what it answers when it needs that.
const askEmptyEpoch = "life?"

// readEmptyEpoch reads the epoch of rooms that nobody published to, and makes one if there is none.
func (b *Redis) readEmptyEpoch(ctx context.Context, room wire.Room) (emptyEpoch string, err error) {
	key := b.emptyEpochKey(room)
	for range 2 {
		if emptyEpoch, err = b.client.Get(ctx, key).Result(); err == nil {
			return emptyEpoch, nil
		}
		if !errors.Is(err, redis.Nil) {
			break
		}
		if err = b.client.SetNX(ctx, key, NewEpoch(), 0).Err(); err != nil {
			break
		}
	}
	if isOutOfMemory(err) { // nothing can be kept: whoever resumes from this one is told a gap
		return NewEpoch(), nil
	}
	return "", fmt.Errorf("epoch of empty rooms: %w", err)
}

// renewLife gives rooms that nobody published to another epoch: Redis has lost messages of a room,
// and may have lost those that were the first of such a one.
func (b *Redis) renewLife(ctx context.Context, room wire.Room) {
	if err := b.client.Set(ctx, b.emptyEpochKey(room), NewEpoch(), 0).Err(); err != nil {
		b.opts.Log.Warn("the epoch of empty rooms could not be renewed", "error", err)
	}
}

// slots is how many hash slots a cluster has.
const slots = 16384

// slotOf returns the hash slot of a key, or of its hash tag: CRC-16/XMODEM, as the specification of
// Redis Cluster has it.
func slotOf(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}

// slotTags returns a short hash tag for each slot.
var slotTags = sync.OnceValue(func() *[slots]string {
	var tags [slots]string
	for n, left := 0, slots; left > 0; n++ {
		tag := strconv.FormatInt(int64(n), 36)
		if slot := slotOf(tag); tags[slot] == "" {
			tags[slot] = tag
			left--
		}
	}
	return &tags
})
