package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// An Instance is what is read of the running instance when it is scraped. All are needed.
type Instance struct {
	Broker      string // memory or redis
	BrokerUp    func() bool
	Ready       func() bool
	Draining    func() bool
	Nodes       func() int // live instances, as this one sees them
	Rooms       func() int
	Waiting     func() int64 // bytes
	TCP         func() int
	Queued      func() []int       // bytes that wait for each connection
	Limits      map[string]float64 // by what they limit; without those that are off
	QuotaLimits map[string]float64 // of one warehouse, by quota; without those that are off
}

var byteBuckets = []float64{0, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 4 << 20}

// AddInstance registers the metrics of the instance.
func (m *Metrics) AddInstance(i Instance) {
	m.gauge("zonecast_broker_up", "1 while the broker works.", prometheus.Labels{"broker": i.Broker}, flag(i.BrokerUp))
	m.gauge("zonecast_ready", "1 while /readyz answers 200.", nil, flag(i.Ready))
	m.gauge("zonecast_draining", "1 while the instance is leaving, or drained by an operator; zonecast_connections says how many clients are still here.", nil, flag(i.Draining))
	m.gauge("zonecast_cluster_nodes", "Live instances, as this one sees them; itself included.", nil, func() float64 { return float64(i.Nodes()) })
	m.gauge("zonecast_rooms", "Rooms with members on this instance.", nil, func() float64 { return float64(i.Rooms()) })
	m.gauge("zonecast_outbox_bytes", "Bytes that wait for clients.", nil, func() float64 { return float64(i.Waiting()) })
	m.gauge("zonecast_tcp_connections", "Open TCP connections, whatever they are used for.", nil, func() float64 { return float64(i.TCP()) })
	for what, most := range i.Limits {
		m.gauge("zonecast_limit", "What is in force beside the descriptors of process_max_fds.", prometheus.Labels{"limit": what}, func() float64 { return most })
	}
	for quota, most := range i.QuotaLimits {
		m.gauge("zonecast_quota_limit", "What one warehouse may keep of a quota.", prometheus.Labels{"quota": quota}, func() float64 { return most })
	}
	m.Registry.MustRegister(queuedBytes{i.Queued,
		prometheus.NewDesc("zonecast_queued_bytes", "Bytes that wait for each connection at the moment: not a counter, ask without rate().", nil, nil)})
}

func flag(read func() bool) func() float64 {
	return func() float64 {
		if read() {
			return 1
		}
		return 0
	}
}

// queuedBytes is how what waits is distributed over the connections when it is scraped.
type queuedBytes struct {
	read func() []int
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (q queuedBytes) Describe(to chan<- *prometheus.Desc) { to <- q.desc }

// Collect implements prometheus.Collector.
func (q queuedBytes) Collect(to chan<- prometheus.Metric) {
	all, buckets, sum := q.read(), map[float64]uint64{}, 0.0
	for _, bound := range byteBuckets {
		buckets[bound] = 0
	}
	for _, n := range all {
		sum += float64(n)
		for _, bound := range byteBuckets {
			if float64(n) <= bound {
				buckets[bound]++
			}
		}
	}
	to <- prometheus.MustNewConstHistogram(q.desc, uint64(len(all)), sum, buckets)
}

// AddRedis registers what is read of a broker in Redis when it is scraped.
func (m *Metrics) AddRedis(clockOffset func() time.Duration, suspended func() bool) {
	m.gauge("zonecast_clock_offset_seconds",
		"How far Redis's clock is ahead of this machine's; delivery latencies are corrected by it.", nil,
		func() float64 { return clockOffset().Seconds() })
	m.gauge("zonecast_publishing_suspended",
		"1 while publications are refused at once, because Redis is known not to answer (open circuit).", nil, flag(suspended))
}

// RedisProbes registers what is measured of probes: round trips to Redis of their own, apart from
// publishing.
func (m *Metrics) RedisProbes() (onProbe func(took time.Duration, err error)) {
	trips := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "zonecast_redis_round_trip_seconds",
		Help:    "Time that Redis took to answer a probe, which is sent every second to each server; apart from publishing.",
		Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160})
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "zonecast_redis_probe_failures_total", Help: "Probes that Redis did not answer in time, or refused."})
	m.Registry.MustRegister(trips, failures)
	return func(took time.Duration, err error) {
		if err != nil {
			failures.Inc()
			return
		}
		trips.Observe(took.Seconds())
	}
}

// AddTLS registers when the certificate in force expires.
func (m *Metrics) AddTLS(notAfter func() time.Time) {
	m.gauge("zonecast_tls_certificate_expiry_timestamp_seconds", "When the certificate in force expires, in seconds since 1970.", nil,
		func() float64 { return float64(notAfter().Unix()) })
}
