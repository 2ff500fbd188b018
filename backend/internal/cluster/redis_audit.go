package cluster

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/audit"
)

// auditKey, after the prefix and before the name of the list, is a stream of what was recorded.
const auditKey = ":audit:"

// auditField is the only field of its entries.
const auditField = "entry"

var _ audit.Store = (*Redis)(nil)

// Append implements [audit.Store].
func (c *Redis) Append(ctx context.Context, list audit.List, values []string) error {
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, v := range values {
			p.XAdd(ctx, &redis.XAddArgs{Stream: c.prefix + auditKey + string(list), MaxLen: audit.MaxEntries, Approx: true,
				Values: []string{auditField, v}})
		}
		return nil
	})
	return err
}

// Before implements [audit.Store].
func (c *Redis) Before(ctx context.Context, list audit.List, place audit.Place, orAt bool, n int) ([]audit.Stored, error) {
	return c.before(ctx, c.prefix+auditKey+string(list), place, orAt, n)
}

func (c *Redis) before(ctx context.Context, key string, place audit.Place, orAt bool, n int) ([]audit.Stored, error) {
	end := fmt.Sprintf("%d-%d", place.MS, place.Seq)
	if !orAt {
		end = "(" + end
	}
	entries, err := c.client.XRevRangeN(ctx, key, end, "-", int64(n)).Result()
	if err != nil {
		return nil, err
	}
	found := make([]audit.Stored, 0, len(entries))
	for _, e := range entries {
		s := audit.Stored{}
		if _, err := fmt.Sscanf(e.ID, "%d-%d", &s.Place.MS, &s.Place.Seq); err != nil {
			return nil, fmt.Errorf("ID %.40q of an entry: %w", e.ID, err)
		}
		s.Value, _ = e.Values[auditField].(string)
		found = append(found, s)
	}
	return found, nil
}
