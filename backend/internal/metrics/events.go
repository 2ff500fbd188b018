package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/zonecast/zonecast/backend/wire"
)

// addUnreadable registers the events that no screen can show.
func (m *Metrics) addUnreadable() {
	m.unreadable = promauto.With(m.Registry).NewCounterVec(prometheus.CounterOpts{Name: "zonecast_unreadable_events_total",
		Help: "Well-known events that were published with a field that no screen can show, by event."}, []string{"event"})
	for _, event := range []string{wire.EventShiftSnapshot, wire.EventZoneUpdate, wire.EventAlert} {
		m.unreadable.WithLabelValues(event)
	}
}

// UnreadableEvent counts one. The event is a well-known one.
func (m *Metrics) UnreadableEvent(event string) { m.unreadable.WithLabelValues(event).Inc() }
