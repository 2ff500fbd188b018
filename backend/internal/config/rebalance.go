package config

import (
	"errors"
	"time"
)

// Rebalance has the settings of sharing connections out again.
type Rebalance struct {
	RebalanceRate     float64       `env:"REBALANCE_RATE" default:"50" help:"Clients that an instance asks to connect again in a second, when it has more than its share of the connections (POST /api/v1/rebalance, the dashboard, or REBALANCE_INTERVAL)."`
	RebalanceInterval time.Duration `env:"REBALANCE_INTERVAL" default:"0s" help:"Interval at which connections are shared out without being told to, when an instance has 20 % more or fewer than the mean; 0s = only when told to. At least 10s."`
}

func (r *Rebalance) check() error {
	var errs []error
	if !(r.RebalanceRate >= 0.1 && r.RebalanceRate <= 10_000) { // not a number is neither
		errs = append(errs, errors.New("--rebalance-rate must be from 0.1 to 10000 a second"))
	}
	if r.RebalanceInterval != 0 && r.RebalanceInterval < 10*time.Second {
		errs = append(errs, errors.New("--rebalance-interval must be at least 10s: figures of other instances are seconds old; or 0s for never"))
	}
	return errors.Join(errs...)
}
