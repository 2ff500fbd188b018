package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"thousands": Thousands, "whole": whole, "ms": Ms, "share": Share, "decimal": decimal, "millis": millis,
	"mib": func(n uint64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) },
	"width": func(part, most float64) float64 {
		if most <= 0 {
			return 0
		}
		return math.Round(1000*min(part/most, 1)) / 10
	},
	"upper": strings.ToUpper,
}).Parse(pageSource))

// WriteHTML writes the result as a page: one file without anything from elsewhere.
func (r *Result) WriteHTML(w io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return page.Execute(w, view{Result: r, Raw: template.JS(strings.ReplaceAll(string(raw), "<", `\u003c`)), Charts: r.charts()})
}

// A view is what the page shows.
type view struct {
	*Result
	Raw    template.JS
	Charts []chart
}

// Verdict is the page's first word.
func (v view) Verdict() string {
	switch {
	case v.Invalid != "":
		return "invalid"
	case len(v.Failures) > 0 || v.Missed() > 0:
		return "failed"
	}
	return "passed"
}

// ConnectedAtEnd is how many members were there when the run ended.
func (v view) ConnectedAtEnd() int { return v.Connections.Joined - v.Connections.Lost }

// When is when the first message was due.
func (v view) When() string {
	if v.StartedAt.IsZero() {
		return ""
	}
	return v.StartedAt.UTC().Format("2 January 2006, 15:04:05 UTC")
}

// Rate is how fast messages were due, where any were.
func (v view) Rate() string { return v.Settings.rate() }

// Took is the run's duration.
func (v view) Took() time.Duration { return millis(v.DurationMs).Round(10 * time.Millisecond) }

// A timesRow is one kind of duration.
type timesRow struct {
	Name, About string
	Times
	always bool // it is in the text even when nothing was measured
}

// durations are all kinds, in the order of reports.
func (r *Result) durations() []timesRow {
	return []timesRow{
		{"latency", "from when a message was due to when a member had it", r.Latency, true},
		{"live", "the same, without what members got after they had been away", r.Live, false},
		{"completion", "to when the last of its members had it", r.Completion, false},
		{"connect", "to the frame connected", r.Connect, true},
		{"offline", "from the end of a connection to the one that replaced it", r.Offline, false},
		{"replay", "from the beginning of a return to the last message missed", r.Replay, false},
		{"publish", "the time of a request to publish", r.Publish, false},
		{"send lag", "the load tester's own part of the latency", r.Lag, true},
	}
}

// Durations are those that were measured.
func (v view) Durations() []timesRow {
	return slices.DeleteFunc(v.durations(), func(d timesRow) bool { return d.Count == 0 })
}

// Longest is the longest P99.9 of all durations, for the bars.
func (v view) Longest() (most float64) {
	for _, row := range v.Durations() {
		most = max(most, math.Log10(1+100*row.P99_9))
	}
	return most
}

// Log puts a duration on the bars' scale, which is logarithmic.
func (v view) Log(ms float64) float64 { return math.Log10(1 + 100*ms) }

// ServerFigures is what a connection and a delivery cost the servers.
func (v view) ServerFigures() string { return v.costText(" · ") }
