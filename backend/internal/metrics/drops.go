package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The reasons for which messages to clients are dropped.
const (
	dropSlow      = "slow_consumer"
	dropLost      = "connection_lost"
	dropConflated = "conflated"
)

// formerDrops are both directions under the one name that they had until they were split, for
// dashboards that still ask for it. It is deprecated.
type formerDrops struct{ toClients, fromClients *prometheus.CounterVec }

var formerDropsDesc = prometheus.NewDesc("zonecast_messages_dropped_total",
	"Deprecated: the sum of zonecast_deliveries_dropped_total and zonecast_frames_refused_total.", []string{"reason"}, nil)

// Describe implements prometheus.Collector.
func (f formerDrops) Describe(to chan<- *prometheus.Desc) { to <- formerDropsDesc }

// Collect implements prometheus.Collector.
func (f formerDrops) Collect(to chan<- prometheus.Metric) {
	relay := func(v *prometheus.CounterVec) {
		all := make(chan prometheus.Metric)
		go func() { v.Collect(all); close(all) }()
		for m := range all {
			var read dto.Metric
			if err := m.Write(&read); err != nil {
				to <- prometheus.NewInvalidMetric(formerDropsDesc, err)
				continue
			}
			to <- prometheus.MustNewConstMetric(formerDropsDesc, prometheus.CounterValue, read.GetCounter().GetValue(), read.GetLabel()[0].GetValue())
		}
	}
	relay(f.toClients)
	relay(f.fromClients)
}
