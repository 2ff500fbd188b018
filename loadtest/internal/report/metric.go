package report

import (
	"slices"
	"strings"
)

// A Unit is what a metric is measured in, and so what a threshold for it is written in.
type Unit uint8

// The units.
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
		{"connected", Percent, func(r *Result) (float64, bool) {
			return percent(uint64(r.Connections.Joined-r.Connections.Lost), uint64(r.Connections.Asked))
		}},
		count("broken", func(r *Result) uint64 { return uint64(r.Connections.Broken) }),
		{"sent", Percent, func(r *Result) (float64, bool) { return percent(r.Messages.Sent, r.Messages.Scheduled) }},
		{"delivered", Percent, func(r *Result) (float64, bool) {
			return r.SuccessPercent, r.Messages.Expected > 0
		}},
		count("lost", func(r *Result) uint64 { return r.Messages.Lost }),
		count("duplicated", func(r *Result) uint64 { return r.Messages.Duplicated }),
		count("reordered", func(r *Result) uint64 { return r.Messages.Reordered }),
		count("late", func(r *Result) uint64 { return r.Messages.Late }),
		count("holes", func(r *Result) uint64 { return r.Violations.Holes }),
		count("violations", func(r *Result) uint64 { return r.Violations.besideHoles() }),
		count("errors", func(r *Result) uint64 { return r.Errors }),
		{"throughput", Number, func(r *Result) (float64, bool) { return r.Throughput.Received, true }},
		{"rate", Number, func(r *Result) (float64, bool) { return r.Throughput.Sent, true }},
		{"server.mib", Number, func(r *Result) (float64, bool) { return r.serverMiB() }},
		{"server.kib", Number, func(r *Result) (float64, bool) { return r.KiBPerConnection() }},
		{"server.cpu", Number, func(r *Result) (float64, bool) { return r.MicrosPerDelivery() }},
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
		return Metric{name + "." + stat, Milliseconds, func(r *Result) (float64, bool) {
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
	return Metric{name, Number, func(r *Result) (float64, bool) { return float64(of(r)), true }}
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

// KiBPerConnection returns what an idle connection costs the servers.
func (r *Result) KiBPerConnection() (float64, bool) {
	grown := 0.0
	for _, s := range r.Servers {
		grown += float64(s.MemoryIdle) - float64(s.MemoryBefore)
	}
	return max(grown, 0) / 1024 / float64(max(r.Connections.Joined, 1)), len(r.Servers) > 0 && r.Connections.Joined > 0
}

// MicrosPerDelivery returns the servers' CPU time for each delivered message, in µs.
func (r *Result) MicrosPerDelivery() (float64, bool) {
	used := 0.0
	for _, s := range r.Servers {
		used += s.CPUSeconds
	}
	return 1e6 * used / float64(max(r.Messages.Received, 1)), len(r.Servers) > 0 && r.Messages.Received > 0
}
