package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// delivery has what the hub measures: once for each message or membership, never for each member.
type delivery struct {
	arrival, push  *latency
	members        prometheus.Histogram
	joins          *prometheus.CounterVec // by transport and how
	replayed       *prometheus.CounterVec // messages, by transport and how
	replayDuration prometheus.Histogram
}

// How a session became a member: the label how.
const (
	fresh   = "fresh"
	resumed = "resumed"
)

func newDelivery(factory promauto.Factory) delivery {
	d := delivery{
		arrival: newLatency("zonecast_delivery_arrival_seconds", "Time from acceptance by the broker to the hub of this instance.", nil),
		push:    newLatency("zonecast_fanout_duration_seconds", "Time that pushing a message to the queues of all members of its room took.", nil),
		members: factory.NewHistogram(prometheus.HistogramOpts{Name: "zonecast_fanout_members",
			Help: "Members of its room on this instance that a message was pushed to.", Buckets: []float64{0, 1, 10, 100, 1000, 10_000, 100_000}}),
		joins: factory.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_room_joins_total",
			Help: "Memberships of rooms begun, with an offset to resume from or without."}, []string{"transport", "how"}),
		replayed: factory.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_messages_replayed_total",
			Help: "Messages sent to sessions that join: missed ones to those that resume, retained ones to the others."}, []string{"transport", "how"}),
		replayDuration: factory.NewHistogram(prometheus.HistogramOpts{Name: "zonecast_replay_duration_seconds",
			Help:    "Time that a resuming session took to become a member, at the pace of its client; without those that had missed nothing.",
			Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}),
	}
	return d
}

func (d *delivery) addTransport(name string) {
	for _, how := range []string{fresh, resumed} {
		d.joins.WithLabelValues(name, how)
		d.replayed.WithLabelValues(name, how)
	}
}

// FannedOut implements hub.Meter.
func (m *Metrics) FannedOut(arrival, push time.Duration, members int) {
	m.delivery.arrival.observe([]time.Duration{arrival})
	m.delivery.push.observe([]time.Duration{push})
	m.delivery.members.Observe(float64(members))
}

// Joined implements hub.Meter.
func (m *Metrics) Joined(transport string, again bool, replayed int, took time.Duration) {
	how := fresh
	if again {
		how = resumed
	}
	m.delivery.joins.WithLabelValues(transport, how).Inc()
	if replayed > 0 {
		m.delivery.replayed.WithLabelValues(transport, how).Add(float64(replayed))
		if again {
			m.delivery.replayDuration.Observe(took.Seconds())
		}
	}
}
