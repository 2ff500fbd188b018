package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The size of a chart in the units of its view box, and where its area begins.
const (
	chartWidth  = 640
	chartHeight = 200
	chartLeft   = 52
	chartRight  = 8
	chartTop    = 10
	chartBottom = 24
)

// mostPoints is a line's most points; of more seconds, each point is the highest of several.
const mostPoints = 600

// A chart is drawn over the seconds of the run.
type chart struct {
	Title, Unit string
	Lines       []line
	Ticks       []mark // on the left
	Times       []mark // below
	Phases      []band
	Data        string // for the pointer: seconds, then each line's values
}

type line struct {
	Name, Class string
	Path        string // of a path
	Area        string // of a polygon, or empty
}

type mark struct {
	At   float64
	Text string
}

type band struct {
	X, Width float64
	Name     string
}

type series struct {
	name, class string
	area        bool
	value       func(Second) float64
}

func (r *Result) charts() []chart {
	if len(r.Seconds) < 2 {
		return nil
	}
	return []chart{
		r.chart("Latency", "ms, logarithmic", true, []series{
			{"max", "faint", false, func(s Second) float64 { return s.Max }},
			{"P99", "one", false, func(s Second) float64 { return s.P99 }},
			{"P50", "two", false, func(s Second) float64 { return s.P50 }},
		}),
		r.chart("Deliveries", "per second", false, []series{{"received", "one", true, func(s Second) float64 { return float64(s.Received) }}}),
		r.chart("Connections", "", false, []series{{"connected", "two", true, func(s Second) float64 { return float64(s.Connected) }}}),
		r.chart("Load tester", "% of a core, ms", false, []series{
			{"CPU", "three", true, func(s Second) float64 { return s.CPU }},
			{"lag P99", "one", false, func(s Second) float64 { return s.LagP99 }},
		}),
	}
}

func (r *Result) chart(title, unit string, logarithmic bool, all []series) chart {
	c := chart{Title: title, Unit: unit}
	points := condense(r.Seconds, all)
	most := 0.0
	for _, values := range points.values {
		for _, v := range values {
			most = max(most, v)
		}
	}
	scale := linearScale(most)
	if logarithmic {
		scale = logScale(most)
	}
	last := points.at[len(points.at)-1]
	x := func(at float64) float64 {
		return chartLeft + (chartWidth-chartLeft-chartRight)*at/max(last, 1)
	}
	y := func(v float64) float64 {
		return chartHeight - chartBottom - (chartHeight-chartBottom-chartTop)*max(0, min(scale.part(v), 1))
	}
	for k, s := range all {
		var path, outline strings.Builder
		drawing := false
		for i, v := range points.values[k] {
			at := fmt.Sprintf("%.1f,%.1f ", x(points.at[i]), y(v))
			outline.WriteString(at)
			switch {
			case logarithmic && v == 0: // nothing was measured, which is no 0
				drawing = false
				continue
			case drawing:
				path.WriteString("L" + at)
			default:
				path.WriteString("M" + at + "h0 ") // a dot, should it be alone
			}
			drawing = true
		}
		l := line{Name: s.name, Class: s.class, Path: strings.TrimSpace(path.String())}
		if s.area {
			l.Area = fmt.Sprintf("%.1f,%.1f %s%.1f,%.1f", x(points.at[0]), y(0), outline.String(), x(last), y(0))
		}
		c.Lines = append(c.Lines, l)
	}
	for _, v := range scale.ticks {
		c.Ticks = append(c.Ticks, mark{At: y(v), Text: axisNumber(v)})
	}
	for part := range 5 {
		at := last * float64(part) / 4
		text := math.Round(at)
		if last < 20 { // where it would be somewhere else
			text = math.Round(10*at) / 10
		}
		c.Times = append(c.Times, mark{At: x(at), Text: axisNumber(text) + " s"})
	}
	c.Phases = bands(r.Seconds, x)
	c.Data = points.data(all)
	return c
}

// bands are the phases in which messages were sent.
func bands(seconds []Second, x func(float64) float64) (all []band) {
	from := 0.0
	for i, s := range seconds {
		if i > 0 {
			from = seconds[i-1].At
		}
		if s.Phase != "run" {
			continue
		}
		if n := len(all) - 1; n >= 0 && math.Abs(all[n].X+all[n].Width-x(from)) < 0.5 {
			all[n].Width = x(s.At) - all[n].X
			continue
		}
		all = append(all, band{X: x(from), Width: x(s.At) - x(from), Name: "run"})
	}
	return all
}

// condensed is the seconds with as many points as can be seen.
type condensed struct {
	at     []float64
	values [][]float64 // by series
}

func condense(seconds []Second, all []series) condensed {
	step := (len(seconds) + mostPoints - 1) / mostPoints
	c := condensed{values: make([][]float64, len(all))}
	for i := 0; i < len(seconds); i += step {
		group := seconds[i:min(i+step, len(seconds))]
		c.at = append(c.at, group[len(group)-1].At)
		for k, s := range all {
			highest := 0.0
			for _, second := range group {
				highest = max(highest, s.value(second))
			}
			c.values[k] = append(c.values[k], highest)
		}
	}
	return c
}

// data writes the values for the page's script: a line each, numbers with blanks between them.
func (c condensed) data(all []series) string {
	row := func(values []float64) string {
		parts := make([]string, len(values))
		for i, v := range values {
			parts[i] = strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
		}
		return strings.Join(parts, " ")
	}
	rows := []string{row(c.at)}
	for k := range all {
		rows = append(rows, row(c.values[k]))
	}
	return strings.Join(rows, "\n")
}

// A scale puts values between 0 and 1.
type scale struct {
	ticks []float64
	part  func(v float64) float64
}

func linearScale(most float64) scale {
	top := roundUp(most)
	return scale{
		ticks: []float64{0, top / 4, top / 2, 3 * top / 4, top},
		part:  func(v float64) float64 { return v / top },
	}
}

// logScale is a scale of powers of ten, from a tenth on.
func logScale(most float64) scale {
	const least = 0.1
	top := math.Max(1, math.Ceil(math.Log10(max(most, 2*least)/least)))
	s := scale{part: func(v float64) float64 { return math.Log10(max(v, least)/least) / top }}
	for k := range int(top) + 1 {
		s.ticks = append(s.ticks, least*math.Pow(10, float64(k)))
	}
	return s
}

// roundUp returns a round number at or above v for the top of an axis.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10} {
		if v <= f*unit {
			return f * unit
		}
	}
	return 10 * unit
}

func axisNumber(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', -1, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', -1, 64) + "k"
	}
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}
