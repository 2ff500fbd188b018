// Package metrics has every Prometheus metric in one place. It is made once and passed in.
package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the metrics of one instance.
type Metrics struct {
	Registry *prometheus.Registry
	// Shared are those that instances tell one another every second, without the many others.
	Shared         *prometheus.Registry
	Opened         *prometheus.CounterVec // by transport
	Closed         *prometheus.CounterVec // by transport and the name of the close code
	Refused        *prometheus.CounterVec // connections, by reason
	Publishes      *prometheus.CounterVec // by via and result
	Accepting      prometheus.Histogram   // seconds from the request to the offset
	Received       *prometheus.CounterVec // frames from clients, by event
	Requests       *prometheus.CounterVec // HTTP, by route, method and code
	Gaps           prometheus.Counter
	AcceptFailures prometheus.Counter // connections that the system had no descriptor or memory for
	// Of the subscriptions to Redis: connections made anew, and rooms caught up from their history.
	Reconnects, Repairs prometheus.Counter
	Forks               prometheus.Counter // rooms whose latest messages Redis had lost
	Waits               prometheus.Counter // publications that had to wait for members that were behind
	Silent              prometheus.Counter // connections whose peers stopped answering pings

	delivered, bytes *prometheus.CounterVec // by transport
	written          map[string]written     // the same, of the transports that were added
	dropped          *prometheus.CounterVec
	slow             prometheus.Gauge
	slowed           prometheus.Counter
	latency          *latency
}

type written struct{ messages, bytes prometheus.Counter }

var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New returns the metrics in a registry of their own, with those of the Go runtime and the process.
func New(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	single := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160})
	}
	m := &Metrics{
		Registry:       prometheus.NewRegistry(),
		Shared:         prometheus.NewRegistry(),
		Opened:         counter("zonecast_connections_opened_total", "Connections opened.", "transport"),
		Closed:         counter("zonecast_connections_closed_total", "Connections closed, by the name of the close code.", "transport", "code"),
		Refused:        counter("zonecast_connections_refused_total", "Connections refused before they were open.", "reason"),
		Publishes:      counter("zonecast_publishes_total", "Publications, by the way they came and what became of them.", "via", "result"),
		Accepting:      histogram("zonecast_publish_duration_seconds", "Time to accept a publication."),
		Received:       counter("zonecast_messages_received_total", "Frames from clients.", "event"),
		Requests:       counter("zonecast_http_requests_total", "HTTP requests.", "route", "method", "code"),
		AcceptFailures: single("zonecast_accept_failures_total", "Times that a connection could not be accepted, most often for want of descriptors."),
		Gaps:           single("zonecast_gaps_total", "Gaps that clients were told of."),
		Reconnects:     single("zonecast_broker_reconnects_total", "Times that the subscriptions to Redis were lost and made anew."),
		Waits:          single("zonecast_publish_waits_total", "Publications that had to wait, because the members of their room were behind."),
		Silent:         single("zonecast_pong_timeouts_total", "Connections closed because their peer did not answer pings any more."),
		Repairs:        single("zonecast_broker_repairs_total", "Times that a room was caught up from its history, because messages may have been missed."),
		Forks:          single("zonecast_broker_forks_total", "Times that Redis came back without messages of a room that had been delivered, and the room got a new epoch."),
		latency:        newLatency("zonecast_delivery_latency_seconds", "Time from the broker's acceptance of a message to the write to a socket."),
		delivered:      counter("zonecast_messages_delivered_total", "Published events written to sockets.", "transport"),
		bytes:          counter("zonecast_delivered_bytes_total", "Bytes written to sockets.", "transport"),
		dropped:        counter("zonecast_messages_dropped_total", "Messages refused, dropped or replaced.", "reason"),
	}
	m.written = map[string]written{}
	m.slow = prometheus.NewGauge(prometheus.GaugeOpts{Name: "zonecast_slow_clients",
		Help: "Connections whose oldest message has waited for longer than SLOW_AFTER."})
	m.slowed = single("zonecast_slow_clients_total", "Times that a connection became slow.")
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "zonecast_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()}})
	build.Set(1)
	m.Shared.MustRegister(m.Publishes, m.delivered, m.latency)
	m.Registry.MustRegister(m.Opened, m.Closed, m.Refused, m.Publishes, m.Accepting, m.Received, m.Requests, m.AcceptFailures, m.Gaps, m.Reconnects, m.Repairs, m.Forks, m.Waits, m.Silent, m.slow, m.slowed,
		m.latency, m.dropped, m.delivered, m.bytes, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gauge registers a gauge that is read when it is scraped.
func (m *Metrics) Gauge(name, help string, labels prometheus.Labels, read func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// AddTransport makes the metrics of a transport, before it writes anything.
func (m *Metrics) AddTransport(name string, connections func() int) {
	m.written[name] = written{m.delivered.WithLabelValues(name), m.bytes.WithLabelValues(name)}
	m.Gauge("zonecast_connections", "Open connections.", prometheus.Labels{"transport": name},
		func() float64 { return float64(connections()) })
}

// Written implements outbox.Meter.
func (m *Metrics) Written(transport string, messages, bytes int) {
	w, ok := m.written[transport]
	if !ok {
		w = written{m.delivered.WithLabelValues(transport), m.bytes.WithLabelValues(transport)}
	}
	w.messages.Add(float64(messages))
	w.bytes.Add(float64(bytes))
}

// Latencies implements outbox.Meter. Where clocks differ, the one that accepted may be ahead.
func (m *Metrics) Latencies(durations []time.Duration) { m.latency.observe(durations) }

// Dropped implements outbox.Meter.
func (m *Metrics) Dropped(messages int) {
	m.dropped.WithLabelValues("slow_consumer").Add(float64(messages))
}

// Lost implements outbox.Meter.
func (m *Metrics) Lost(messages int) {
	m.dropped.WithLabelValues("connection_lost").Add(float64(messages))
}

// Conflated implements outbox.Meter.
func (m *Metrics) Conflated() { m.dropped.WithLabelValues("conflated").Inc() }

// Slow implements outbox.Meter.
func (m *Metrics) Slow(connections int) {
	m.slow.Add(float64(connections))
	if connections > 0 {
		m.slowed.Add(float64(connections))
	}
}

// Refuse counts a message from a client that was refused, by reason.
func (m *Metrics) Refuse(reason string) { m.dropped.WithLabelValues(reason).Inc() }
