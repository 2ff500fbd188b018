package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Canary has the metrics of the canary.
type Canary struct {
	latency prometheus.Histogram
	events  *prometheus.CounterVec // by result
	began   time.Time
	arrived atomic.Int64 // when the last one did, in ns after began
}

// AddCanary registers the metrics of the canary; results are all that there may be.
func (m *Metrics) AddCanary(results ...string) *Canary {
	factory := promauto.With(m.Registry)
	c := &Canary{began: time.Now(),
		latency: factory.NewHistogram(prometheus.HistogramOpts{Name: "zonecast_canary_latency_seconds",
			Help:    "Time from the publication of a canary event to its arrival at the client's end of a WebSocket of this instance to itself.",
			Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}),
		events: factory.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_canary_events_total", Help: "Canary events, by result."}, []string{"result"})}
	atZero(c.events, results...)
	m.gauge("zonecast_canary_age_seconds", "Time since a canary event last arrived, or since the start.", nil, func() float64 {
		return (time.Since(c.began) - time.Duration(c.arrived.Load())).Seconds()
	})
	return c
}

// Arrived counts an event that arrived, after so long.
func (c *Canary) Arrived(result string, took time.Duration) {
	c.arrived.Store(int64(time.Since(c.began)))
	c.latency.Observe(took.Seconds())
	c.events.WithLabelValues(result).Inc()
}

// Failed counts one that did not.
func (c *Canary) Failed(result string) { c.events.WithLabelValues(result).Inc() }
