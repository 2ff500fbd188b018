package config

import "fmt"

// Who may see something.
const (
	Everybody = "everybody"
	Operators = "operators"
)

// Health has the settings of GET /health/websocket/metrics.
type Health struct {
	HealthRooms string `env:"HEALTH_ROOMS" default:"everybody" help:"Who sees the rooms with the most connections in GET /health/websocket/metrics: everybody or operators. Totals are for everybody, all rooms (?rooms=all) for operators."`
}

func (h *Health) check() error {
	if h.HealthRooms != Everybody && h.HealthRooms != Operators {
		return fmt.Errorf("--health-rooms %q is not one of %s, %s", h.HealthRooms, Everybody, Operators)
	}
	return nil
}
