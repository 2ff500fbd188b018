//go:build linux

package table

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

// A target is what a figure of Zonecast must reach, alone or beside another of the same run.
type target struct {
	title    string
	scenario string
	figure   figure
	// base is the other figure's peer and scenario; without a peer the figure stands for itself.
	basePeer, baseScenario string
	limit                  float64
	// atLeast: the limit is the lowest, and not the highest.
	atLeast bool
}

var targets = []target{
	{"10,000 idle connections: KiB per connection", scenario.IdleMany, memory, "", "", 10, false},
	{"flood: deliveries/s ÷ Centrifuge's", scenario.FloodSmall, rate, server.Centrifuge, scenario.FloodSmall, 2.5, true},
	{"flood: CPU per delivery ÷ Centrifuge's", scenario.FloodSmall, cpu, server.Centrifuge, scenario.FloodSmall, 0.4, false},
	{"many connections: CPU per delivery ÷ Centrifuge's", scenario.SteadyMany, cpu, server.Centrifuge, scenario.SteadyMany, 0.8, false},
	{"many connections: p99 ÷ Centrifuge's", scenario.SteadyMany, p99, server.Centrifuge, scenario.SteadyMany, 1, false},
	{"many connections: CPU per delivery ÷ write(2)'s", scenario.SteadyMany, cpu, server.Write2, scenario.SteadyMany, 1.1, false},
	{"few connections, 4 KiB: CPU deflated ÷ plain", scenario.SteadyFew4KDeflated, cpu, server.Zonecast, scenario.SteadyFew4K, 1.5, false},
	{"many connections, 4 KiB: CPU deflated ÷ plain", scenario.SteadyMany4KDeflated, cpu, server.Zonecast, scenario.SteadyMany4K, 1.5, false},
}

// figures returns the target's figure by round; asked is false without its scenarios or peers.
func (r *Result) figures(t target) (figures []float64, asked bool) {
	s, ok := r.scenario(t.scenario)
	if !ok || !r.has(server.Zonecast) {
		return nil, false
	}
	if t.basePeer == "" {
		for _, o := range r.outcomes(s, server.Zonecast) {
			if o.Good() {
				figures = append(figures, t.figure(s, o))
			}
		}
		return figures, true
	}
	base, ok := r.scenario(t.baseScenario)
	if !ok || !r.has(t.basePeer) {
		return nil, false
	}
	return r.ratios(t.figure, s, server.Zonecast, base, t.basePeer), true
}

// verdict judges a target by the median of all rounds; a round without a figure misses it.
func (r *Result) verdict(t target) (figures []float64, met, asked bool) {
	figures, asked = r.figures(t)
	s, _ := r.scenario(t.scenario)
	if !asked || len(figures) < max(s.Rounds, 1) {
		return figures, false, asked
	}
	m := median(figures)
	return figures, t.atLeast && m >= t.limit || !t.atLeast && m <= t.limit, true
}

// Met reports whether Zonecast met each target that the run asked for, and that there was one.
func (r *Result) Met() bool {
	some := false
	for _, t := range targets {
		if _, met, asked := r.verdict(t); asked {
			if !met {
				return false
			}
			some = true
		}
	}
	return some
}

func (r *Result) writeTargets(b *strings.Builder) {
	head := "\n| target | | reached | |\n|---|---|---|---|\n"
	for _, t := range targets {
		figures, met, asked := r.verdict(t)
		if !asked {
			continue
		}
		sign, text, word := "≤", "no good figure", "MISSED"
		if t.atLeast {
			sign = "≥"
		}
		if len(figures) > 0 {
			text = spread(figures, "%.2f")
		}
		if met {
			word = "met"
		}
		fmt.Fprintf(b, "%s| %s | %s %g | %s | %s |\n", head, t.title, sign, t.limit, text, word)
		head = ""
	}
}

func (r *Result) scenario(name string) (scenario.Scenario, bool) {
	i := slices.IndexFunc(r.Scenarios, func(s scenario.Scenario) bool { return s.Name == name })
	if i < 0 {
		return scenario.Scenario{}, false
	}
	return r.Scenarios[i], true
}

func (r *Result) has(peer string) bool {
	return slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Name == peer })
}
