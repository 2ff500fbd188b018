package metrics

import "github.com/prometheus/client_golang/prometheus"

// AddAuth registers the metrics of authentication. It returns what counts the results of requests
// to AUTH_URL.
func (m *Metrics) AddAuth(revocations func() int) (callbackResult func(result string)) {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_auth_url_results_total",
		Help: "Decisions of AUTH_URL: allowed, refused, cached, or failed (no decision, so refused)."}, []string{"result"})
	m.Registry.MustRegister(results)
	atZero(results, "allowed", "refused", "cached", "failed")
	m.gauge("zonecast_revocations", "Revocations of tokens in force.", nil, func() float64 { return float64(revocations()) })
	return func(result string) { results.WithLabelValues(result).Inc() }
}

// AddPairing registers the metric of the pairing of wall screens, and returns what counts its
// results.
func (m *Metrics) AddPairing(all []string) (result func(string)) {
	results := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonecast_screen_pairings_total",
		Help: "Steps of the pairing of wall screens, by what came of them."}, []string{"result"})
	m.Registry.MustRegister(results)
	atZero(results, all...)
	return func(result string) { results.WithLabelValues(result).Inc() }
}
