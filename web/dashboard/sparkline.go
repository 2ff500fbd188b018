package dashboard

import (
	"fmt"
	"strings"
	"time"
)

// The sparkline's own units: one across is one second of trendWindow; the picture is stretched to
// its place by the page.
const (
	sparkWidth  = int(trendWindow / time.Second)
	sparkHeight = 40
)

func sparkViewBox() string { return fmt.Sprintf("0 0 %d %d", sparkWidth, sparkHeight) }

// A sparkline is the course of one figure over trendWindow, ready to be drawn.
type sparkline struct {
	Label string   // for those who can't see it
	Peak  string   // Max, as the page writes it; empty when there was never anything but 0
	Lines []string // SVG paths; several when there were holes
	Areas []string // the same, closed down to the ground
	Max   float64
}

// draw makes the sparkline of what value says of each sample; ok is false where it says nothing.
// The ground is 0.
func draw(trend []sample, now time.Time, value func(sample) (v float64, ok bool)) sparkline {
	var s sparkline
	for _, p := range trend {
		if v, ok := value(p); ok {
			s.Max = max(s.Max, v)
		}
	}
	scale := s.Max
	if scale == 0 {
		scale = 1
	}
	var line strings.Builder
	var first, last int
	flush := func() {
		if line.Len() > 0 {
			s.Lines = append(s.Lines, line.String())
			s.Areas = append(s.Areas, fmt.Sprintf("%sL%d %dL%d %dZ", line.String(), last, sparkHeight, first, sparkHeight))
			line.Reset()
		}
	}
	for _, p := range trend {
		v, ok := value(p)
		if !ok {
			flush()
			continue
		}
		last = max(0, sparkWidth-int(now.Sub(p.at)/time.Second))
		y := float64(sparkHeight) - 1 - v/scale*float64(sparkHeight-3)
		if line.Len() == 0 {
			first = last
			fmt.Fprintf(&line, "M%d %.1f", last, y)
		} else {
			fmt.Fprintf(&line, "L%d %.1f", last, y)
		}
	}
	flush()
	return s
}

// trendOf draws one figure of the trend; text writes its largest value.
func (v view) trendOf(what string, text func(float64) string, value func(sample) (float64, bool)) sparkline {
	s := draw(v.trend, v.taken, value)
	s.Label = what + ", last 5 minutes: nothing yet"
	if s.Max > 0 {
		s.Peak = text(s.Max)
		s.Label = what + ", last 5 minutes: at most " + s.Peak
	}
	return s
}

func (v view) latencyTrend() sparkline {
	return v.trendOf("99th percentile of the delivery latency", latencyOf, p99Of)
}

func whole(n float64) string   { return grouped(int64(n)) }
func average(n float64) string { return perSecond(rate{PerSecond: n, Known: true}) }
func latencyOf(s float64) string {
	return latencyText(percentile{Known: true, Latency: seconds(s)})
}

func connectionsOf(s sample) (float64, bool) { return float64(s.connections), true }
func publishedOf(s sample) (float64, bool)   { return s.meanPublished, s.rated }
func deliveredOf(s sample) (float64, bool)   { return s.meanDelivered, s.rated }
func p99Of(s sample) (float64, bool)         { return s.p99.Latency.Seconds(), s.p99.Known }
