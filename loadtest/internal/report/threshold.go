package report

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Threshold is a condition on one metric of a result.
type Threshold struct {
	text   string
	metric Metric
	op     string
	limit  float64
}

var thresholdForm = regexp.MustCompile(`^\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|<|>)\s*(\S+(?:\s+\S+)?)\s*$`)

// ParseThreshold reads one like latency.p95<100ms or lost==0. The error says how it is written.
func ParseThreshold(text string) (Threshold, error) {
	parts := thresholdForm.FindStringSubmatch(text)
	if parts == nil {
		return Threshold{}, fmt.Errorf("threshold %q: write a metric, one of < <= > >= ==, and a limit, like latency.p95<100ms", text)
	}
	metric, ok := MetricByName(parts[1])
	if !ok {
		return Threshold{}, fmt.Errorf("threshold %q: there is no metric %s; there are %s", text, parts[1], MetricNames())
	}
	limit, err := parseLimit(metric.Unit, strings.Join(strings.Fields(parts[3]), ""))
	if err != nil {
		return Threshold{}, fmt.Errorf("threshold %q: the limit of %s is %w", text, metric.Name, err)
	}
	return Threshold{text: metric.Name + parts[2] + strings.Join(strings.Fields(parts[3]), ""), metric: metric, op: parts[2], limit: limit}, nil
}

// parseLimit reads a limit in a unit. The error goes on after "the limit is".
func parseLimit(unit Unit, s string) (float64, error) {
	switch unit {
	case Milliseconds:
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("a duration like 100ms or 1.5s, not %q", s)
		}
		return float64(d) / float64(time.Millisecond), nil
	case Percent:
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
func (t Threshold) Check(r *Result) Outcome {
	value, measured := t.metric.Value(r)
	if !measured {
		why := "nothing measured"
		if t.metric.Unknown != nil {
			why = "not measurable: " + t.metric.Unknown(r)
		}
		return Outcome{Threshold: t.text, Measured: why}
	}
	return Outcome{Threshold: t.text, Measured: t.metric.Unit.Show(value), Met: t.holds(value)}
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

// An expectation is for every run to fulfil, unless a threshold for one of its metrics is given.
type expectation struct {
	metrics []string
	// failure returns a sentence when the result does not fulfil it, and "" when it does.
	failure func(*Result) string
}

var expectations = []expectation{
	{[]string{"connected"}, func(r *Result) string {
		c := r.Connections
		could := "could not connect"
		if r.StartedAt.IsZero() && r.Stopped == Interrupted { // it is unknown whether they could
			could = "were not connected by then"
		}
		return joinText(
			countText(uint64(c.Asked-c.Joined), fmt.Sprintf("of %s members %s", Thousands(uint64(c.Asked)), could)),
			countText(uint64(c.Lost), fmt.Sprintf("of %s were not connected at the end", Thousands(uint64(c.Joined)))))
	}},
	{[]string{"broken", "connected"}, func(r *Result) string {
		return countText(uint64(r.Connections.Broken), "connections broke during the run")
	}},
	{[]string{"sent"}, func(r *Result) string {
		m := r.Messages
		return joinText(
			countText(m.Failed, fmt.Sprintf("of %s messages were refused or unanswered", Thousands(m.Scheduled))),
			countText(m.NotSent, fmt.Sprintf("of %s messages could not be sent in time", Thousands(m.Scheduled))))
	}},
	{[]string{"delivered", "lost"}, func(r *Result) string {
		return countText(r.Messages.Lost, fmt.Sprintf("of %s deliveries were lost", Thousands(r.Messages.Expected)))
	}},
	{[]string{"duplicated"}, func(r *Result) string {
		return countText(r.Messages.Duplicated, "deliveries were duplicates")
	}},
	{[]string{"reordered"}, func(r *Result) string {
		return countText(r.Messages.Reordered, "deliveries came out of order")
	}},
	{[]string{"holes", "delivered", "lost"}, func(r *Result) string {
		return countText(r.Violations.Holes, "offsets are missing that must rise by one")
	}},
	{[]string{"violations"}, func(r *Result) string {
		v := r.Violations
		v.Holes = 0
		if v == (Violations{}) {
			return ""
		}
		return "the server broke its promises: " + v.String()
	}},
}

// Missed returns how many thresholds were not met.
func (r *Result) Missed() (n int) {
	for _, t := range r.Thresholds {
		if !t.Met {
			n++
		}
	}
	return n
}

func countText(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return Thousands(n) + " " + what
}

// joinText joins two parts of a sentence, either of which may be empty.
func joinText(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", and " + b
}

// Evaluate measures the result against the thresholds and the expectations, and enters the outcome.
//
// Scenario ramp is good when a step held its thresholds; that the last ones fail is its purpose.
func Evaluate(r *Result, thresholds []Threshold) {
	r.Thresholds, r.Failures = []Outcome{}, []string{}
	defer func() { r.Verdict = r.judge() }()
	if r.Stopped != "" {
		r.Failures = append(r.Failures, "the run ended early: "+r.Stopped)
	}
	if r.Settings.Scenario == "ramp" {
		evaluateRamp(r)
		return
	}
	own := map[string]bool{}
	for _, t := range thresholds {
		own[t.Metric()] = true
		r.Thresholds = append(r.Thresholds, t.Check(r))
	}
	for _, e := range expectations {
		if slices.ContainsFunc(e.metrics, func(m string) bool { return own[m] }) {
			continue
		}
		if text := e.failure(r); text != "" {
			r.Failures = append(r.Failures, text)
		}
	}
}

// The verdicts of a run.
const (
	Passed  = "passed"
	Failed  = "failed"
	Missed  = "missed"  // thresholds, and nothing else
	Invalid = "invalid" // the figures are not the server's
)

func (r *Result) judge() string {
	switch {
	case r.Invalid != "":
		return Invalid
	case len(r.Failures) > 0:
		return Failed
	case r.Missed() > 0:
		return Missed
	}
	return Passed
}

func evaluateRamp(r *Result) {
	if len(r.Ramp) == 0 {
		r.Failures = append(r.Failures, "no step was measured")
		return
	}
	if !slices.ContainsFunc(r.Ramp, func(s RampStep) bool { return s.Held }) {
		r.Thresholds = r.Ramp[0].Thresholds
		if r.Missed() == 0 {
			r.Failures = append(r.Failures, "at the lowest rate already, not all messages could be sent")
		}
	}
	r.Invalid = "" // the fastest steps are the load tester's limit, if they are not the server's; none of them counts as held
}
