package metrics

import "github.com/prometheus/client_golang/prometheus"

// AddAudit registers the metrics of the audit log. It returns what counts entries, and failures to
// write them.
func (m *Metrics) AddAudit() (entry func(action, result string), failure func(sink string)) {
	entries := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_audit_entries_total",
		Help: "Entries of the audit log, by action and result: done, refused or failed."}, []string{"action", "result"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_audit_failures_total",
		Help: "Failures to write the audit log, to its file or to the store that the dashboard reads."}, []string{"sink"})
	m.Registry.MustRegister(entries, failures)
	atZero(failures, "file", "store")
	entries.WithLabelValues("login", "done")
	return func(action, result string) { entries.WithLabelValues(action, result).Inc() },
		func(sink string) { failures.WithLabelValues(sink).Inc() }
}
