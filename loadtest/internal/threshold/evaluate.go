package threshold

import (
	"fmt"
	"slices"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

// An expectation is what every run must fulfil, unless a threshold for one of its metrics says what
// is good enough.
type expectation struct {
	metrics []string
	// failure returns a sentence when the result does not fulfil it, and "" when it does.
	failure func(*report.Result) string
}

var expectations = []expectation{
	{[]string{"connected"}, func(r *report.Result) string {
		c := r.Connections
		could := "could not connect"
		if r.StartedAt.IsZero() && r.Stopped == report.Interrupted { // it is unknown whether they could
			could = "were not connected by then"
		}
		return joinText(
			some(uint64(c.Asked-c.Joined), fmt.Sprintf("of %s members %s", num(uint64(c.Asked)), could)),
			some(uint64(c.Lost), fmt.Sprintf("of %s were not connected at the end", num(uint64(c.Joined)))))
	}},
	{[]string{"broken", "connected"}, func(r *report.Result) string {
		return some(uint64(r.Connections.Broken), "connections broke during the run")
	}},
	{[]string{"sent"}, func(r *report.Result) string {
		m := r.Messages
		return joinText(
			some(m.Failed, fmt.Sprintf("of %s messages were refused or unanswered", num(m.Scheduled))),
			some(m.NotSent, fmt.Sprintf("of %s messages could not be sent in time", num(m.Scheduled))))
	}},
	{[]string{"delivered", "lost"}, func(r *report.Result) string {
		if r.Messages.Lost == 0 {
			return ""
		}
		return fmt.Sprintf("%s of %s deliveries were lost", num(r.Messages.Lost), num(r.Messages.Expected))
	}},
	{[]string{"duplicated"}, func(r *report.Result) string {
		return some(r.Messages.Duplicated, "deliveries were duplicates")
	}},
	{[]string{"reordered"}, func(r *report.Result) string {
		return some(r.Messages.Reordered, "deliveries came out of order")
	}},
	{[]string{"holes", "delivered", "lost"}, func(r *report.Result) string {
		return some(r.Violations.Holes, "offsets are missing that must rise by one")
	}},
	{[]string{"violations"}, func(r *report.Result) string {
		v := r.Violations
		v.Holes = 0
		if v == (report.Violations{}) {
			return ""
		}
		return "the server broke its promises: " + v.String()
	}},
}

func some(n uint64, what string) string {
	if n == 0 {
		return ""
	}
	return num(n) + " " + what
}

// joinText joins two parts of a sentence, either of which may be empty.
func joinText(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", and " + b
}

func num(n uint64) string { return report.Thousands(n) }

// Evaluate measures the result against the thresholds and against what every run must fulfil, and
// enters the outcome.
//
// Scenario ramp is good when a step held its thresholds: that the last ones did not is what it
// looks for.
func Evaluate(r *report.Result, thresholds []Threshold) {
	if r.Settings.Scenario == "ramp" {
		evaluateRamp(r)
		return
	}
	own := map[string]bool{}
	r.Thresholds, r.Failures = []report.Outcome{}, []string{}
	for _, t := range thresholds {
		own[t.Metric()] = true
		r.Thresholds = append(r.Thresholds, t.Check(r))
	}
	if r.Stopped != "" {
		r.Failures = append(r.Failures, "the run ended early: "+r.Stopped)
	}
	for _, e := range expectations {
		if e.replaced(own) {
			continue
		}
		if text := e.failure(r); text != "" {
			r.Failures = append(r.Failures, text)
		}
	}
}

func (e expectation) replaced(own map[string]bool) bool {
	for _, m := range e.metrics {
		if own[m] {
			return true
		}
	}
	return false
}

func evaluateRamp(r *report.Result) {
	r.Thresholds, r.Failures = []report.Outcome{}, []string{}
	if r.Stopped != "" {
		r.Failures = append(r.Failures, "the run ended early: "+r.Stopped)
	}
	if len(r.Ramp) == 0 {
		r.Failures = append(r.Failures, "no step was measured")
		return
	}
	if !slices.ContainsFunc(r.Ramp, func(s report.RampStep) bool { return s.Held }) {
		r.Thresholds = r.Ramp[0].Thresholds
		if !slices.ContainsFunc(r.Thresholds, func(o report.Outcome) bool { return !o.Met }) {
			r.Failures = append(r.Failures, "at the lowest rate already, not all messages could be sent")
		}
	}
	r.Invalid = "" // the fastest steps are the load tester's limit, if they are not the server's; none of them counts as held
}
