package dashboard

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// A Window is how far back a page of the past looks, in points of Step each.
type Window struct {
	Name string // in addresses
	Text string
	Span time.Duration
	Step time.Duration
}

// Windows are those that are remembered, the shortest first: together 270 points of about 100
// bytes.
var Windows = []Window{{"5m", "5 minutes", 5 * time.Minute, 10 * time.Second}, {"1h", "1 hour", time.Hour, 30 * time.Second},
	{"8h", "8 hours", 8 * time.Hour, 4 * time.Minute}}

func (w Window) points() int { return int(w.Span / w.Step) }

// windowOf returns the window of a name, or the first.
func windowOf(name string) Window {
	for _, w := range Windows {
		if w.Name == name {
			return w
		}
	}
	return Windows[0]
}

// A Point is the figures of the cluster during one step, as one instance saw them. Its JSON goes to
// instances of neighbouring versions: fields may be added, never changed.
type Point struct {
	At        int64 `json:"at"`        // when the step began, in steps since 1970
	Instances int   `json:"instances"` // that it is of
	// Samples is how many it is of, Rated how many of those have rates.
	Samples int `json:"samples"`
	Rated   int `json:"rated"`
	// Connections, Published and Delivered, a second, are means.
	Connections float64 `json:"connections"`
	Published   float64 `json:"published"`
	Delivered   float64 `json:"delivered"`
	// P99 is the largest of the last minutes' 99th percentiles in seconds; 0 when nothing was
	// delivered.
	P99 float64 `json:"p99"`
	// Level is the worst verdict.
	Level level `json:"level"`
}

// A past remembers points of all windows. It is safe for concurrent use.
type past struct {
	mu   sync.Mutex
	each map[string][]Point // by window, the oldest first, at most as many as the window has
}

// add takes figures in.
func (p *past) add(f *figures, s sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.each == nil {
		p.each = map[string][]Point{}
	}
	for _, w := range Windows {
		points, at := p.each[w.Name], f.taken.UnixMilli()/w.Step.Milliseconds()
		if n := len(points); n == 0 || points[n-1].At < at {
			if n == w.points() {
				points = append(points[:0], points[1:]...)
			}
			points = append(points, Point{At: at})
		}
		points[len(points)-1].take(f, s)
		p.each[w.Name] = points
	}
}

// take adds a sample to a point.
func (p *Point) take(f *figures, s sample) {
	mean := func(before float64, n int, value float64) float64 { return before + (value-before)/float64(n) }
	p.Samples++
	p.Instances = max(p.Instances, len(f.Instances))
	p.Connections = mean(p.Connections, p.Samples, float64(s.connections))
	if s.rated {
		p.Rated++
		p.Published, p.Delivered = mean(p.Published, p.Rated, s.published), mean(p.Delivered, p.Rated, s.delivered)
	}
	p.P99 = max(p.P99, s.p99.Latency.Seconds())
	if rankOf(f.verdict.Level) > rankOf(p.Level) {
		p.Level = f.verdict.Level
	}
}

// rankOf orders the levels by how bad they are; what another instance says may be none.
func rankOf(l level) int { return slices.Index([]level{"", levelOK, levelDegraded, levelDown}, l) }

// points returns what is remembered of a window.
func (p *past) points(w Window) []Point {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.each[w.Name])
}

// Past returns what this instance remembers of a window, the oldest first.
func (d *Dashboard) Past(window string) []Point { return d.past.points(windowOf(window)) }

// MergePasts makes one past of what several instances remember: of each step the point of the most
// instances, and of those that of the most samples, so that whoever asks them gets the same.
func MergePasts(all [][]Point) []Point {
	best := map[int64]Point{}
	for _, points := range all {
		for _, p := range points {
			if was, known := best[p.At]; !known || p.compare(was) > 0 {
				best[p.At] = p
			}
		}
	}
	merged := make([]Point, 0, len(best))
	for _, p := range best {
		merged = append(merged, p)
	}
	slices.SortFunc(merged, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
	return merged
}

func (p Point) compare(other Point) int {
	return cmp.Or(cmp.Compare(p.Instances, other.Instances), cmp.Compare(p.Samples, other.Samples), cmp.Compare(p.Rated, other.Rated),
		cmp.Compare(p.Connections, other.Connections), cmp.Compare(p.Delivered, other.Delivered), cmp.Compare(p.Published, other.Published),
		cmp.Compare(p.P99, other.P99))
}
