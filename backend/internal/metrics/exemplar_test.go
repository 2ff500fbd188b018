package metrics

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"

	dto "github.com/prometheus/client_model/go"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

const (
	askOpenMetrics = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
	askProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// A message that was traced is found from the bucket of its latency, beside native buckets too, by
// whoever asks in a form that has exemplars.
func TestTracedMessagesAreExemplarsOfTheirBuckets(t *testing.T) {
	m := New("test")
	m.AddTransport("websocket", func() int { return 0 })
	for _, took := range []time.Duration{0, 3 * time.Millisecond, 80 * time.Millisecond, time.Minute} {
		m.Latencies("websocket", []time.Duration{took}, nil)
		m.Traced("websocket", took, fmt.Sprintf("%032d", took.Milliseconds()))
	}
	m.PublishTook(2*time.Millisecond, strings.Repeat("f", 32))
	m.PublishTook(2*time.Second, "")
	h := m.Handler()

	text := scrapeOf(h, http.Header{"Accept": {askOpenMetrics}})
	if got := text.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(text.Body.String(), "# EOF\n") {
		t.Errorf("answered %s, %q at the end", got, text.Body.String()[max(0, text.Body.Len()-20):])
	}
	for le, trace := range map[string]int{"0.0005": 0, "0.005": 3, "0.1": 80, "+Inf": 60_000} {
		line := `zonecast_delivery_latency_seconds_bucket{transport="websocket",le="` + le + `"} `
		_, rest, found := strings.Cut(text.Body.String(), line)
		rest, _, _ = strings.Cut(rest, "\n")
		if want := fmt.Sprintf(`# {trace_id="%032d"}`, trace); !found || !strings.Contains(rest, want) {
			t.Errorf("%s%s, want %s", line, rest, want)
		}
	}
	if n := strings.Count(text.Body.String(), "# {trace_id="); n != 5 {
		t.Errorf("%d exemplars, want 4 of deliveries and that of the traced publication", n)
	}

	binary := scrapeOf(h, http.Header{"Accept": {askProtobuf}})
	decoder := expfmt.NewDecoder(binary.Body, expfmt.Format(askProtobuf))
	for {
		var f dto.MetricFamily
		testkit.Must(t, decoder.Decode(&f))
		if f.GetName() != "zonecast_delivery_latency_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if len(h.GetExemplars()) != 4 || len(h.GetPositiveSpan()) == 0 || h.GetSampleCount() != 4 {
			t.Errorf("%d exemplars beside %d spans of native buckets", len(h.GetExemplars()), len(h.GetPositiveSpan()))
		}
		break
	}
	if plain := scrapeOf(h, nil); strings.Contains(plain.Body.String(), "trace_id") {
		t.Error("a form that has no exemplars got some")
	}
}

// A traced message has as many deliveries as its room has members: they cost one exemplar a second.
func TestExemplarsStandForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := make(exemplars, len(seconds)+1)
		note := func(trace string) string {
			e.observe(3*time.Millisecond, trace, time.Now())
			return e.of(3).GetLabel()[0].GetValue()
		}
		if got := note("first") + note("second"); got != "firstfirst" {
			t.Errorf("at once: %s", got)
		}
		time.Sleep(exemplarAge)
		if got := note("third"); got != "third" {
			t.Errorf("after %v: %s", exemplarAge, got)
		}
	})
}
