package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// traceLabel is the label of exemplars by which Grafana finds their trace.
const traceLabel = "trace_id"

// exemplarAge is for how long an exemplar stands for its bucket, before a newer one may: a message
// of a trace has as many as its room has members.
const exemplarAge = time.Second

// exemplars are messages that were traced, the latest of each classic bucket.
type exemplars []atomic.Pointer[dto.Exemplar]

// observe notes one whose trace is known. The histogram counts it at about the same time.
func (e exemplars) observe(took time.Duration, traceID string, now time.Time) {
	v := max(took.Microseconds(), 0)
	at, _, _ := find(v)
	slot := &e[cells[at].bound]
	old := slot.Load()
	if old != nil && now.Sub(old.GetTimestamp().AsTime()) < exemplarAge {
		return
	}
	name, value := traceLabel, float64(v)/1e6
	slot.CompareAndSwap(old, &dto.Exemplar{Label: []*dto.LabelPair{{Name: &name, Value: &traceID}}, Value: &value, Timestamp: timestamppb.New(now)})
}

// of returns that of a classic bucket; nil for none. The last one is beyond all bounds.
func (e exemplars) of(bound int) *dto.Exemplar { return e[bound].Load() }

// Traced implements hub.Meter.
func (m *Metrics) Traced(transport string, took time.Duration, traceID string) {
	if w, ok := m.written[transport]; ok {
		w.latency.traced.observe(took, traceID, time.Now())
	}
}

// PublishTook measures an accepted publication; traceID is that of its trace, empty for none.
func (m *Metrics) PublishTook(took time.Duration, traceID string) {
	if traceID == "" {
		m.publishDuration.Observe(took.Seconds())
		return
	}
	m.publishDuration.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{traceLabel: traceID})
}

// PublishDurations are those that were measured.
func (m *Metrics) PublishDurations() prometheus.Metric { return m.publishDuration }
