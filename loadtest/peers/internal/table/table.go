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

// WriteJSON writes everything.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// A row is a figure of each peer.
type row struct {
	title string
	// figure returns the number; less than 0 means that there is none.
	figure func(*scenario.Outcome) float64
	format string
	// compared: the ratio to the other servers means something.
	compared bool
}

// rows returns the figures of a scenario.
func rows(s scenario.Scenario) []row {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	cpu := row{"µs of server CPU per delivery", (*scenario.Outcome).MicrosPerDelivery, "%.2f", true}
	p50 := row{"p50, ms", func(o *scenario.Outcome) float64 { return ms(o.Run.Latency.P50) }, "%.2f", true}
	p99 := row{"p99, ms", func(o *scenario.Outcome) float64 { return ms(o.Run.Latency.P99) }, "%.2f", true}
	lost := row{"lost or damaged", func(o *scenario.Outcome) float64 { return float64(o.Run.Lost + o.Run.Damaged) }, "%.0f", false}
	bytes := row{"bytes on the wire per delivery", (*scenario.Outcome).BytesPerDelivery, "%.0f", false}
	doubled := row{"doubled or out of order", func(o *scenario.Outcome) float64 { return float64(o.Run.Duplicates + o.Run.Reordered) }, "%.0f", false}
	switch s.Kind {
	case scenario.Idle:
		return []row{
			{"KiB per connection", func(o *scenario.Outcome) float64 { return o.KiBPerConnection(s.Connections) }, "%.1f", true},
			{"connections/s", func(o *scenario.Outcome) float64 { return o.ConnectsPerSecond }, "%.0f", true},
		}
	case scenario.Flood:
		return []row{{"deliveries/s", (*scenario.Outcome).DeliveriesPerSecond, "%.0f", true}, cpu, p99, bytes, lost, doubled}
	}
	return []row{cpu, p50, p99, bytes, lost, doubled}
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
		if p.Name == server.Centrifuge || p.Name == server.Write2 {
			bases = append(bases, p)
		}
	}
	return bases
}

func (r *Result) writeScenario(b *strings.Builder, s scenario.Scenario, bases []Peer) {
	fmt.Fprintf(b, "| **%s**%s |\n", s.Title, strings.Repeat(" |", len(r.Peers)+len(bases)))
	for _, line := range rows(s) {
		b.WriteString("| " + line.title)
		for _, p := range r.Peers {
			b.WriteString(" | " + cell(r.outcome(s.Name, p.Name), line))
		}
		ours, ok := value(r.outcome(s.Name, server.Zonecast), line)
		for _, base := range bases {
			b.WriteString(" | ")
			theirs, has := value(r.outcome(s.Name, base.Name), line)
			if ok && has && line.compared && theirs > 0 {
				fmt.Fprintf(b, "%.2f", ours/theirs)
			}
		}
		b.WriteString(" |\n")
	}
}

func (r *Result) outcome(scenario, peer string) *scenario.Outcome {
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; o.Scenario == scenario && o.Peer == peer {
			return o
		}
	}
	return nil
}

// value returns a figure that may be compared.
func value(o *scenario.Outcome, line row) (float64, bool) {
	if o == nil || o.Failure != "" || o.Invalid != "" {
		return 0, false
	}
	return line.figure(o), true
}

func cell(o *scenario.Outcome, line row) string {
	switch {
	case o == nil:
		return ""
	case o.Failure != "":
		return "failed"
	case o.Invalid != "":
		return "INVALID (" + fmt.Sprintf(line.format, line.figure(o)) + ")"
	}
	return fmt.Sprintf(line.format, line.figure(o))
}

// noisy is the part of the machine that other programs may take before it is noted.
const noisy = 0.05

// writeNotes says what the table's cells can't.
func (r *Result) writeNotes(b *strings.Builder) {
	var notes []string
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		for _, n := range remarks(o, r.Machine.Cores) {
			notes = append(notes, fmt.Sprintf("- %s, %s: %s\n", o.Scenario, o.Peer, strings.Join(strings.Fields(n), " ")))
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
