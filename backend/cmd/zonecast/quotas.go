package main

import (
	"context"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/web/dashboard"
)

// brokerLimits is what the broker may keep.
func brokerLimits(c *config.Config) broker.Limits {
	return broker.Limits{Messages: c.HistoryMessages, Age: c.HistoryAge, RetainAge: c.RetainAge, Total: c.MemoryBytes, Alerts: c.AlertsPerRoom,
		Warehouse: broker.Quota{Rooms: c.QuotaRooms, HistoryBytes: c.QuotaHistoryBytes,
			RetainedBytes: c.QuotaRetainedBytes, RetainedEvents: c.QuotaRetainedEvents}}
}

// publishRate is how fast a warehouse may be published to.
func publishRate(c *config.Config) limit.Rate {
	if c.QuotaPublishRate == 0 {
		return limit.Rate{}
	}
	return limit.Rate{Tokens: c.QuotaPublishBurst, Refill: c.QuotaPublishRate}
}

// usage is what each warehouse keeps, for the metrics.
func (s *server) usage() map[string]metrics.WarehouseUsage {
	all := map[string]metrics.WarehouseUsage{}
	for name, u := range s.kept() {
		all[name] = metrics.WarehouseUsage{broker.QuotaRooms: u.Rooms, broker.QuotaHistoryBytes: u.HistoryBytes,
			broker.QuotaRetainedBytes: u.RetainedBytes, broker.QuotaRetainedEvents: u.RetainedEvents}
	}
	return all
}

// quotas is what a warehouse keeps, and may keep.
func (s *server) quotas(ctx context.Context, warehouse string) ([]dashboard.RoomQuota, error) {
	used, err := s.broker.UsageOf(ctx, warehouse)
	if err != nil {
		return nil, err
	}
	c := s.config
	return []dashboard.RoomQuota{
		{Name: "Rooms that were published to", Setting: "QUOTA_ROOMS", Used: used.Rooms, Limit: c.QuotaRooms},
		{Name: "History", Setting: "QUOTA_HISTORY_BYTES", Used: used.HistoryBytes, Limit: c.QuotaHistoryBytes, Bytes: true},
		{Name: "Retained events", Setting: "QUOTA_RETAINED_EVENTS", Used: used.RetainedEvents, Limit: c.QuotaRetainedEvents},
		{Name: "Retained data", Setting: "QUOTA_RETAINED_BYTES", Used: used.RetainedBytes, Limit: c.QuotaRetainedBytes, Bytes: true},
	}, nil
}

func (s *server) pins() *auth.PINs {
	pins, _ := s.config.PINs() // checked already
	return pins
}
