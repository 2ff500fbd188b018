package broker

import (
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// An idempotencyCache remembers the latest idempotency keys for wire.IdempotencyWindow.
type idempotencyCache struct {
	limit int
	// added is told how many bytes the keys of a warehouse take more.
	added func(warehouse string, bytes int)

	mu    sync.Mutex
	known map[string]firstUse
	order []usedKey // oldest first
}

// A firstUse is what a key was used for first.
type firstUse struct {
	offset wire.Offset
	digest string
}

type usedKey struct {
	key       string
	warehouse string
	at        time.Time
}

// memoryKeyCost is what a key takes here, in bytes.
func memoryKeyCost(key string) int { return len(key) + 256 }

func (c *idempotencyCache) find(key string, now time.Time) (firstUse, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	first, ok := c.known[key]
	return first, ok
}

func (c *idempotencyCache) add(key, warehouse string, first firstUse, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = first
	c.order = append(c.order, usedKey{key, warehouse, now})
	c.added(warehouse, memoryKeyCost(key))
	c.expire(now)
}

// expire is called with the mutex held.
func (c *idempotencyCache) expire(now time.Time) {
	for len(c.order) > 0 && (len(c.order) > c.limit || now.Sub(c.order[0].at) >= wire.IdempotencyWindow) {
		delete(c.known, c.order[0].key)
		c.added(c.order[0].warehouse, -memoryKeyCost(c.order[0].key))
		c.order[0] = usedKey{}
		c.order = c.order[1:]
	}
}

// sweep forgets what is too old, and reports whether anything is left.
func (c *idempotencyCache) sweep(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	if len(c.order) == 0 {
		c.order, c.known = nil, map[string]firstUse{} // a map does not shrink by itself
	}
	return len(c.order) > 0
}
