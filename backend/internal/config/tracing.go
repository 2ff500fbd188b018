package config

import (
	"fmt"

	"github.com/zonecast/zonecast/backend/internal/tracing"
)

// Tracing has the settings of traces.
type Tracing struct {
	TracesEndpoint   string  `name:"traces-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"Collector that traces go to by OTLP over HTTP, like http://127.0.0.1:4318. Default: nothing is traced."`
	TraceSampleRatio float64 `name:"trace-sample-ratio" env:"TRACE_SAMPLE_RATIO" default:"0.01" help:"Share of the publications without a traceparent that are traced, from 0 to 1. One with a traceparent decides for itself."`
}

// checkTracing returns the mistakes in them.
func (c *Config) checkTracing() (all []error) {
	if c.TracesEndpoint != "" {
		if err := tracing.CheckEndpoint(c.TracesEndpoint); err != nil {
			all = append(all, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err))
		}
	}
	if c.TraceSampleRatio < 0 || c.TraceSampleRatio > 1 || c.TraceSampleRatio != c.TraceSampleRatio {
		all = append(all, fmt.Errorf("TRACE_SAMPLE_RATIO %v: give a number from 0 to 1", c.TraceSampleRatio))
	}
	return all
}
