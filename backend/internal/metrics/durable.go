package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Durable registers the waits of durable publications, by how they end, and returns what counts
// one.
func (m *Metrics) Durable(results ...string) func(result string, waited time.Duration) {
	waits := promauto.With(m.Registry).NewHistogramVec(prometheus.HistogramOpts{Name: "zonecast_durable_wait_seconds",
		Help:    "Time from the acceptance of a durable publication until Redis confirmed it, or not, by result.",
		Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, []string{"result"})
	for _, r := range results {
		waits.WithLabelValues(r)
	}
	return func(result string, waited time.Duration) { waits.WithLabelValues(result).Observe(waited.Seconds()) }
}
