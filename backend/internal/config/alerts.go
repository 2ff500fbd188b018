package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Alerts has the settings of the alerts that are open.
type Alerts struct {
	AlertsPerRoom   int      `env:"ALERTS_PER_ROOM" default:"1000" help:"Maximum alerts and acknowledgements kept per room; critical alerts have a quarter of that on top. They count among the retained events of a warehouse."`
	AcknowledgePins []string `env:"ACKNOWLEDGE_PINS" placeholder:"NAME:PIN,…" help:"Comma-separated names and PINs, e.g. Anna:480231. Who gives one at a wall screen may acknowledge alerts, and is named with it. A PIN has at least 6 characters."`

	AlertEscalateAfter time.Duration `env:"ALERT_ESCALATE_AFTER" default:"0s" help:"How long an alert may be open until ALERT_ESCALATED tells that nobody has acknowledged it; 0s = never, unless the alert has escalateAfter."`
}

// minPin is the least characters of a PIN. Guesses are limited to a few a minute.
const minPin = 6

// Pins returns the name of each PIN.
func (s *Alerts) Pins() (map[string]string, error) {
	pins := map[string]string{}
	for i, text := range s.AcknowledgePins {
		name, pin, ok := strings.Cut(strings.TrimSpace(text), ":")
		switch {
		case !ok || strings.TrimSpace(name) == "":
			return nil, fmt.Errorf("ACKNOWLEDGE_PINS: number %d is not NAME:PIN", i+1)
		case utf8.RuneCountInString(pin) < minPin:
			return nil, fmt.Errorf("ACKNOWLEDGE_PINS: the PIN of %.40q has fewer than %d characters", name, minPin)
		case pins[pin] != "":
			return nil, fmt.Errorf("ACKNOWLEDGE_PINS: %.40q and %.40q have the same PIN: give each one of their own", pins[pin], name)
		}
		pins[pin] = name
	}
	return pins, nil
}

func (s *Alerts) check() error {
	_, err := s.Pins()
	if s.AlertsPerRoom < 4 || s.AlertsPerRoom > 10_000 {
		err = errors.Join(err, errors.New("--alerts-per-room must be from 4 to 10000"))
	}
	if s.AlertEscalateAfter < 0 {
		err = errors.Join(err, errors.New("--alert-escalate-after must not be negative"))
	}
	return err
}
