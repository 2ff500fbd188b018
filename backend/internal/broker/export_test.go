package broker

import (
	"context"

	"github.com/zonecast/zonecast/backend/wire"
)

// MemoryRooms returns how many rooms the broker has.
func MemoryRooms(b *Memory) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.rooms)
}

// ConfirmAs waits as for a publication that a server of this replication history accepted.
func ConfirmAs(ctx context.Context, b *Redis, room wire.Room, history string) error {
	return b.durable.begin(room, history)(ctx)
}
