package screen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/a-h/templ"

	"github.com/zonecast/zonecast/web/assets"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hashes differ with each change of a style sheet, which is no change of the page.
var hashes = regexp.MustCompile(`(/assets/[a-z-]+\.|data-build=")[0-9a-f]{10}`)

// inlined are the style sheet and the script of a screen.
var inlined = regexp.MustCompile(`(?s)<(style|script)>.*?</(?:style|script)>`)

func TestGolden(t *testing.T) {
	pages := map[string]templ.Component{
		"display": display(frame{Warehouse: "warehouse-1", Zone: "zone-a", StaleAfter: time.Minute,
			Address: "http://localhost:3001/screen/warehouse-1/zone-a", Example: "curl … 'data'"}),
		"wall": wall(frame{Warehouse: "warehouse-1", StaleAfter: time.Minute, Address: "http://localhost:3001/screen/warehouse-1"}),
		"pair": pair(frame{}),
		"index": index(listing{Unreadable: []Unreadable{{"warehouse-1", "zone-a", 3, "ZONE_UPDATE: <b> is not a number"}}, Incomplete: true, Hidden: 7, Total: 20, Query: `"a`,
			Zones: []Zone{{"warehouse-1", "zone-a", 12, true}, {"warehouse-1", "zone-b", 3, false}}}),
		"nobody":  index(listing{}),
		"problem": problemPage(problem{Title: "No zone can have this name", Text: "It does not fit:", Name: "<b>", Retry: 60}),
	}
	for name, c := range pages {
		t.Run(name, func(t *testing.T) {
			var html strings.Builder
			if err := c.Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
			got := hashes.ReplaceAllString(strings.ReplaceAll(inlined.ReplaceAllString(html.String(), "<$1></$1>"), "><", ">\n<"), "${1}HASH") + "\n"
			golden := filepath.Join("testdata", name+".golden.html")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the page differs from %s: look at the change, then run go test -update\ngot:\n%s", golden, got)
			}
		})
	}
}

func ask(t *testing.T, opts Options, method, path string) (*httptest.ResponseRecorder, *goquery.Document) {
	t.Helper()
	w := httptest.NewRecorder()
	New(opts).ServeHTTP(w, httptest.NewRequest(method, path, nil))
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return w, doc
}

func TestRoutes(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, tt := range []struct {
		method, path string
		wantCode     int
		wantTitle    string
	}{
		{"GET", "/screen/", 200, "Wall screens"},
		{"GET", "/screen/w1/zone-a", 200, "zone-a"},
		{"GET", "/screen/w1/zone-a?token=abc", 200, "zone-a"},
		{"GET", "/screen/W_1.x/Z-9", 200, "Z-9"},
		{"HEAD", "/screen/w1/zone-a", 200, ""},
		{"GET", "/screen/w1", 200, "w1"},
		{"GET", "/screen/pair", 200, "Pair this screen"},
		{"GET", "/screen/pair?wall=main", 200, "pair"}, // of the warehouse of this name
		{"GET", "/screen/pair/zone-a", 200, "zone-a"},
		{"GET", "/screen/w%201", 400, "No warehouse can have this name"},
		{"GET", "/screen/w1/", 404, "A screen shows a warehouse or one of its zones"},
		{"GET", "/screen/w1/a/b", 404, "A screen shows a warehouse or one of its zones"},
		{"GET", "/screen/w%201/a", 400, "No warehouse can have this name"},
		{"GET", "/screen/w1/a%2Fb", 400, "No zone can have this name"},
		{"GET", "/screen/w1/%3Cscript%3E", 400, "No zone can have this name"},
		{"GET", "/screen/w1/" + long, 400, "No zone can have this name"},
		{"POST", "/screen/w1/zone-a", 405, ""},
	} {
		w, doc := ask(t, Options{}, tt.method, tt.path)
		if w.Code != tt.wantCode || doc.Find("h1").Text() != tt.wantTitle {
			t.Errorf("%s %s: got %d %q, want %d %q", tt.method, tt.path, w.Code, doc.Find("h1").Text(), tt.wantCode, tt.wantTitle)
		}
	}
}

func TestABadNameIsShownAsText(t *testing.T) {
	_, doc := ask(t, Options{}, "GET", "/screen/w1/%3Cimg%20src=x%3E")
	if got := doc.Find("pre code").Text(); got != "<img src=x>" {
		t.Errorf("got %q", got)
	}
}

func TestFrame(t *testing.T) {
	w, doc := ask(t, Options{StaleAfter: 90 * time.Second}, "GET", "/screen/w1/zone-a")
	html := doc.Find("html")
	for name, want := range map[string]string{
		"data-state": "connecting", "data-warehouse": "w1", "data-zone": "zone-a", "data-stale-after": "90000", "data-build": assets.Build(),
	} {
		if got := html.AttrOr(name, ""); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if got := w.Header().Get(BuildHeader); got != assets.Build() {
		t.Errorf("%s: %q", BuildHeader, got)
	}
	script, style := doc.Find("script"), doc.Find("style")
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got,
		"frame-ancestors 'self'; worker-src 'self'; script-src "+hashOf(script)+"; style-src "+hashOf(style)) {
		t.Errorf("Content-Security-Policy: %q", got)
	}
	if script.Length() != 1 || style.Length() != 1 || doc.Find("[style], script[src], link[rel=stylesheet]").Length() != 0 {
		t.Error("the page loads what may be of another version, or has what a strict policy refuses")
	}
	if doc.Find("#board[hidden]").Length() != 1 || doc.Find("#waiting[hidden]").Length() != 0 {
		t.Error("a screen without data does not wait")
	}
}

func hashOf(element *goquery.Selection) string {
	sum := sha256.Sum256([]byte(element.Text()))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Where a screen without a token may get one its page says so.
func TestAScreenKnowsWhetherItMayBePaired(t *testing.T) {
	for _, path := range []string{"/screen/w1/zone-a", "/screen/w1"} {
		for _, want := range []bool{true, false} {
			_, doc := ask(t, Options{Pairing: want}, "GET", path)
			if _, got := doc.Find("html").Attr("data-pairing"); got != want {
				t.Errorf("%s where screens may be paired (%v): %v", path, want, got)
			}
		}
	}
}

// What a cold start loads is little: the page with all that it has, and the font.
func TestAScreenIsThereWithNinetyKiB(t *testing.T) {
	for _, path := range []string{"/screen/w1/zone-a", "/screen/w1", "/screen/pair"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		page, font := httptest.NewRecorder(), httptest.NewRecorder()
		New(Options{}).ServeHTTP(page, r)
		assets.Handler().ServeHTTP(font, httptest.NewRequest("GET", assets.Path("plex-latin.woff2"), nil))
		if n := page.Body.Len() + font.Body.Len(); page.Header().Get("Content-Encoding") != "gzip" || n > 90<<10 {
			t.Errorf("%s: %d bytes, of which the page has %d", path, n, page.Body.Len())
		}
	}
}

// The service worker is a script of its own, which browsers look at each time.
func TestTheServiceWorkerIsServed(t *testing.T) {
	w, _ := ask(t, Options{}, "GET", "/screen/worker.js")
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// What a server could not serve is a page that tries again: nobody stands there who could.
func TestAnErrorIsAPageThatTriesAgain(t *testing.T) {
	w := httptest.NewRecorder()
	New(Options{}).ServeError(w, httptest.NewRequest("GET", "/screen/w1/zone-a", nil), 503, "wait <a> moment")
	if w.Code != 503 || w.Header().Get("Refresh") != "10" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") ||
		!strings.Contains(w.Body.String(), "wait &lt;a&gt; moment") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// Every place that a program writes to has to be in its page: it looks them up by these names.
func TestFrameHasThePlacesOfTheProgram(t *testing.T) {
	for path, programs := range map[string][]string{
		"/screen/w1/zone-a": {"view.ts", "alerts-panel.ts", "page.ts", "nearest.ts"},
		"/screen/w1":        {"wall-view.ts", "alerts-panel.ts", "page.ts"},
		"/screen/pair":      {"pair.ts"},
	} {
		_, doc := ask(t, Options{}, "GET", path)
		found := 0
		for _, program := range programs {
			source, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?:place|write|set|#number)\('([a-z-]+)'`).FindAllStringSubmatch(string(source), -1) {
				found++
				if doc.Find("#"+m[1]).Length() != 1 {
					t.Errorf("%s writes to #%s, which %s lacks", program, m[1], path)
				}
			}
		}
		if found < 8 {
			t.Errorf("only %d places found in %v", found, programs)
		}
		if path == "/screen/pair" {
			continue // it shows no alerts
		}
		for _, severity := range []string{"critical", "warning", "info"} {
			if doc.Find("template#alert-"+severity).Length() != 1 {
				t.Errorf("%s: no template for %s alerts", path, severity)
			}
		}
	}
}

func TestExamplePublishesAShiftThatRuns(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 40, 0, 0, time.UTC)
	r := httptest.NewRequest("GET", "http://zonecast.example:8080/screen/w1/zone-a", nil)
	command := shiftExample(r, "w1", "zone-a", true, now)
	if !strings.HasPrefix(command, "curl http://zonecast.example:8080/api/v1/warehouses/w1/zones/zone-a/broadcast \\\n") ||
		!strings.Contains(command, `"Authorization: Bearer $PUBLISH_KEY"`) {
		t.Errorf("the command is %s", command)
	}
	_, body, _ := strings.Cut(command, "-d '")
	var message struct {
		Event  string
		Retain bool
		Data   struct{ StartsAt, EndsAt, Now int64 }
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(body, "'")), &message); err != nil {
		t.Fatal(err)
	}
	d := message.Data
	if message.Event != "SHIFT_SNAPSHOT" || !message.Retain || d.StartsAt >= d.Now || d.Now >= d.EndsAt || d.Now != now.UnixMilli() {
		t.Errorf("got %+v", message)
	}
}

func TestIndex(t *testing.T) {
	var many []Zone
	for i := range maxIndexRows + 7 {
		many = append(many, Zone{"w", fmt.Sprintf("zone-%04d", i), 1, true})
	}
	tests := []struct {
		name     string
		query    string
		give     []Zone
		complete bool
		wantRows int
		wantMore string
		wantNote bool
	}{
		{"nobody is connected", "", nil, true, 0, "", false},
		{"in order", "", []Zone{{"w2", "a", 1, true}, {"w1", "b", 2, true}, {"w1", "a", 3, false}}, true, 3, "", false},
		{"too many", "", many, true, maxIndexRows, "and 7 more: type a part of the name, and Enter", false},
		{"one of many", "W+2006", many, true, 1, "", false},
		{"none of many", "nothing", many, true, 0, "", false},
		{"not everyone answered", "", []Zone{{"w1", "a", 1, true}}, false, 1, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := func(*http.Request) ([]Zone, bool) { return tt.give, tt.complete }
			_, doc := ask(t, Options{Zones: list}, "GET", "/screen/?q="+tt.query)
			if n := doc.Find("tbody tr").Length(); n != tt.wantRows {
				t.Errorf("%d rows, want %d", n, tt.wantRows)
			}
			if got := doc.Find(".more").Text(); got != tt.wantMore {
				t.Errorf("got %q, want %q", got, tt.wantMore)
			}
			if got := doc.Find(".notice").Length() == 1; got != tt.wantNote {
				t.Errorf("a note: %v", got)
			}
			if tt.name == "in order" && doc.Find("tbody a").First().AttrOr("href", "") != "/screen/w1/a" {
				t.Error("the list is not in order")
			}
		})
	}
}
