package metrics

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// reference is Prometheus's own histogram of the same durations.
func reference() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: seconds, NativeHistogramBucketFactor: 1.1})
}

func TestLatencyCountsAsPrometheusDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ours, theirs := newLatency("h", "h", nil), reference()
	for range 2_000 {
		run := make([]time.Duration, random.IntN(20))
		middle := time.Duration(1) << random.IntN(38) // up to 4.6 minutes
		for i := range run {
			run[i] = (middle + time.Duration(random.Int64N(int64(middle)))).Truncate(time.Microsecond)
			theirs.Observe(run[i].Seconds())
		}
		ours.observe(run)
	}
	for _, bound := range seconds { // exactly on a bound, and beside it
		for by := -time.Microsecond; by <= time.Microsecond; by += time.Microsecond {
			d := time.Duration(bound*1e9) + by
			theirs.Observe(d.Seconds())
			ours.observe([]time.Duration{d})
		}
	}
	got, want := histogramOf(t, ours), histogramOf(t, theirs)
	got.SampleSum, want.SampleSum = nil, nil // summed up in another order
	if !proto.Equal(got, want) {
		t.Errorf("it has\n%v\nand Prometheus's own\n%v", got, want)
	}
}

func TestLatencyOfDurationsOutOfRange(t *testing.T) {
	h := newLatency("h", "h", nil)
	h.observe([]time.Duration{-time.Second, 0, 2 * time.Hour, 24 * time.Hour})
	got := histogramOf(t, h)
	last := got.Bucket[len(got.Bucket)-1]
	if got.GetSampleCount() != 4 || got.GetZeroCount() != 2 || last.GetCumulativeCount() != 2 || got.GetSampleSum() != 26*3600 {
		t.Errorf("it is %v", got)
	}
}

func TestLatencyIsAWellFormedMetric(t *testing.T) {
	h := newLatency("zonecast_delivery_latency_seconds", "Time from one to the other.", nil)
	h.observe([]time.Duration{time.Millisecond, time.Second})
	if problems, err := testutil.CollectAndLint(h); err != nil || len(problems) > 0 {
		t.Errorf("it has the problems %v: %v", problems, err)
	}
	empty := histogramOf(t, newLatency("h", "h", nil))
	if want := histogramOf(t, reference()); !slices.EqualFunc(empty.Bucket, want.Bucket, func(a, b *dto.Bucket) bool { return proto.Equal(a, b) }) {
		t.Errorf("without observations it has %v and not %v", empty.Bucket, want.Bucket)
	}
}

func histogramOf(t *testing.T, m prometheus.Metric) *dto.Histogram {
	t.Helper()
	var out dto.Metric
	testkit.Must(t, m.Write(&out))
	out.Histogram.CreatedTimestamp = nil
	return out.Histogram
}

// BenchmarkLatency observes the durations of the messages that leave in one write: an ordinary one,
// and one in a flood.
func BenchmarkLatency(b *testing.B) {
	run := make([]time.Duration, 256)
	for i := range run {
		run[i] = 300*time.Millisecond - time.Duration(i)*300*time.Microsecond
	}
	for name, n := range map[string]int{"one": 1, "many": len(run)} {
		ours, theirs := newLatency("h", "h", nil), reference()
		perMessage := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		}
		b.Run(name+", cells", func(b *testing.B) {
			for b.Loop() {
				ours.observe(run[:n])
			}
			perMessage(b)
		})
		b.Run(name+", Prometheus", func(b *testing.B) {
			for b.Loop() {
				for _, d := range run[:n] {
					theirs.Observe(d.Seconds())
				}
			}
			perMessage(b)
		})
	}
}
