package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Comparison is two results' metrics side by side.
type Comparison struct {
	Differences []string // settings that are not the same
	Rows        []ComparisonRow
	Invalid     [2]string
	Failures    [2][]string
}

// A ComparisonRow is one metric in both results.
type ComparisonRow struct {
	Metric        string
	Unit          Unit
	Before, After float64
	Better        int // which way it should go: 1 up, -1 down, 0 neither
}

// compared lists the metrics that tell whether a run got better, and which way that is.
var compared = []struct {
	name   string
	better int
}{
	{"latency.p50", -1}, {"latency.p95", -1}, {"latency.p99", -1}, {"latency.p99.9", -1}, {"latency.max", -1},
	{"live.p99", -1}, {"completion.p99", -1}, {"connect.p99", -1}, {"offline.p99", -1}, {"replay.p99", -1}, {"publish.p99", -1},
	{"throughput", 1}, {"connected", 1}, {"sent", 1}, {"delivered", 1}, {"lost", -1}, {"duplicated", -1}, {"reordered", -1}, {"violations", -1}, {"broken", -1},
	{"errors", -1}, {"server.mib", -1}, {"server.kib", -1}, {"server.cpu", -1}, {"lag.p99", 0},
}

// Compare returns the metrics of which at least one result has a figure.
func Compare(before, after *Result) *Comparison {
	c := &Comparison{Invalid: [2]string{before.Invalid, after.Invalid}, Failures: [2][]string{before.Failures, after.Failures}}
	a, b := before.Settings, after.Settings
	for _, s := range []struct {
		name string
		a, b any
	}{
		{"scenario", a.Scenario, b.Scenario}, {"protocol", a.Protocol, b.Protocol}, {"transport", a.Transport, b.Transport},
		{"connections", a.Connections, b.Connections}, {"messages/s", a.MsgPerSec, b.MsgPerSec}, {"rooms", a.Rooms, b.Rooms},
		{"payload bytes", a.PayloadBytes, b.PayloadBytes}, {"publishers", a.Publishers, b.Publishers}, {"Zipf's exponent", a.Zipf, b.Zipf}, {"addresses", len(a.WSURLs), len(b.WSURLs)},
	} {
		if s.a != s.b {
			c.Differences = append(c.Differences, fmt.Sprintf("%s: %v and %v", s.name, s.a, s.b))
		}
	}
	for _, row := range compared {
		m, _ := MetricByName(row.name)
		x, hasX := m.Value(before)
		y, hasY := m.Value(after)
		if !hasX && !hasY {
			continue
		}
		if !hasX {
			x = math.NaN()
		}
		if !hasY {
			y = math.NaN()
		}
		c.Rows = append(c.Rows, ComparisonRow{Metric: row.name, Unit: m.Unit, Before: x, After: y, Better: row.better})
	}
	return c
}

// Change returns by what part of the first figure the second is more; 0 when that can't be told.
func (r ComparisonRow) Change() float64 {
	switch {
	case math.IsNaN(r.Before) || math.IsNaN(r.After) || r.Before == r.After:
		return 0
	case r.Before == 0:
		return math.Inf(1)
	}
	return r.After/r.Before - 1
}

// worse reports whether the figure got worse by more than a part of it.
func (r ComparisonRow) worse(limit float64) bool {
	return r.Better != 0 && -float64(r.Better)*r.Change() > limit
}

// Worse reports whether a figure got worse by more than limit, or the second run is no good.
func (c *Comparison) Worse(limit float64) bool {
	for _, r := range c.Rows {
		if r.worse(limit) {
			return true
		}
	}
	return c.Invalid[1] != "" || len(c.Failures[1]) > 0
}

// WriteText writes the comparison for a person.
func (c *Comparison) WriteText(w io.Writer, before, after string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "  before  %s\n  after   %s\n", before, after)
	for i, which := range []string{"before", "after"} {
		if c.Invalid[i] != "" {
			fmt.Fprintf(&b, "  INVALID, %s: %s\n", which, c.Invalid[i])
		}
		for _, failure := range c.Failures[i] {
			fmt.Fprintf(&b, "  FAILED, %s: %s\n", which, failure)
		}
	}
	if len(c.Differences) > 0 {
		fmt.Fprintf(&b, "  not the same run: %s\n", strings.Join(c.Differences, "; "))
	}
	fmt.Fprintf(&b, "\n  %-16s %12s %12s %10s\n", "", "before", "after", "change")
	for _, r := range c.Rows {
		mark := ""
		switch change := -float64(r.Better) * r.Change(); {
		case len(c.Differences) > 0: // neither, of runs that are not alike
		case change > 0.05:
			mark = "  worse"
		case change < -0.05:
			mark = "  better"
		}
		change := ""
		if x := r.Change(); math.IsInf(x, 1) {
			change = "from 0"
		} else if x != 0 {
			change = fmt.Sprintf("%+.1f %%", 100*x)
		}
		fmt.Fprintf(&b, "  %-16s %12s %12s %10s%s\n", r.Metric, r.Unit.Show(r.Before), r.Unit.Show(r.After), change, mark)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Show writes a figure in its unit.
func (u Unit) Show(value float64) string {
	switch {
	case math.IsNaN(value):
		return "—"
	case u == Milliseconds:
		return Ms(value)
	case u == Percent:
		if value == 100 {
			return "100 %"
		}
		return fmt.Sprintf("%.3f %%", math.Floor(value*1000)/1000)
	case value < 100 && value != math.Trunc(value):
		return fmt.Sprintf("%.2f", value)
	}
	return Thousands(uint64(value))
}
