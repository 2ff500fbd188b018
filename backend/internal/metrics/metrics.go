// Package metrics has every Prometheus metric in one place. It is made once and passed in.
package metrics

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// Metrics are the metrics of one instance.
type Metrics struct {
	Registry *Registry

	// Static after New; each is safe for concurrent use.
	Opened           *prometheus.CounterVec   // connections, by transport
	Closed           *prometheus.CounterVec   // connections, by transport and the name of the close code
	Received         *prometheus.CounterVec   // frames from clients, by event
	Requests         *prometheus.CounterVec   // HTTP, by route, method and code
	RequestDuration  *prometheus.HistogramVec // seconds, by route
	PublishWaits     prometheus.Counter       // publications that had to wait for their room
	QuotaRefusals    *prometheus.CounterVec   // publications, by quota
	RoomRefusals     *prometheus.CounterVec   // joins, by limit
	Gaps             prometheus.Counter
	Rebalanced       prometheus.Counter // clients that were asked to connect again
	PongTimeouts     prometheus.Counter
	AcceptFailures   prometheus.Counter // connections that the system had no descriptor or memory for
	BrokerReconnects prometheus.Counter
	BrokerRepairs    prometheus.Counter // rooms resynchronised from their history
	BrokerForks      prometheus.Counter // rooms whose latest messages Redis had lost
	busRefused       *prometheus.CounterVec

	// What has methods.
	refused          *prometheus.CounterVec // connections, by reason
	loginFailures    *prometheus.CounterVec // of operators, by reason
	publishes        *prometheus.CounterVec // by via and result
	publishDuration  prometheus.Histogram   // of accepted publications
	unreadable       *prometheus.CounterVec // by event
	delivered, bytes *prometheus.CounterVec // by transport
	written          map[string]written     // the same, of the transports that were added
	dropped          *prometheus.CounterVec // messages to clients, by reason
	refusedFrames    *prometheus.CounterVec // from clients, by reason
	slow             prometheus.Gauge
	slowed           prometheus.Counter
	delivery         delivery
	perWarehouse     *boundedCounters

	// The same as in publishes and delivered, for Totals.
	publishedTotal, deliveredTotal atomic.Uint64
}

// written are the metrics of one transport.
type written struct {
	messages, bytes prometheus.Counter
	latency, queued *latency
}

var seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New returns the metrics in a registry of their own, with those of the Go runtime and the process.
func New(version string) *Metrics {
	m := &Metrics{Registry: newRegistry(), written: map[string]written{}}
	m.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	factory := promauto.With(m.Registry)
	counter := func(name, help string) prometheus.Counter {
		return factory.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}

	m.Opened = counters("zonecast_connections_opened_total", "Connections opened.", "transport")
	m.Closed = counters("zonecast_connections_closed_total", "Connections closed, by close code.", "transport", "code")
	m.Rebalanced = counter("zonecast_rebalanced_total", "Clients asked to connect again because this instance had more than its share.")
	m.refused = counters("zonecast_connections_refused_total", "Connections refused before they were open.", "reason")
	atZero(m.refused, "tcp_limit", "tcp_address_limit", "tls_handshake", string(wire.CodeBadFrame), string(wire.CodeInvalidRoom),
		string(wire.CodeUnauthenticated), string(wire.CodeForbidden), "draining", string(wire.CodeLimitReached), "address_limit",
		string(wire.CodeRateLimited), string(wire.CodeUnavailable))
	m.AcceptFailures = counter("zonecast_accept_failures_total", "Failed accept(2) calls, usually EMFILE.")
	m.PongTimeouts = counter("zonecast_pong_timeouts_total", "Connections closed because no pong arrived.")
	m.Requests = counters("zonecast_http_requests_total", "HTTP requests.", "route", "method", "code")
	m.RequestDuration = factory.NewHistogramVec(prometheus.HistogramOpts{Name: "zonecast_http_request_duration_seconds",
		Help:    "Time from a request to the end of its answer, without connections of clients and streams.",
		Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, []string{"route"})

	m.loginFailures = counters("zonecast_login_failures_total", "Failed logins of operators.", "reason")
	atZero(m.loginFailures, "wrong", "throttled")

	m.addUnreadable()
	m.publishes = counters("zonecast_publishes_total", "Publications, by origin and result.", "via", "result")
	m.publishDuration = factory.NewHistogram(prometheus.HistogramOpts{Name: "zonecast_publish_duration_seconds",
		Help:    "Time from a valid publication until the broker has taken it; accepted publications only.",
		Buckets: seconds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160})
	m.PublishWaits = counter("zonecast_publish_waits_total",
		"Publications that waited for their room: its members were behind, here or at another instance, or too much was in flight to them.")

	m.RoomRefusals = counters("zonecast_room_refusals_total", "Joins refused because clients are in as many rooms as they may, by limit.", "limit")
	atZero(m.RoomRefusals, "instance", "warehouse")
	m.QuotaRefusals = counters("zonecast_quota_refusals_total", "Publications refused because a warehouse is at a quota.", "quota")
	atZero(m.QuotaRefusals, "rooms", "history_bytes", "retained_bytes", "retained_events", "publish_rate")

	m.BrokerReconnects = counter("zonecast_broker_reconnects_total", "Pub/sub connections to Redis lost and replaced.")
	m.BrokerRepairs = counter("zonecast_broker_repairs_total", "Rooms resynchronised from their history after a possible loss.")
	m.BrokerForks = counter("zonecast_broker_forks_total", "Rooms with a new epoch because Redis lost delivered messages.")
	m.busRefused = counters("zonecast_bus_refused_total",
		"What came from Redis and was not believed or not readable, by kind and reason.", "kind", "reason")
	m.busRefused.WithLabelValues(string(bus.Message), string(bus.Forged))
	m.Gaps = counter("zonecast_gaps_total", "Gaps told to sessions; one in a room counts once, whatever its members.")

	m.Received = counters("zonecast_messages_received_total", "Frames from clients.", "event")
	atZero(m.Received, wire.ClientEvents()...)
	m.delivered = counters("zonecast_messages_delivered_total", "Published events written to sockets.", "transport")
	m.bytes = counters("zonecast_delivered_bytes_total", "Bytes written to sockets.", "transport")
	m.dropped = counters("zonecast_deliveries_dropped_total", "Messages to clients dropped or replaced before they were written.", "reason")
	m.refusedFrames = counters("zonecast_frames_refused_total", "Frames from clients refused.", "reason")
	atZero(m.dropped, dropSlow, dropLost, dropConflated)
	atZero(m.refusedFrames, string(wire.CodeRateLimited))
	m.Registry.MustRegister(formerDrops{m.dropped, m.refusedFrames})
	m.perWarehouse = newBoundedCounters("zonecast_warehouse_publishes_total",
		"Accepted publications, by warehouse: the first 100 that were published to, and the others together.", "warehouse", maxWarehouses)
	m.Registry.MustRegister(m.perWarehouse)
	m.delivery = newDelivery(factory)
	m.Registry.MustRegister(m.delivery.arrival, m.delivery.push)
	m.slow = factory.NewGauge(prometheus.GaugeOpts{Name: "zonecast_slow_clients",
		Help: "Connections whose oldest queued message is older than SLOW_AFTER."})
	m.slowed = counter("zonecast_slow_clients_total", "Times that a connection became slow.")
	m.gauge("zonecast_build_info", "Always 1.", prometheus.Labels{"version": version, "go_version": runtime.Version()},
		func() float64 { return 1 })
	return m
}

// atZero begins the series of labels that are known before anything is counted: a panel shows 0
// then and not that there is no data, and rate() sees the first event.
func atZero(c *prometheus.CounterVec, labels ...string) {
	for _, label := range labels {
		c.WithLabelValues(label)
	}
}

// gauge registers a gauge that is read when it is scraped.
func (m *Metrics) gauge(name, help string, labels prometheus.Labels, read func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// AddTransport makes the metrics of a transport, before it writes anything.
func (m *Metrics) AddTransport(name string, connections func() int) {
	labels := prometheus.Labels{"transport": name}
	w := written{m.delivered.WithLabelValues(name), m.bytes.WithLabelValues(name),
		newLatency("zonecast_delivery_latency_seconds", "Time from acceptance by the broker to the write to a socket.", labels),
		newLatency("zonecast_delivery_queued_seconds",
			"Time from the begin of a fan-out to the write to a socket: of the first message of each write.", labels)}
	m.Registry.MustRegister(w.latency, w.queued)
	m.written[name] = w
	m.Opened.WithLabelValues(name)
	for _, code := range wire.CloseCodes() {
		m.Closed.WithLabelValues(name, code.String())
	}
	m.delivery.addTransport(name)
	m.gauge("zonecast_connections", "Open connections.", labels,
		func() float64 { return float64(connections()) })
}

// Written implements outbox.Meter.
func (m *Metrics) Written(transport string, messages, bytes int) {
	w, ok := m.written[transport]
	if !ok {
		w = written{messages: m.delivered.WithLabelValues(transport), bytes: m.bytes.WithLabelValues(transport)}
	}
	m.deliveredTotal.Add(uint64(messages))
	w.messages.Add(float64(messages))
	w.bytes.Add(float64(bytes))
}

// Latencies implements outbox.Meter, for the transports that were added. Where clocks differ, the
// one that accepted may be ahead.
func (m *Metrics) Latencies(transport string, durations, queued []time.Duration) {
	if w, ok := m.written[transport]; ok {
		w.latency.observe(durations)
		w.queued.observe(queued)
	}
}

// DroppedSlow implements outbox.Meter.
func (m *Metrics) DroppedSlow(messages int) {
	m.dropped.WithLabelValues(dropSlow).Add(float64(messages))
}

// DroppedLost implements outbox.Meter.
func (m *Metrics) DroppedLost(messages int) {
	m.dropped.WithLabelValues(dropLost).Add(float64(messages))
}

// Conflated implements outbox.Meter.
func (m *Metrics) Conflated() { m.dropped.WithLabelValues(dropConflated).Inc() }

// Slow implements outbox.Meter.
func (m *Metrics) Slow(connections int) {
	m.slow.Add(float64(connections))
	if connections > 0 {
		m.slowed.Add(float64(connections))
	}
}

// The results of publications that were accepted; the others are error codes.
const (
	ResultOK        = "ok"
	ResultDuplicate = "duplicate"
)

// PublishedTo counts an accepted publication to a warehouse.
func (m *Metrics) PublishedTo(warehouse string) { m.perWarehouse.add(warehouse) }

// PublishResult counts a publication by the way it came and its result.
func (m *Metrics) PublishResult(via, result string) {
	if result == ResultOK {
		m.publishedTotal.Add(1)
	}
	m.publishes.WithLabelValues(via, result).Inc()
}

// RefuseConnection counts a connection refused before it was open.
func (m *Metrics) RefuseConnection(reason string) { m.refused.WithLabelValues(reason).Inc() }

// LoginFailed counts a failed login of an operator.
func (m *Metrics) LoginFailed(reason string) { m.loginFailures.WithLabelValues(reason).Inc() }

// RefuseFrame counts a frame from a client that was refused as one too many.
func (m *Metrics) RefuseFrame(reason string) { m.refusedFrames.WithLabelValues(reason).Inc() }

// RefuseFromBus counts what came from Redis and was not believed.
func (m *Metrics) RefuseFromBus(kind bus.Kind, reason bus.Refusal) {
	m.busRefused.WithLabelValues(string(kind), string(reason)).Inc()
}

// Totals are what the cluster announces of an instance, and the dashboard shows. They only grow.
type Totals struct {
	Published uint64 // accepted publications, without duplicates
	Delivered uint64 // published events written to sockets
	Latency   Histogram
}

// Totals returns the present ones.
func (m *Metrics) Totals() Totals {
	h := Histogram{Bounds: seconds, Counts: make([]uint64, len(seconds))}
	for _, w := range m.written {
		h.add(w.latency.histogram())
	}
	return Totals{Published: m.publishedTotal.Load(), Delivered: m.deliveredTotal.Load(), Latency: h}
}
