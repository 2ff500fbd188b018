package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PastPath is the page of the figures of the last hours.
const PastPath = Prefix + "past"

// A PastPage is what all instances remember of a window.
type PastPage struct {
	FanOut
	Points []Point // the oldest first
}

// A pastView is the page of a window.
type pastView struct {
	PastPage
	window  Window
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
	grafana string // the address of the same window there; may be empty
}

func (d *Dashboard) addPast() {
	if d.opts.Past == nil {
		return
	}
	d.mux.HandleFunc("GET "+PastPath, func(w http.ResponseWriter, r *http.Request) {
		v := d.pastView(r.Context(), r)
		d.write(w, r, statusOf(v.problem), pastPage(v))
	})
	d.mux.HandleFunc("GET "+PastPath+"/events", func(w http.ResponseWriter, r *http.Request) {
		d.stream(w, r, d.feedKey(r), d.loadPast(r))
	})
}

// loadPast is the loader of a page of the past: the instances are asked once a step, and the time
// goes on meanwhile, so that the viewer hears something.
func (d *Dashboard) loadPast(r *http.Request) loader {
	var v pastView
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next, now := tick(), time.Now()
		if step := v.window.Step; step == 0 || now.Truncate(step) != v.now.Truncate(step) {
			v = d.pastView(ctx, r)
		}
		return []section{{"asof", asOf(now, uint64(now.UnixMilli()))}, {"verdict", verdictLine(d.latest.Load().verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"charts", charts(v)}}, next
	}
}

func (d *Dashboard) pastView(ctx context.Context, r *http.Request) pastView {
	v := pastView{window: windowOf(r.URL.Query().Get("window")), viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict,
		now: time.Now(), grafana: d.opts.Grafana}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.PastPage, err = d.opts.Past(ctx, v.window.Name); err != nil {
		v.problem = err.Error()
	}
	return v
}

func (v pastView) layout() layout {
	values := url.Values{"window": {v.window.Name}}
	return layout{Path: PastPath, Pages: v.pages, Skip: "charts", SkipText: "the charts", Stream: withQuery(PastPath+"/events", values),
		Self: withQuery(PastPath, values), Viewer: v.viewer, Script: "cursor.js"}
}

// address is the page of another window.
func (w Window) address() string { return withQuery(PastPath, url.Values{"window": {w.Name}}) }

// grafanaAddress is the dashboard in Grafana with the same window.
func (v pastView) grafanaAddress() string {
	at, err := url.Parse(v.grafana)
	if v.grafana == "" || err != nil {
		return ""
	}
	query := at.Query()
	query.Set("from", "now-"+v.window.Name)
	query.Set("to", "now")
	at.RawQuery = query.Encode()
	return at.String()
}

// last is the step that is under way.
func (v pastView) last() int64 { return v.now.UnixMilli() / v.window.Step.Milliseconds() }

// at returns the points of the window by their place in it, nil where there are none.
func (v pastView) at() []*Point {
	all := make([]*Point, v.window.points())
	first := v.last() - int64(len(all)) + 1
	for i := range v.Points {
		if place := v.Points[i].At - first; place >= 0 && place < int64(len(all)) {
			all[place] = &v.Points[i]
		}
	}
	return all
}

// isEmpty reports whether nothing is remembered.
func (v pastView) isEmpty() bool { return len(v.Points) == 0 }

// lastPlace is the place of the newest point.
func (v pastView) lastPlace() string { return strconv.Itoa(v.window.points() - 1) }

// began is when the window begins, in ms since 1970, and step the ms from point to point, for the
// cursor.
func (v pastView) began() string {
	return strconv.FormatInt((v.last()-int64(v.window.points())+1)*v.window.Step.Milliseconds(), 10)
}

func (v pastView) step() string { return strconv.FormatInt(v.window.Step.Milliseconds(), 10) }

// beginning and end are the window's, as the axis has them.
func (v pastView) beginning() time.Time {
	return time.UnixMilli((v.last() - int64(v.window.points()) + 1) * v.window.Step.Milliseconds()).UTC()
}

// A chart is the course of one figure, ready to be drawn.
type chart struct {
	Name   string
	Peak   string // Max, as the page writes it
	Latest string // the value of the newest point; a dash for none
	Texts  string // what the cursor says at each point, a dash where nothing is known, with | between
	Lines  []string
	Dots   []string // points alone between holes, which a line would not show
}

// The units of a chart are points across, and chartHeight down.
const chartHeight = 100

func (v pastView) viewBox() string { return fmt.Sprintf("0 0 %d %d", v.window.points()-1, chartHeight) }

// charts draws all figures.
func (v pastView) charts() []chart {
	milliseconds := func(s float64) string { return latencyText(percentile{Known: s > 0, Latency: seconds(s)}) }
	return []chart{
		v.chart("Connections", whole, func(p *Point) (float64, bool) { return p.Connections, true }),
		v.chart("Published per second", average, func(p *Point) (float64, bool) { return p.Published, p.Rated > 0 }),
		v.chart("Delivered per second", average, func(p *Point) (float64, bool) { return p.Delivered, p.Rated > 0 }),
		v.chart("p99 of the delivery latency", milliseconds, func(p *Point) (float64, bool) { return p.P99, p.P99 > 0 }),
	}
}

func (v pastView) chart(name string, text func(float64) string, value func(*Point) (float64, bool)) chart {
	c, points := chart{Name: name, Latest: "–"}, v.at()
	values, texts, most := make([]float64, len(points)), make([]string, len(points)), 0.0
	for i, p := range points {
		values[i], texts[i] = -1, "–"
		if p == nil {
			continue
		}
		if n, ok := value(p); ok {
			values[i], texts[i], most = n, text(n), max(most, n)
			c.Latest = texts[i]
		}
	}
	switch c.Peak = text(most); {
	case c.Latest == "–": // nothing is known
		c.Peak, most = "–", 1
	case most == 0:
		most = 1
	}
	var line strings.Builder
	for i, n := range values {
		if n < 0 {
			continue
		}
		y := chartHeight - 1 - n/most*(chartHeight-4)
		before, after := i > 0 && values[i-1] >= 0, i+1 < len(values) && values[i+1] >= 0
		switch {
		case before:
			fmt.Fprintf(&line, "L%d %.0f", i, y)
		case after:
			fmt.Fprintf(&line, "M%d %.0f", i, y)
		default:
			c.Dots = append(c.Dots, fmt.Sprintf("M%d %.0fh0.01", i, y))
		}
		if before && !after {
			c.Lines = append(c.Lines, line.String())
			line.Reset()
		}
	}
	c.Texts = strings.Join(texts, "|")
	return c
}

// An outage is a part of the window in which something was wrong.
type outage struct{ Class, X, Width string }

// outages are those that the points tell of.
func (v pastView) outages() (all []outage) {
	began, was := 0, level("")
	flush := func(end int) {
		if rankOf(was) > rankOf(levelOK) {
			all = append(all, outage{string(was), strconv.Itoa(max(0, began-1)), strconv.Itoa(end - max(0, began-1))})
		}
	}
	points := v.at()
	for i, p := range points {
		now := level("")
		if p != nil {
			now = p.Level
		}
		if now != was {
			flush(i - 1)
			began, was = i, now
		}
	}
	flush(len(points) - 1)
	return all
}

// outageText says how long something was wrong.
func (v pastView) outageText() string {
	var down, degraded time.Duration
	for _, p := range v.at() {
		if p != nil && p.Level == levelDown {
			down += v.window.Step
		}
		if p != nil && p.Level == levelDegraded {
			degraded += v.window.Step
		}
	}
	var parts []string
	if down > 0 {
		parts = append(parts, "down for "+span(down))
	}
	if degraded > 0 {
		parts = append(parts, "degraded for "+span(degraded))
	}
	if len(parts) == 0 {
		return "Nothing was wrong."
	}
	return "Shaded: " + strings.Join(parts, ", ") + "."
}
