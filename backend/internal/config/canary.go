package config

import (
	"errors"
	"time"
)

// Canary has the settings of the canary.
type Canary struct {
	CanaryInterval time.Duration `env:"CANARY_INTERVAL" default:"5s" help:"Interval at which this instance sends itself an event, through the broker and over a real WebSocket, and measures how long it takes (zonecast_canary_latency_seconds). From 1s to 20s; 0s = never."`
}

func (c *Canary) check() error {
	if c.CanaryInterval != 0 && (c.CanaryInterval < time.Second || c.CanaryInterval > 20*time.Second) {
		return errors.New("--canary-interval must be from 1s to 20s: the alert ZonecastCanaryFails waits for half a minute; or 0s for never")
	}
	return nil
}
