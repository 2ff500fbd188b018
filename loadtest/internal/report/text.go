package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// WriteText writes the result for a person.
func (r *Result) WriteText(w io.Writer) error {
	var b bytes.Buffer
	p := printer{&b}
	s := r.Settings
	p.linef("Zonecast load test: %s, %s connections, %sfor %v", s.Scenario, Thousands(uint64(s.Connections)), s.rate(), millis(s.DurationMs))
	p.linef("")
	if s.Name != "" {
		p.row("name", "%s", s.Name)
	}
	if s.Rooms > 1 {
		p.row("rooms", "%s, from %s on%s", whole(s.Rooms), s.Room, zipf(s.Zipf))
	} else {
		p.row("room", "%s", s.Room)
	}
	p.row("members on", "%s", strings.Join(s.WSURLs, ", "))
	if s.Workers > 1 {
		p.row("", "from %d processes", s.Workers)
	}
	if len(s.PublishURLs) > 0 {
		p.row("published to", "%s", strings.Join(s.PublishURLs, ", "))
	}
	p.linef("")
	r.counts(p)
	p.linef("")
	for _, d := range r.durations() {
		repeats := d.Name == "live" && d.Count == r.Latency.Count
		if d.always || d.Count > 0 && !repeats {
			p.times(d.Name, d.Times)
		}
	}
	if g := r.Generator; g.CPUSeconds > 0 {
		p.row("load tester", "%.1f s of CPU (%.0f %% of one core), at most %.0f MiB of memory",
			g.CPUSeconds, g.CPUPercent, float64(g.PeakMemoryBytes)/(1<<20))
	}
	r.servers(p)
	r.byRoom(p)
	r.ramp(p)
	p.linef("")
	r.errors(p)
	r.thresholds(p)
	r.summary(p)
	r.verdict(p)
	_, err := w.Write(b.Bytes())
	return err
}

// rate is how fast messages are due, where any are.
func (s Settings) rate() string {
	if s.Scenario == "idle" || s.Scenario == "flood" {
		return ""
	}
	return decimal(s.MsgPerSec) + " messages/s "
}

func zipf(exponent float64) string {
	if exponent == 0 {
		return ""
	}
	return fmt.Sprintf(", by Zipf's law with exponent %v", exponent)
}

func (r *Result) servers(p printer) {
	for i, s := range r.Servers {
		p.row([]string{"servers", ""}[min(i, 1)], "%s: %.0f MiB before, %.0f with all connected, at most %.0f; %.1f s of CPU during the run", s.Name,
			float64(s.MemoryBefore)/(1<<20), float64(s.MemoryIdle)/(1<<20), float64(s.MemoryPeak)/(1<<20), s.CPUSeconds)
	}
	if line := r.costText(", "); line != "" {
		p.row("", "%s", line)
	}
}

// shownRooms is how many rooms, and how many warehouses, the text names.
const shownRooms = 10

func (r *Result) byRoom(p printer) {
	if r.Messages.Expected == 0 {
		return
	}
	placeTable(p, "warehouse", r.Warehouses)
	placeTable(p, "room", r.Rooms)
}

// placeTable is a table of warehouses or rooms, if there are several.
func placeTable(p printer, kind string, all []Room) {
	if len(all) < 2 {
		return
	}
	p.linef("")
	p.linef("  %-34s %9s %12s %10s %10s %10s", kind, "members", "received", "delivered", "P95", "P99")
	for i, one := range all {
		if i == shownRooms {
			p.linef("  … and %s more, in the JSON and HTML files", whole(len(all)-shownRooms))
			break
		}
		p.linef("  %-34s %9s %12s %10s %10s %10s", one.Name, whole(one.Members), Thousands(one.Received), Share(one.Received, one.Expected),
			Ms(one.Latency.P95), Ms(one.Latency.P99))
	}
}

func (r *Result) ramp(p printer) {
	if len(r.Ramp) == 0 {
		return
	}
	p.linef("")
	p.linef("  %12s %14s %10s %10s %10s", "messages/s", "deliveries/s", "delivered", "P95", "P99")
	best := 0.0
	for _, s := range r.Ramp {
		held := "held"
		if !s.Held {
			held = "missed"
		} else {
			best = max(best, s.MsgPerSec)
		}
		p.linef("  %12s %14s %9.3f%% %10s %10s  %s", decimal(s.MsgPerSec), decimal(s.Deliveries), s.Delivered, Ms(s.Latency.P95), Ms(s.Latency.P99), held)
	}
	p.row("highest", "%s messages/s held every threshold", decimal(best))
}

func (r *Result) counts(p printer) {
	m, c, v := r.Messages, r.Connections, r.Violations
	stopped := ""
	if r.Stopped != "" {
		stopped = " (ended early: " + r.Stopped + ")"
	}
	p.row("duration", "%v%s", millis(r.DurationMs).Round(10*time.Millisecond), stopped)
	p.row("connections", "%s of %s (%s)", whole(c.Joined), whole(c.Asked), Share(uint64(c.Joined), uint64(c.Asked)))
	if c.Broken > 0 {
		p.row("", "%s broke during the run, %s replaced, %s missing at the end",
			whole(c.Broken), whole(c.Resumed), whole(c.Lost))
	}
	if c.Dropped > 0 {
		p.row("", "%s ended on purpose, %s replaced", whole(c.Dropped), whole(c.Resumed+r.Churn))
	}
	p.row("sent", "%s of %s due (%s failed, %s not sent in time, %s late)",
		Thousands(m.Sent), Thousands(m.Scheduled), Thousands(m.Failed), Thousands(m.NotSent), Thousands(m.Late))
	p.row("expected", "%s", Thousands(m.Expected))
	p.row("received", "%s", Thousands(m.Received))
	p.row("lost", "%s", Thousands(m.Lost))
	p.row("duplicated", "%s", Thousands(m.Duplicated))
	p.row("reordered", "%s", Thousands(m.Reordered))
	if m.Unconfirmed > 0 {
		p.row("unconfirmed", "%s arrived although publishing them failed", Thousands(m.Unconfirmed))
	}
	if m.Foreign > 0 {
		p.row("foreign", "%s messages of others in the room", Thousands(m.Foreign))
	}
	if s := r.Slow; s != nil {
		p.row("slow", "%s members read slowly and received %s of %s; the server closed %s of their connections", whole(s.Members), Thousands(s.Received),
			Thousands(s.Expected), whole(s.Closed))
	}
	if v != (Violations{}) {
		p.row("violations", "%s", v)
	}
	p.row("throughput", "%s sent/s, %s received/s", decimal(r.Throughput.Sent), decimal(r.Throughput.Received))
	p.row("success rate", "%s", Share(m.Received, m.Expected))
}

// summary says the totals under the names that parsers of such reports look for.
func (r *Result) summary(p printer) {
	p.linef("")
	p.linef("Messages Sent: %d", r.Messages.Sent)
	p.linef("Messages Received: %d", r.Messages.Received)
	p.linef("Concurrent Connections: %d", r.Connections.Joined-r.Connections.Lost)
}

func (r *Result) errors(p printer) {
	if len(r.ErrorsBy) == 0 {
		p.row("errors", "none")
		return
	}
	p.row("errors", "%s", Thousands(r.Errors))
	for _, e := range r.ErrorsBy {
		p.linef("    %9s  %s", Thousands(e.Count), e.Kind)
		p.linef("    %9s  first: %s", "", e.First)
	}
}

func (r *Result) thresholds(p printer) {
	if len(r.Thresholds) == 0 {
		return
	}
	p.linef("")
	p.linef("  thresholds")
	for _, t := range r.Thresholds {
		mark := "met   "
		if !t.Met {
			mark = "MISSED"
		}
		p.linef("    %s  %-24s %s", mark, t.Threshold, t.Measured)
	}
}

func (r *Result) verdict(p printer) {
	p.linef("")
	missed := r.Missed()
	if r.Invalid != "" {
		p.linef("INVALID: %s", r.Invalid)
	}
	for _, f := range r.Failures {
		p.linef("FAILED: %s", f)
	}
	switch {
	case missed > 0:
		p.linef("FAILED: %d of %d thresholds missed", missed, len(r.Thresholds))
	case len(r.Failures) == 0 && r.Invalid == "":
		p.linef("PASSED")
	}
}

// String lists the violations that there were.
func (v Violations) String() string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{v.Holes, "holes in the offsets"}, {v.Reused, "offsets given twice"}, {v.Restarted, "changes of epoch"},
		{v.Damaged, "damaged"}, {v.Misrouted, "in the wrong room"}, {v.Unreadable, "unreadable"}, {v.Gaps, "gaps reported by the server"},
	} {
		if c.n > 0 {
			parts = append(parts, Thousands(c.n)+" "+c.what)
		}
	}
	return strings.Join(parts, ", ")
}

// A printer writes the lines of a report.
type printer struct{ *bytes.Buffer }

func (p printer) linef(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p printer) row(name, format string, args ...any) {
	fmt.Fprintf(p, "  %-14s"+format+"\n", append([]any{name}, args...)...)
}

func (p printer) times(name string, t Times) {
	if t.Count == 0 {
		p.row(name, "nothing measured")
		return
	}
	p.row(name, "min %s  avg %s  max %s", Ms(t.Min), Ms(t.Avg), Ms(t.Max))
	p.row("", "P50 %s  P95 %s  P99 %s  P99.9 %s", Ms(t.P50), Ms(t.P95), Ms(t.P99), Ms(t.P99_9))
}

// Ms writes milliseconds with as many digits as tell something.
func Ms(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}

// Share writes a part of a whole in percent, rounded down: 100 % means all of it.
func Share(part, whole uint64) string {
	if whole == 0 {
		return "nothing to measure"
	}
	if part == whole {
		return "100 %"
	}
	return fmt.Sprintf("%.3f %%", math.Floor(100_000*float64(part)/float64(whole))/1000)
}

// Thousands writes a number with a comma after each third digit.
func Thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func whole(n int) string { return Thousands(uint64(n)) }

// decimal writes a rate: whole when it is large or a whole number, else with one decimal.
func decimal(f float64) string {
	if f >= 1000 || f == math.Trunc(f) {
		return Thousands(uint64(math.Round(f)))
	}
	return strconv.FormatFloat(f, 'f', 1, 64)
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
