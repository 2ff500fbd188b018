package config

import "fmt"

// Events has the settings of the well-known events.
type Events struct {
	UnreadableEvents string `env:"UNREADABLE_EVENTS" default:"count" help:"What becomes of a SHIFT_SNAPSHOT, ZONE_UPDATE or ALERT with a field that no screen can show: count (it is delivered, counted, and listed at /screen/), refuse (with the name of the field) or ignore."`
}

// What becomes of events that no screen can show.
const (
	Count  = "count"
	Refuse = "refuse"
	Ignore = "ignore"
)

func (s *Events) check() error {
	switch s.UnreadableEvents {
	case Count, Refuse, Ignore:
		return nil
	}
	return fmt.Errorf("--unreadable-events is %.40q: write count, refuse or ignore", s.UnreadableEvents)
}
