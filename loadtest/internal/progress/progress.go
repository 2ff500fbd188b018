// Package progress shows a run: one line redrawn on a terminal, a line per ten seconds elsewhere.
//
//	main ──▶ Printer.Watch ──▶ source()   asked for the state as often as it is shown
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zonecast/zonecast/loadtest/internal/report"
)

// A Snapshot is the state of a run at one moment.
type Snapshot struct {
	Phase       string        // what is being done
	Elapsed     time.Duration // in this phase
	Of          time.Duration // how long the phase is to take; 0 when that is not known
	Connected   int           // members that are connected
	Connections int           // members that there should be
	Sent        uint64
	Received    uint64
	Errors      uint64
	P99         time.Duration // of the last second's latencies; 0 when there were none
}

const (
	liveEvery  = 200 * time.Millisecond
	plainEvery = 10 * time.Second
)

// A Printer writes progress.
type Printer struct {
	W io.Writer
	// Live is for a terminal, which is Width columns wide: the line is drawn over.
	Live  bool
	Width int
}

// Watch shows what source returns until ctx ends, and leaves a terminal's line empty.
func (p Printer) Watch(ctx context.Context, source func() Snapshot) {
	every := plainEvery
	if p.Live {
		every = liveEvery
		defer fmt.Fprint(p.W, "\r\x1b[K")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.show(source())
		}
	}
}

func (p Printer) show(s Snapshot) {
	if p.Live {
		fmt.Fprint(p.W, "\r\x1b[K"+cut(line(s, true), p.Width-1))
		return
	}
	fmt.Fprintln(p.W, line(s, false))
}

func line(s Snapshot, withBar bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s", s.Phase)
	if withBar {
		b.WriteString(bar(s, 20) + " ")
	}
	fmt.Fprintf(&b, "%v", s.Elapsed.Truncate(time.Second))
	if s.Of >= time.Second {
		fmt.Fprintf(&b, "/%v", s.Of.Round(time.Second))
	}
	fmt.Fprintf(&b, "  connected %s/%s", report.Thousands(uint64(s.Connected)), report.Thousands(uint64(s.Connections)))
	fmt.Fprintf(&b, "  sent %s  received %s", report.Thousands(s.Sent), report.Thousands(s.Received))
	if s.P99 > 0 {
		fmt.Fprintf(&b, "  p99 %s", report.Ms(report.Millis(s.P99)))
	}
	if s.Errors > 0 {
		fmt.Fprintf(&b, "  errors %s", report.Thousands(s.Errors))
	}
	return b.String()
}

func bar(s Snapshot, width int) string {
	done := 0
	if s.Of > 0 {
		done = int(min(float64(s.Elapsed)/float64(s.Of), 1) * float64(width))
	}
	return "[" + strings.Repeat("█", done) + strings.Repeat("░", width-done) + "]"
}

// cut shortens a line to so many columns, for one that wraps can't be drawn over.
func cut(s string, columns int) string {
	if columns < 1 || utf8.RuneCountInString(s) <= columns {
		return s
	}
	return string([]rune(s)[:columns])
}
