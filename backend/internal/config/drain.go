package config

import (
	"errors"
	"time"
)

// Drain has the settings of leaving, beside DRAIN_TIMEOUT.
type Drain struct {
	DrainDelay time.Duration `env:"DRAIN_DELAY" default:"3s" help:"Time between SIGTERM and the first connection that is closed: /readyz answers 503 and everything is served, until load balancers look elsewhere. DRAIN_TIMEOUT begins after it. Without Redis there is no delay, since there is no other instance."`
}

func (d *Drain) check() error {
	if d.DrainDelay < 0 || d.DrainDelay > 5*time.Minute {
		return errors.New("--drain-delay must be from 0s to 5m")
	}
	return nil
}
