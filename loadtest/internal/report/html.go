package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
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
	for _, t := range v.Thresholds {
		if !t.Met && v.Invalid == "" {
			return "failed"
		}
	}
	switch {
	case v.Invalid != "":
		return "invalid"
	case len(v.Failures) > 0:
		return "failed"
	}
	return "passed"
}

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
}

// Durations are those that were measured.
func (v view) Durations() (rows []timesRow) {
	for _, row := range []timesRow{
		{"latency", "from when a message was due to when a member had it", v.Latency},
		{"live", "the same, without what members got after they had been away", v.Live},
		{"completion", "to when the last of its members had it", v.Completion},
		{"publish", "the time of a request to publish", v.Publish},
		{"connect", "to the frame connected", v.Connect},
		{"offline", "from the end of a connection to the one that replaced it", v.Offline},
		{"replay", "from the beginning of a return to the last message missed", v.Replay},
		{"send lag", "the load tester's own part of the latency", v.Lag},
	} {
		if row.Count > 0 {
			rows = append(rows, row)
		}
	}
	return rows
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
