package dashboard

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

var update = flag.Bool("update", false, "write the golden files anew")

// states are those that every page is tested in.
func states() map[string]*figures {
	up := BrokerLink{Up: true}
	alone := Instance{Name: "node-1", Version: "1.2.0", UpSince: started, Broker: up}
	empty := &figures{taken: noon, Snapshot: Snapshot{Broker: "memory", Instances: []Instance{alone}}}

	busy := Snapshot{Broker: "redis", Connections: 12470}
	for i := range 3 {
		inst := alone
		inst.Name, inst.Connections, inst.QueueBytes = fmt.Sprintf("node-%d", i+1), 4000+78*i, int64(i)*20_000
		busy.Instances = append(busy.Instances, inst)
	}
	for w := range 34 {
		busy.Warehouses = append(busy.Warehouses, Warehouse{fmt.Sprintf("warehouse-%d", w), 1000 - 10*w})
		for z := range 10 {
			busy.Zones = append(busy.Zones, Zone{fmt.Sprintf("warehouse-%d", w), fmt.Sprintf("zone-%d", z), 100 - w - z})
		}
	}
	known := func(us int) percentile { return percentile{Known: true, Latency: time.Duration(us) * time.Microsecond} }
	var m meter
	for i := range 4 {
		m.observe(noon.Add(time.Duration(i-3)*time.Second), Snapshot{Connections: 12000 + i, Instances: []Instance{counters("node-1", started, uint64(100*i))}})
	}
	running := &figures{
		taken: noon, Snapshot: sorted(busy), published: rate{412, true}, delivered: rate{48120, true},
		p50: known(860), p95: known(3400), p99: known(6100), trend: m.samples,
	}

	withoutSubscribers := *empty
	withoutSubscribers.published = rate{8, true}
	withoutSubscribers.Recent = []Zone{{Warehouse: "warehouse-1", Name: "zone-a"}, {Warehouse: "warehouse-2", Name: "zone-b"}}

	partial := *running
	partial.Instances = append([]Instance(nil), running.Instances[:2]...)
	partial.Instances[1].State = Draining
	partial.Instances[1].Broker = BrokerLink{DownSince: noon.Add(-47 * time.Second), Detail: "i/o timeout"}
	partial.Missing = []string{"node-3"}

	starting := *empty
	starting.Incomplete = "other instances have not been asked yet"

	all := map[string]*figures{
		"waiting": {}, "empty": empty, "starting": &starting, "without-subscribers": &withoutSubscribers, "busy": running, "partial": &partial,
	}
	for name, f := range all {
		if name != "waiting" {
			f.verdict.Level, f.verdict.Why = judge(f.Snapshot, f.busy)
			f.verdict.Since = noon
		}
	}
	return all
}

func viewOf(f *figures) view { return view{figures: f, origin: "http://localhost:3001"} }

// assetHash differs with each change of a style sheet, which is no change of the page.
var assetHash = regexp.MustCompile(`(/assets/[a-z-]+\.|data-build=")[0-9a-f]{10}`)

func TestPageGolden(t *testing.T) {
	for name, p := range states() {
		t.Run(name, func(t *testing.T) {
			var html strings.Builder
			if err := page(viewOf(p)).Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
			got := assetHash.ReplaceAllString(strings.ReplaceAll(html.String(), "><", ">\n<"), "${1}HASH") + "\n"
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
				t.Errorf("the page differs from %s: look at the change, then run go test -update\n%s", golden, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// structure renders a page and reads it as a browser would.
func structure(t *testing.T, v view) *goquery.Document {
	t.Helper()
	var html strings.Builder
	if err := page(v).Render(t.Context(), &html); err != nil {
		t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html.String()))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

func TestEveryPageIsSound(t *testing.T) {
	for name, p := range states() {
		doc := structure(t, viewOf(p))
		for _, s := range viewOf(p).sections() {
			if n := doc.Find("#" + s.id).Length(); n != 1 {
				t.Errorf("%s: %d elements #%s", name, n, s.id)
			}
		}
		if n := doc.Find("script:not([src]), style, [style], [onclick], [onload], link[href^=http], script[src^=http]").Length(); n != 0 {
			t.Errorf("%s: %d elements that a strict policy refuses", name, n)
		}
		if got, _ := doc.Find("html").Attr("data-link"); got != "connecting" {
			t.Errorf("%s: a page that has heard nothing yet is %q", name, got)
		}
	}
}

func TestBusyPage(t *testing.T) {
	doc := structure(t, viewOf(states()["busy"]))
	for selector, want := range map[string]string{
		"#totals .tile:nth-child(1) .value":        "12,470",
		"#totals .tile:nth-child(1) .note":         "340 zones in 34 warehouses max 12,003 in 5 min",
		"#totals .tile:nth-child(2) .value":        "412 /s",
		"#totals .tile:nth-child(3) .value":        "48,120 /s",
		"#totals .tile:nth-child(3) .note":         "116.8 clients per message max 1,000 in 5 min",
		"#totals .percentiles":                     "p50 0.86 ms p95 3.4 ms p99 6.1 ms",
		"#instances tbody tr:nth-child(3)":         "node-3 1.2.0 ready redis 4,156 39 KiB 1 d 2 h",
		"#warehouses tbody tr:first-child":         "warehouse-0 1,000",
		"#warehouses .more":                        "and 4 more: filter to find them",
		"#zones tbody tr:first-child":              "zone-0 warehouse-0 100 open",
		"#zones .more":                             "1 to 50 of 340 zones next",
		"#asof time":                               "12:00:00 UTC",
		"#notices":                                 "",
		"#totals .tile:nth-child(1) svg[role=img]": "",
	} {
		found := doc.Find(selector)
		if found.Length() != 1 || spaced(found) != want {
			t.Errorf("%s: %d elements, %q, want %q", selector, found.Length(), spaced(found), want)
		}
	}
	if n := doc.Find("#zones tbody tr").Length(); n != maxZoneRows {
		t.Errorf("%d zones are listed, want %d", n, maxZoneRows)
	}
	if got, _ := doc.Find("#zones tbody a").First().Attr("href"); got != "/screen/warehouse-0/zone-0" {
		t.Errorf("the first zone leads to %s", got)
	}
	if doc.Find("#welcome[hidden]").Length() != 1 {
		t.Error("a busy page greets")
	}
}

// spaced is the text with a space between elements, which have none in the source.
func spaced(s *goquery.Selection) string {
	var words []string
	s.Contents().Each(func(_ int, c *goquery.Selection) {
		if goquery.NodeName(c) == "#text" {
			words = append(words, c.Text())
		} else {
			words = append(words, spaced(c))
		}
	})
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

func TestFilter(t *testing.T) {
	tests := []struct {
		name, give string
		wantRows   int
		wantMore   string
	}{
		{"a zone everywhere", "zone-7", 34, "34 of 340 zones match"},
		{"case does not matter", "ZONE-7", 34, "34 of 340 zones match"},
		{"both names", "warehouse-12 zone-7", 1, "1 of 340 zones match"},
		{"as a path", "warehouse-12/zone-7", 1, "1 of 340 zones match"},
		{"more than fit", "warehouse-1", 50, "1 to 50 of 110 zones next"},
		{"none", "nowhere", 0, "0 of 340 zones match"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := viewOf(states()["busy"])
			v.filter = tt.give
			doc := structure(t, v)
			if n := doc.Find("#zones tbody tr").Length(); n != tt.wantRows {
				t.Errorf("%d rows, want %d", n, tt.wantRows)
			}
			if got := text(doc.Find("#zones .more")); got != tt.wantMore {
				t.Errorf("got %q, want %q", got, tt.wantMore)
			}
			if got, _ := doc.Find("#filter").Attr("value"); got != tt.give {
				t.Errorf("the box holds %q", got)
			}
		})
	}
}

func TestPartialPage(t *testing.T) {
	doc := structure(t, viewOf(states()["partial"]))
	for selector, want := range map[string]string{
		"#notices .warning":                "2 of 3 instances answered. The figures lack what node-3 holds.",
		"#notices .critical":               "The broker (redis) can't be reached by 1 of 2 instances: clients stay connected, publishing is answered 503 until it is back. i/o timeout",
		"#instances .count":                "2 of 3 answered",
		"#instances tbody tr:nth-child(2)": "node-2 1.2.0 draining down for 47 s 4,078 20 KiB 1 d 2 h",
		"#instances tbody tr:nth-child(3)": "node-3 no answer",
	} {
		if got := spaced(doc.Find(selector)); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
}

func TestAloneWithoutItsBroker(t *testing.T) {
	p := states()["partial"]
	p.Instances, p.Missing = p.Instances[1:], []string{"node-1", "node-3"}
	doc := structure(t, viewOf(p))
	for selector, want := range map[string]string{
		"#notices .critical": "The broker (redis) can't be reached: clients stay connected, publishing is answered 503 until it is back. i/o timeout",
		"#notices .warning": "1 of 3 instances answered. The figures lack what node-1, node-3 hold. " +
			"They may be well: instances hear of one another through the broker.",
	} {
		if got := spaced(doc.Find(selector)); got != want {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
}

func TestAPageThatMayLackInstancesSaysWhy(t *testing.T) {
	doc := structure(t, viewOf(states()["starting"]))
	want := "The figures may lack instances: other instances have not been asked yet."
	if got := spaced(doc.Find("#notices")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEmptyPageSaysWhatToTry(t *testing.T) {
	v := viewOf(states()["empty"])
	v.origin = "https://zonecast.example:8443"
	doc := structure(t, v)
	command := doc.Find("#welcome code").Text()
	if !strings.HasPrefix(command, "curl https://zonecast.example:8443/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast \\\n") {
		t.Errorf("the command is %s", command)
	}
	if strings.Contains(command, "Authorization") {
		t.Error("it asks for a key that is not needed")
	}
	v.keyRequired = true
	if command := structure(t, v).Find("#welcome code").Text(); !strings.Contains(command, `-H "Authorization: Bearer $PUBLISH_KEY"`) {
		t.Errorf("it does not ask for the key that is needed: %s", command)
	}
}

func TestAPageOfEventsThatNobodySeesPointsToTheirScreens(t *testing.T) {
	doc := structure(t, viewOf(states()["without-subscribers"]))
	if got := spaced(doc.Find("#welcome h2")); got != "Events are published. Nobody is connected to see them." {
		t.Errorf("it says %q", got)
	}
	var links []string
	doc.Find("#welcome a").Each(func(_ int, a *goquery.Selection) { links = append(links, a.AttrOr("href", "")) })
	if fmt.Sprint(links) != "[/screen/warehouse-1/zone-a /screen/warehouse-2/zone-b]" {
		t.Errorf("it points to %v", links)
	}
	quiet := *states()["without-subscribers"]
	quiet.published = rate{0, true}
	if got := spaced(structure(t, viewOf(&quiet)).Find("#welcome h2")); !strings.HasPrefix(got, "Everything is up.") {
		t.Errorf("when nothing is published any more it says %q", got)
	}
}

// Whatever names reach the page, they stay text.
func TestNamesAreEscaped(t *testing.T) {
	p := *states()["busy"]
	evil := `"><img src=x onerror=alert(1)>`
	p.Zones = []Zone{{evil, evil, 1}}
	p.Warehouses = []Warehouse{{evil, 1}}
	p.Missing = []string{evil}
	v := viewOf(&p)
	v.filter = `"><i id=evil>`
	doc := structure(t, v)
	if n := doc.Find("main img, #evil").Length(); n != 0 {
		t.Errorf("%d elements came out of names", n)
	}
}

func TestHandlerRoutes(t *testing.T) {
	d := New(Options{Source: always(Snapshot{})})
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/ui/", 200},
		{"HEAD", "/ui/", 200},
		{"GET", "/ui/?filter=zone-a", 200},
		{"GET", "/ui/?filter=%ff%fe&filter=b", 200},
		{"GET", "/ui/nothing", 404},
		{"POST", "/ui/", 405},
		{"POST", "/ui/events", 405},
	} {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
}

func TestPageHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	New(Options{Source: always(Snapshot{})}).ServeHTTP(w, httptest.NewRequest("GET", "/ui/", nil))
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
		"Content-Type":            "text/html; charset=utf-8",
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
