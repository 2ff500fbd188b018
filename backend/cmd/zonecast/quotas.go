package main

import (
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
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

func (s *server) pins() *auth.PINs {
	pins, _ := s.config.PINs() // checked already
	return pins
}
