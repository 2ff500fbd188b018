package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// someInstances are two that answer, one that does not, and one that is gone.
func someInstances() InstancePage {
	up := BrokerLink{Up: true}
	now := time.Now().Add(-30 * time.Second) // the spans that are shown stay the same for a while
	return InstancePage{Broker: "redis", FanOut: FanOut{Asked: 3, Answered: 2, Missing: []string{"node-3 (no answer in time)"}},
		Instances: []InstanceDetail{
			{Instance: Instance{ID: "i2", Name: "node-10", Version: "1.2.0", UpSince: now.Add(-26 * time.Hour), Connections: 950, Broker: up}, ConnectionLimit: 1000,
				BrokerSince: now.Add(-time.Hour), HeardAgo: 1200 * time.Millisecond, Answered: true,
				Usage: Usage{Memory: 300 << 20, MemoryLimit: 1 << 30, Cores: 0.25, CoresOver: 2 * time.Second, CoreLimit: 2, Descriptors: 990, DescriptorLimit: 20_000, TCP: 980}},
			{Instance: Instance{ID: "i1", Name: "node-2", Version: "1.3.0", State: Draining, UpSince: now, Connections: 12, Broker: up}, Answered: true,
				Drain: &Drain{Since: now.Add(-3 * time.Hour), By: "ann", Had: 47}},
			{Instance: Instance{ID: "i3", Name: "node-3", Version: "1.2.0", State: NotReady, UpSince: now, Broker: BrokerLink{Detail: "i/o timeout"}}},
		},
		Gone: []Gone{{ID: "g", Name: hostile, Since: noon, Connections: 47}}}
}

// getInstances returns a page of a dashboard with these instances.
func getInstances(t *testing.T, page InstancePage, err error, viewer Viewer, path string) (*goquery.Document, int) {
	t.Helper()
	d := New(Options{Source: always(Snapshot{}), Viewer: func(*http.Request) Viewer { return viewer }, Sources: Sources{
		Instances: func(ctx context.Context) (InstancePage, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				return InstancePage{}, errors.New("asked without a time limit")
			}
			return page, err
		}}})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc, w.Code
}

// The page says of each instance how it is, names those that do not answer or are gone, and says
// that versions are mixed.
func TestInstancesAreListedWithThoseThatAreSilent(t *testing.T) {
	doc, code := getInstances(t, someInstances(), nil, Viewer{CanDismiss: true}, InstancesPath)
	if code != 200 {
		t.Errorf("answered %d", code)
	}
	for selector, want := range map[string]string{
		"#nodes tbody tr:nth-child(1)": "node-2 drained: 12 clients of 47 left, for 3 h 0 min redis",
		"#nodes tbody tr:nth-child(3)": "node-10 ready redis for 1 h 0 min 950 of 1,000 300 MiB of 1.0 GiB 0.25 of 2 cores 990 of 20,000 1 d 2 h 1.2 s ago 1.2.0",
		"#nodes tbody tr:nth-child(2)": "node-3 not ready down 0 no answer",
		"#nodes tbody tr:nth-child(4)": hostile + " no answer since 12:00:00 UTC, held 47 clients Dismiss",
		"#nodes .more":                 "3 instances, 1 gone",
		"#versions":                    "Versions are mixed: 1.2.0 on 2 instances, 1.3.0 on 1 instance.",
		"#partial":                     "2 of 3 instances answered.",
	} {
		if got := spaced(doc.Find(selector)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", selector, got, want)
		}
	}
	if n := doc.Find("#node-i2 .warn").Length(); n != 1 { // its connections, not its descriptors
		t.Errorf("%d figures are near their limit", n)
	}
	doc, code = getInstances(t, InstancePage{}, errors.New("Redis is away"), Viewer{}, InstancesPath)
	if code != 503 || !strings.Contains(doc.Find("#partial").Text(), "Redis is away") {
		t.Errorf("without an answer: %d %s", code, spaced(doc.Find("main")))
	}
}

// The page of one instance shows how far its drain is; who may is offered to begin and to end it.
func TestThePageOfAnInstanceShowsItsDrain(t *testing.T) {
	for _, tt := range []struct {
		path   string
		viewer Viewer
		code   int
		want   string // in the page
		offer  string // the address that is offered
	}{
		{"node-2", Viewer{CanDismiss: true}, 200, "12 clients of 47 left", "/ui/drain?end=1&instance=node-2"},
		{"node-10", Viewer{CanDismiss: true}, 200, "0.25 of 2 cores, mean of 2 s", "/ui/drain?instance=node-10"},
		{"i2", Viewer{}, 200, "950 of 1,000", ""},
		{"node-3", Viewer{CanDismiss: true}, 200, "what it takes is not known", "/ui/drain?instance=node-3"},
		{"nobody", Viewer{CanDismiss: true}, 404, "There is no instance of this name, or it has left.", ""},
		{"g", Viewer{}, 404, "It gives no answer since 12:00:00 UTC, held 47 clients.", ""},
	} {
		doc, code := getInstances(t, someInstances(), nil, tt.viewer, InstancePath+tt.path)
		offer, _ := doc.Find("#instance header a").Attr("href")
		if code != tt.code || !strings.Contains(spaced(doc.Find("#instance")), tt.want) || offer != tt.offer {
			t.Errorf("%s: %d %q, offers %q", tt.path, code, spaced(doc.Find("#instance")), offer)
		}
	}
	if got, _ := getInstances(t, someInstances(), nil, Viewer{}, InstancePath+"node-2"); got.Find("progress[value='35'][max='47']").Length() != 1 {
		t.Error("the progress is not that 35 of 47 are gone")
	}
}

// Nothing is done before it is said to whom, and what can't be done is said instead of asked.
func TestDrainingAsksFirst(t *testing.T) {
	page := someInstances()
	page.Instances[2].State = Ready
	for _, tt := range []struct {
		query  string
		give   InstancePage
		viewer Viewer
		code   int
		want   string
		asks   bool
	}{
		{"instance=node-10", page, Viewer{CanDismiss: true}, 200, "950 clients will be asked to connect again, to node-3; they miss nothing", true},
		{"instance=node-2&end=1", page, Viewer{CanDismiss: true}, 200, "Put node-2 back into service?", true},
		{"instance=node-10", page, Viewer{}, 403, "Your role only lets you look.", false},
		{"instance=node-10", someInstances(), Viewer{CanDismiss: true}, 409, "No other instance is ready", false},
		{"instance=node-2", page, Viewer{CanDismiss: true}, 200, "It is draining already.", false},
		{"instance=node-10&end=1", page, Viewer{CanDismiss: true}, 200, "It is not drained by an operator.", false},
		{"instance=" + hostile, page, Viewer{CanDismiss: true}, 404, "There is no instance of this name that answers.", false},
		{"", page, Viewer{CanDismiss: true}, 404, "There is no instance", false},
	} {
		doc, code := getInstances(t, tt.give, nil, tt.viewer, strings.ReplaceAll(DrainPath+"?"+tt.query, " ", "%20"))
		asks := doc.Find("form[method=post][action='"+DrainPath+"'] input[name=id]").Length() == 1
		if code != tt.code || !strings.Contains(spaced(doc.Find("#confirm")), tt.want) || asks != tt.asks {
			t.Errorf("%s: %d %q, asks %t", tt.query, code, spaced(doc.Find("#confirm")), asks)
		}
	}
}
