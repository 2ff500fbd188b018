package cluster

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/audit"
)

// alertsAge is how long the history of a warehouse's alerts is kept after its last one.
const alertsAge = 7 * 24 * time.Hour

// AlertStore keeps the history of alerts of each warehouse, as [alertlog.Log] wants it.
type AlertStore struct{ *Redis }

var _ audit.Store = AlertStore{}

// Append implements [audit.Store].
func (s AlertStore) Append(ctx context.Context, list audit.List, values []string) error {
	key := s.prefix + ":" + string(list)
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, v := range values {
			p.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: audit.MaxEntries, Approx: true, Values: []string{auditField, v}})
		}
		p.PExpire(ctx, key, alertsAge)
		return nil
	})
	return err
}

// Before implements [audit.Store].
func (s AlertStore) Before(ctx context.Context, list audit.List, place audit.Place, orAt bool, n int) ([]audit.Stored, error) {
	return s.before(ctx, s.prefix+":"+string(list), place, orAt, n)
}
