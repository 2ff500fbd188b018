package config

import (
	"errors"
	"time"
)

// Drain has the settings of leaving, beside DRAIN_TIMEOUT.
type Drain struct {
	DrainDelay *time.Duration `env:"DRAIN_DELAY" placeholder:"DURATION" help:"Time between SIGTERM and the first connection that is closed: /readyz answers 503 and everything is served, until load balancers look elsewhere. DRAIN_TIMEOUT begins after it. Default: 3s; without Redis 0s, since there is no other instance."`
}

// defaultDrainDelay is the delay of an instance among others.
const defaultDrainDelay = 3 * time.Second

// Delay is how long an instance serves on after it was told to leave; alone says that there is no
// other one.
func (d *Drain) Delay(alone bool) time.Duration {
	switch {
	case d.DrainDelay != nil:
		return *d.DrainDelay
	case alone:
		return 0
	}
	return defaultDrainDelay
}

func (d *Drain) check() error {
	if delay := d.Delay(false); delay < 0 || delay > 5*time.Minute {
		return errors.New("--drain-delay must be from 0s to 5m")
	}
	return nil
}
