// Package threshold decides whether a result is good enough.
//
//	settings ──▶ Parse("latency.p95<100ms")
//	main     ──▶ Evaluate(result, thresholds)   fills in the result's Thresholds and Failures
package threshold

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

// A Threshold is a condition on one metric of a result.
type Threshold struct {
	text   string
	metric report.Metric
	op     string
	limit  float64
}

var form = regexp.MustCompile(`^\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|<|>)\s*(\S+(?:\s+\S+)?)\s*$`)

// Parse reads a threshold like latency.p95<100ms, delivered>=99.9% or lost==0. The error says how
// it is written.
func Parse(text string) (Threshold, error) {
	parts := form.FindStringSubmatch(text)
	if parts == nil {
		return Threshold{}, fmt.Errorf("threshold %q: write a metric, one of < <= > >= ==, and a limit, like latency.p95<100ms", text)
	}
	metric, ok := report.MetricByName(parts[1])
	if !ok {
		return Threshold{}, fmt.Errorf("threshold %q: there is no metric %s; there are %s", text, parts[1], report.MetricNames())
	}
	limit, err := parseLimit(metric.Unit, strings.Join(strings.Fields(parts[3]), ""))
	if err != nil {
		return Threshold{}, fmt.Errorf("threshold %q: the limit of %s is %w", text, metric.Name, err)
	}
	return Threshold{text: metric.Name + parts[2] + strings.Join(strings.Fields(parts[3]), ""), metric: metric, op: parts[2], limit: limit}, nil
}

// parseLimit reads a limit in a unit. The error goes on after "the limit is".
func parseLimit(unit report.Unit, s string) (float64, error) {
	switch unit {
	case report.Milliseconds:
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("a duration like 100ms or 1.5s, not %q", s)
		}
		return float64(d) / float64(time.Millisecond), nil
	case report.Percent:
		digits, ok := strings.CutSuffix(s, "%")
		f, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil || !(f >= 0 && f <= 100) {
			return 0, fmt.Errorf("a percentage like 99.9%%, not %q", s)
		}
		return f, nil
	default:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0) || math.IsInf(f, 0) {
			return 0, fmt.Errorf("a number like 0 or 1000, not %q", s)
		}
		return f, nil
	}
}

// String returns the threshold as it was written, without spaces.
func (t Threshold) String() string { return t.text }

// Metric returns the name of the threshold's metric.
func (t Threshold) Metric() string { return t.metric.Name }

// Check measures a result. A metric of which nothing was measured meets no threshold.
func (t Threshold) Check(r *report.Result) report.Outcome {
	value, measured := t.metric.Value(r)
	if !measured {
		why := "nothing measured"
		if t.metric.Unknown != nil {
			why = "not measurable: " + t.metric.Unknown(r)
		}
		return report.Outcome{Threshold: t.text, Measured: why}
	}
	return report.Outcome{Threshold: t.text, Measured: t.metric.Unit.Show(value), Met: t.holds(value)}
}

func (t Threshold) holds(value float64) bool {
	switch t.op {
	case "<":
		return value < t.limit
	case "<=":
		return value <= t.limit
	case ">":
		return value > t.limit
	case ">=":
		return value >= t.limit
	default:
		return value == t.limit
	}
}
