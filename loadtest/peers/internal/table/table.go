//go:build linux

// Package table is the result of a whole run: as JSON, and as the Markdown table that people read.
package table

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

// A Result is all that a run of the benchmark found out.
type Result struct {
	Started   time.Time           `json:"started"`
	Quick     bool                `json:"quick"`
	Machine   machine.Description `json:"machine"`
	Peers     []Peer              `json:"peers"`
	Scenarios []scenario.Scenario `json:"scenarios"`
	Outcomes  []scenario.Outcome  `json:"outcomes"`
}

// A Peer is a server that took part.
type Peer struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version string `json:"version"`
}

func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// A figure is one of an outcome that has figures.
type figure func(scenario.Scenario, *scenario.Outcome) float64

var (
	memory   figure = func(s scenario.Scenario, o *scenario.Outcome) float64 { return o.KiBPerConnection(s.Connections) }
	connects figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return o.ConnectsPerSecond }
	rate     figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return o.DeliveriesPerSecond() }
	cpu      figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return o.MicrosPerDelivery() }
	p50      figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return report.Millis(o.Run.Latency.P50) }
	p99      figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return report.Millis(o.Run.Latency.P99) }
	wire     figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return o.BytesPerDelivery() }
	lost     figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 { return float64(o.Run.Lost + o.Run.Damaged) }
	doubled  figure = func(_ scenario.Scenario, o *scenario.Outcome) float64 {
		return float64(o.Run.Duplicates + o.Run.Reordered)
	}
)

type row struct {
	title    string
	figure   figure
	format   string
	compared bool // the ratio to the other servers means something
}

func rows(s scenario.Scenario) []row {
	if s.Kind == scenario.Idle {
		return []row{{"KiB per connection", memory, "%.1f", true}, {"connections/s", connects, "%.0f", true}}
	}
	return []row{
		{"deliveries/s", rate, "%.0f", s.Kind == scenario.Flood},
		{"µs of server CPU per delivery", cpu, "%.2f", true},
		{"p50, ms", p50, "%.2f", true},
		{"p99, ms", p99, "%.2f", true},
		{"bytes on the wire per delivery", wire, "%.0f", false},
		{"lost or damaged", lost, "%.0f", false},
		{"doubled or out of order", doubled, "%.0f", false},
	}
}

// WriteMarkdown writes the table, with a note for each figure that needs one.
func (r *Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s.", r.Started.Format("2006-01-02"), r.Machine)
	for i, p := range r.Peers {
		fmt.Fprintf(&b, "%s %s %s", []string{" Servers:", ","}[min(i, 1)], p.Title, p.Version)
	}
	b.WriteString(".\n\n|")
	for _, p := range r.Peers {
		b.WriteString(" | " + p.Title)
	}
	bases := r.bases()
	for _, base := range bases {
		fmt.Fprintf(&b, " | Zonecast ÷ %s", base.Title)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(r.Peers)+len(bases)) + "|\n")
	for _, s := range r.Scenarios {
		r.writeScenario(&b, s, bases)
	}
	r.writeTargets(&b)
	r.writeNotes(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// bases are the peers that Zonecast is compared with in columns of their own.
func (r *Result) bases() (bases []Peer) {
	if !slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Name == server.Zonecast }) {
		return nil
	}
	for _, p := range r.Peers {
		if p.Name == server.Baseline || p.Name == server.Centrifuge || p.Name == server.Write2 {
			bases = append(bases, p)
		}
	}
	return bases
}

func (r *Result) writeScenario(b *strings.Builder, s scenario.Scenario, bases []Peer) {
	title := s.Title
	if s.Rounds > 1 {
		title += fmt.Sprintf(" (medians of %d rounds)", s.Rounds)
	}
	fmt.Fprintf(b, "| **%s**%s |\n", title, strings.Repeat(" |", len(r.Peers)+len(bases)))
	for _, line := range rows(s) {
		b.WriteString("| " + line.title)
		for _, p := range r.Peers {
			b.WriteString(" | " + r.cell(s, p.Name, line))
		}
		for _, base := range bases {
			b.WriteString(" | ")
			if ratios := r.ratios(line.figure, s, server.Zonecast, s, base.Name); line.compared && len(ratios) > 0 {
				b.WriteString(spread(ratios, "%.2f"))
			}
		}
		b.WriteString(" |\n")
	}
}

// outcomes returns those of a peer in a scenario, by round; nil where there is none.
func (r *Result) outcomes(s scenario.Scenario, peer string) []*scenario.Outcome {
	all := make([]*scenario.Outcome, max(s.Rounds, 1))
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; o.Scenario == s.Name && o.Peer == peer && o.Round < len(all) {
			all[o.Round] = o
		}
	}
	return all
}

// ratios returns how a peer's figure compares with another's, by round in which both have one.
func (r *Result) ratios(f figure, s scenario.Scenario, peer string, base scenario.Scenario, basePeer string) (ratios []float64) {
	theirs := r.outcomes(base, basePeer)
	for round, ours := range r.outcomes(s, peer) {
		if round >= len(theirs) || !ours.Good() || !theirs[round].Good() {
			continue
		}
		if d := f(base, theirs[round]); d > 0 {
			ratios = append(ratios, f(s, ours)/d)
		}
	}
	return ratios
}

// median returns the middle of some figures; the mean of the two in the middle of an even number.
func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread writes the median, and the lowest and highest if there are several.
func spread(of []float64, format string) string {
	text := fmt.Sprintf(format, median(of))
	if len(of) > 1 {
		text += fmt.Sprintf(" ("+format+"–"+format+")", slices.Min(of), slices.Max(of))
	}
	return text
}

func (r *Result) cell(s scenario.Scenario, peer string, line row) string {
	var good, invalid []float64
	failed := 0
	for _, o := range r.outcomes(s, peer) {
		switch {
		case o == nil:
		case o.Failure != "":
			failed++
		case o.Invalid != "":
			invalid = append(invalid, line.figure(s, o))
		default:
			good = append(good, line.figure(s, o))
		}
	}
	var parts []string
	if len(good) > 0 {
		parts = append(parts, fmt.Sprintf(line.format, median(good)))
	}
	if len(invalid) > 0 {
		parts = append(parts, fmt.Sprintf("INVALID ("+line.format+")", median(invalid)))
	}
	if failed > 0 {
		parts = append(parts, "failed")
	}
	return strings.Join(parts, ", ")
}

// noisy is the part of the machine that other programs may take before it is noted.
const noisy = 0.05

// writeNotes says what the table's cells can't.
func (r *Result) writeNotes(b *strings.Builder) {
	var notes []string
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		for _, n := range remarks(o, r.Machine.Cores) {
			notes = append(notes, fmt.Sprintf("- %s, %s, round %d: %s\n", o.Scenario, o.Peer, o.Round+1, strings.Join(strings.Fields(n), " ")))
		}
	}
	if r.Quick {
		notes = append(notes, "- A quick run: it shows that everything works, and its figures mean nothing.\n")
	}
	if len(notes) > 0 {
		b.WriteString("\n" + strings.Join(notes, ""))
	}
}

func remarks(o *scenario.Outcome, cores int) (notes []string) {
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if o.Failure != "" {
		add("failed: %s", o.Failure)
	}
	if o.Invalid != "" {
		add("INVALID: %s", o.Invalid)
	}
	if o.Run == nil {
		return notes
	}
	for kind, n := range o.Run.Troubles {
		add("%d %s", n, kind)
	}
	if share := o.Usage.Others.Seconds() / o.Usage.Wall.Seconds() / float64(cores); share > noisy {
		add("something else took %.0f %% of the machine", 100*share)
	}
	slices.Sort(notes)
	return notes
}
