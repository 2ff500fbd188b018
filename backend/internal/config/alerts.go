package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
)

// Alerts has the settings of the alerts that are open.
type Alerts struct {
	AlertsPerRoom   int      `env:"ALERTS_PER_ROOM" default:"1000" help:"Maximum alerts and acknowledgements kept per room; critical alerts have a quarter of that on top. They count among the retained events of a warehouse."`
	AcknowledgePins []string `env:"ACKNOWLEDGE_PINS" placeholder:"[WAREHOUSE/]NAME:PIN,…" help:"Comma-separated names and PINs, e.g. Anna:480231, or warehouse-1/Anna:480231 for one warehouse alone. Who gives one at a wall screen that may join the room may acknowledge its alerts, and is named with it. A PIN has at least 6 characters."`

	AlertEscalateAfter time.Duration `env:"ALERT_ESCALATE_AFTER" default:"0s" help:"How long an alert may be open until ALERT_ESCALATED tells that nobody has acknowledged it; 0s = never, unless the alert has escalateAfter."`
}

// PINs returns who has which PIN.
func (s *Alerts) PINs() (*auth.PINs, error) {
	pins, err := auth.ParsePINs(s.AcknowledgePins)
	if err != nil {
		return nil, fmt.Errorf("ACKNOWLEDGE_PINS: %w", err)
	}
	return pins, nil
}

func (s *Alerts) check() error {
	_, err := s.PINs()
	if s.AlertsPerRoom < 4 || s.AlertsPerRoom > 10_000 {
		err = errors.Join(err, errors.New("--alerts-per-room must be from 4 to 10000"))
	}
	if s.AlertEscalateAfter < 0 {
		err = errors.Join(err, errors.New("--alert-escalate-after must not be negative"))
	}
	return err
}
