package config

import "fmt"

// maxPlaces bounds what Prometheus has to keep of one instance.
const maxPlaces = 10_000

// Metrics has the settings of GET /metrics.
type Metrics struct {
	MetricsPlaces int `env:"METRICS_PLACES" default:"100" help:"Warehouses, and zones, whose connections have a metric of their own: those with the most; the others are counted together. 0 = all together."`
}

func (m *Metrics) check() error {
	if m.MetricsPlaces < 0 || m.MetricsPlaces > maxPlaces {
		return fmt.Errorf("--metrics-places %d is not from 0 to %d", m.MetricsPlaces, maxPlaces)
	}
	return nil
}
