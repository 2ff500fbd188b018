package report

import (
	"slices"
	"strings"
)

// A Unit is what a metric is measured in, and so what a threshold for it is written in.
type Unit uint8

const (
	Milliseconds Unit = iota // a duration: 100ms, 1.5s
	Percent                  // 99.9%
	Number                   // a count or a rate: 0, 100000
)

// A Metric is one figure of a result that thresholds can be set for.
type Metric struct {
	Name string
	Unit Unit
	// Value returns the figure, and false when nothing was measured.
	Value func(*Result) (float64, bool)
	// Unknown says why nothing was; nil where there is nothing more to say.
	Unknown func(*Result) string
}

var metrics = slices.Concat(
	times("latency", func(r *Result) *Times { return &r.Latency }),
	times("live", func(r *Result) *Times { return &r.Live }),
	times("completion", func(r *Result) *Times { return &r.Completion }),
	times("replay", func(r *Result) *Times { return &r.Replay }),
	times("connect", func(r *Result) *Times { return &r.Connect }),
	times("offline", func(r *Result) *Times { return &r.Offline }),
	times("publish", func(r *Result) *Times { return &r.Publish }),
	times("lag", func(r *Result) *Times { return &r.Lag }),
	[]Metric{
		{Name: "connected", Unit: Percent, Value: func(r *Result) (float64, bool) {
			return percent(uint64(r.Connections.Joined-r.Connections.Lost), uint64(r.Connections.Asked))
		}},
		count("broken", func(r *Result) uint64 { return uint64(r.Connections.Broken) }),
		{Name: "sent", Unit: Percent, Value: func(r *Result) (float64, bool) { return percent(r.Messages.Sent, r.Messages.Scheduled) }},
		{Name: "delivered", Unit: Percent, Value: func(r *Result) (float64, bool) {
			return r.SuccessPercent, r.Messages.Expected > 0
		}},
		count("lost", func(r *Result) uint64 { return r.Messages.Lost }),
		count("duplicated", func(r *Result) uint64 { return r.Messages.Duplicated }),
		count("reordered", func(r *Result) uint64 { return r.Messages.Reordered }),
		count("late", func(r *Result) uint64 { return r.Messages.Late }),
		count("holes", func(r *Result) uint64 { return r.Violations.Holes }),
		count("violations", func(r *Result) uint64 { return r.Violations.besideHoles() }),
		count("errors", func(r *Result) uint64 { return r.Errors }),
		{Name: "throughput", Unit: Number, Value: func(r *Result) (float64, bool) { return r.Throughput.Received, true }},
		{Name: "rate", Unit: Number, Value: func(r *Result) (float64, bool) { return r.Throughput.Sent, true }},
		{Name: "server.mib", Unit: Number, Value: func(r *Result) (float64, bool) { return r.serverMiB() }},
		{Name: "server.kib", Unit: Number, Value: func(r *Result) (float64, bool) { return valueOf(r.ServerCost().KiBPerConnection) },
			Unknown: func(r *Result) string { return r.ServerCost().KiBUnknown }},
		{Name: "server.cpu", Unit: Number, Value: func(r *Result) (float64, bool) { return valueOf(r.ServerCost().MicrosPerDelivery) }},
	},
)

// MetricByName returns the metric of that name.
func MetricByName(name string) (Metric, bool) {
	i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return metrics[i], true
}

// MetricNames lists the metrics for a person: those of times once, with their statistics in braces.
func MetricNames() string {
	names := []string{"{latency,live,completion,connect,offline,replay,publish,lag}.{min,avg,max,p50,p95,p99,p99.9}"}
	for _, m := range metrics {
		if m.Unit != Milliseconds {
			names = append(names, m.Name)
		}
	}
	return strings.Join(names, ", ")
}

func times(name string, of func(*Result) *Times) []Metric {
	stat := func(stat string, value func(*Times) float64) Metric {
		return Metric{Name: name + "." + stat, Unit: Milliseconds, Value: func(r *Result) (float64, bool) {
			t := of(r)
			return value(t), t.Count > 0
		}}
	}
	return []Metric{
		stat("min", func(t *Times) float64 { return t.Min }),
		stat("avg", func(t *Times) float64 { return t.Avg }),
		stat("max", func(t *Times) float64 { return t.Max }),
		stat("p50", func(t *Times) float64 { return t.P50 }),
		stat("p95", func(t *Times) float64 { return t.P95 }),
		stat("p99", func(t *Times) float64 { return t.P99 }),
		stat("p99.9", func(t *Times) float64 { return t.P99_9 }),
	}
}

func count(name string, of func(*Result) uint64) Metric {
	return Metric{Name: name, Unit: Number, Value: func(r *Result) (float64, bool) { return float64(of(r)), true }}
}

func percent(part, whole uint64) (float64, bool) {
	if whole == 0 {
		return 0, false
	}
	return 100 * float64(part) / float64(whole), true
}

// serverMiB returns the most memory that one instance had.
func (r *Result) serverMiB() (float64, bool) {
	most := uint64(0)
	for _, s := range r.Servers {
		most = max(most, s.MemoryPeak)
	}
	return float64(most) / (1 << 20), most > 0
}

func valueOf(value *float64) (float64, bool) {
	if value == nil {
		return 0, false
	}
	return *value, true
}
