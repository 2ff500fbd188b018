package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// remember adds figures at a moment.
func (p *past) remember(at time.Time, instances, connections int, l level) {
	f := &figures{taken: at}
	f.Instances, f.verdict.Level = make([]Instance, instances), l
	p.add(f, sample{at: at, connections: connections, rated: true, published: 2, delivered: float64(connections)})
}

// A day of figures takes no more than the points of each window, which are means of their steps.
func TestThePastIsBounded(t *testing.T) {
	var p past
	for i := range 24 * 3600 / 5 {
		p.remember(noon.Add(time.Duration(5*i)*time.Second), 3, i%2*10, levelOK)
	}
	total := 0
	for _, w := range Windows {
		points := p.points(w)
		total += len(points)
		if len(points) != w.points() || cap(p.each[w.Name]) > 2*w.points() {
			t.Errorf("%s: %d points in room for %d, want %d", w.Name, len(points), cap(p.each[w.Name]), w.points())
		}
		first, last := points[0], points[len(points)-1]
		if last.At-first.At != int64(w.points()-1) || first.Connections != 5 || first.Published != 2 || first.Samples != int(w.Step/(5*time.Second)) {
			t.Errorf("%s: from %+v to %+v", w.Name, first, last)
		}
	}
	if text, err := json.Marshal(p.points(Windows[1])); err != nil || len(text) > 32<<10 || total != 270 {
		t.Errorf("%d points; an answer has %d bytes (%v)", total, len(text), err)
	}
}

// Whoever asks gets the same past, whatever order the answers come in: of each step what the most
// instances were seen by, also where an instance was started a moment ago.
func TestAllInstancesTellTheSamePast(t *testing.T) {
	var long, young, alone past
	for i := range 12 {
		at := noon.Add(time.Duration(10*i) * time.Second)
		long.remember(at, 2, 100+i, levelOK)
		if i >= 6 {
			young.remember(at, 2, 100+i, levelOK)
			young.remember(at.Add(time.Second), 2, 200+i, levelOK) // it was looked at
			alone.remember(at, 1, 7, levelDown)
		}
	}
	w := Windows[0]
	a, b, c := long.points(w), young.points(w), alone.points(w)
	got := MergePasts([][]Point{a, b, c})
	for _, other := range [][][]Point{{c, b, a}, {b, a, c}} {
		if again := MergePasts(other); !reflect.DeepEqual(got, again) {
			t.Errorf("in another order it is %+v, want %+v", again, got)
		}
	}
	if len(got) != 12 || got[0].Connections != 100 || got[11].Connections != 161 || got[11].Level != levelOK {
		t.Errorf("merged: %+v", got)
	}
}

// getPast returns the page of the past with these points.
func getPast(t *testing.T, page PastPage, err error, path string) (*goquery.Document, int) {
	t.Helper()
	d := New(Options{Source: always(Snapshot{}), Grafana: "https://grafana.example/d/zonecast?var-x=1", Sources: Sources{
		Past: func(ctx context.Context, window string) (PastPage, error) {
			if _, bounded := ctx.Deadline(); !bounded || window != "1h" {
				return PastPage{}, fmt.Errorf("asked for %q, with a time limit: %t", window, bounded)
			}
			return page, err
		}}})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := doc.Find("script:not([src]), style, [style]").Length(); n != 0 {
		t.Errorf("%s: %d elements that a strict policy refuses", path, n)
	}
	return doc, w.Code
}

// The page draws what is remembered: holes are holes, outages are shaded, the cursor has each
// value, and a link leads to the same window in Grafana.
func TestThePastIsDrawnWithItsHolesAndOutages(t *testing.T) {
	step := Windows[1].Step.Milliseconds()
	newest := time.Now().UnixMilli()/step - 5 // the test may take a while
	page := PastPage{FanOut: FanOut{Asked: 2, Answered: 1, Missing: []string{hostile}}}
	for i, l := range []level{levelOK, levelOK, levelDown, levelDegraded, "", "unheard-of"} {
		if l == "" {
			continue // nobody was there
		}
		page.Points = append(page.Points, Point{At: newest - 5 + int64(i), Instances: 2, Samples: 6, Rated: 6, Connections: float64(1000 * i), Published: 0.5, Level: l})
	}
	doc, code := getPast(t, page, nil, PastPath+"?window=1h")
	if n := doc.Find(".chart").Length(); code != 200 || n != 4 {
		t.Fatalf("%d, %d charts", code, n)
	}
	first := doc.Find(".chart").First()
	if got := spaced(first.Find("figcaption")); got != "Connections 5,000 max 5,000" {
		t.Errorf("the figure is %q", got)
	}
	lines, _ := first.Find("path").First().Attr("d")
	dots, _ := first.Find("path").Last().Attr("d")
	if strings.Count(lines, "M") != 1 || strings.Count(lines, "L") != 3 || strings.Count(dots, "M") != 1 {
		t.Errorf("a line of four points and one alone are drawn as %q and %q", lines, dots)
	}
	if down, degraded := first.Find("rect.down").Length(), first.Find("rect.degraded").Length(); down != 1 || degraded != 1 || first.Find("rect").Length() != 2 {
		t.Errorf("%d outages are shaded as down, %d as degraded", down, degraded)
	}
	if got := spaced(doc.Find("#charts > p").First()); !strings.Contains(got, "Shaded: down for 30 s, degraded for 30 s.") {
		t.Errorf("it says %q", got)
	}
	if texts, _ := first.Attr("data-texts"); strings.Count(texts, "|") != 119 || strings.Count(texts, "–") != 115 {
		t.Errorf("the cursor says %s", texts)
	}
	if link, _ := doc.Find(`nav[aria-label=Window] a[href^="https://grafana.example"]`).Attr("href"); link != "https://grafana.example/d/zonecast?from=now-1h&to=now&var-x=1" {
		t.Errorf("the link to Grafana is %s", link)
	}
	if got := text(doc.Find(`[aria-current="true"]`)); got != "1 hour" {
		t.Errorf("the window is %q", got)
	}
	if got := doc.Find("#partial").Text(); !strings.Contains(got, hostile) {
		t.Errorf("the silent one is not named: %q", got)
	}
	for _, tt := range []struct {
		give error
		code int
		want string
	}{{nil, 200, "Nothing is remembered yet"}, {errors.New("Redis is away"), 503, "Redis is away"}} {
		doc, code := getPast(t, PastPage{FanOut: FanOut{Asked: 1, Answered: 1}}, tt.give, PastPath+"?window=1h")
		if code != tt.code || !strings.Contains(doc.Find("main").Text(), tt.want) || doc.Find(".chart").Length() != 0 {
			t.Errorf("with %v: %d %q", tt.give, code, spaced(doc.Find("main")))
		}
	}
}

// A stream of an hour stays small: what changes is sent once a step.
func TestChartsFitATick(t *testing.T) {
	v := pastView{window: Windows[1], now: noon}
	for i := range v.window.points() {
		v.Points = append(v.Points, Point{At: v.last() - int64(i), Samples: 6, Rated: 6, Connections: float64(100_000 + i*i), Published: float64(4000 + i*i),
			Delivered: float64(400_000 + i*i), P99: 0.0123, Level: levelOK})
	}
	all, err := render(t.Context(), []section{{"charts", charts(v)}})
	if err != nil || len(all[0].event) > 8<<10 {
		t.Errorf("%d bytes (%v) each 30 s", len(all[0].event), err)
	}
}
