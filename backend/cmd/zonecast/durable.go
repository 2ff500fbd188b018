package main

import (
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/config"
)

// durability is what durable publications wait for.
func durability(c *config.Config) broker.Durability {
	return broker.Durability{Replicas: c.DurableReplicas, NoDisk: !c.DurableDisk, Timeout: c.DurableTimeout}
}

// onDurable counts the waits of durable publications.
func (s *server) onDurable() func(broker.DurableResult, time.Duration) {
	var results []string
	for _, r := range broker.DurableResults() {
		results = append(results, string(r))
	}
	count := s.metrics.Durable(results...)
	return func(r broker.DurableResult, waited time.Duration) { count(string(r), waited) }
}
