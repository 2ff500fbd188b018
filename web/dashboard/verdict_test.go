package dashboard

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

func TestTheVerdictSaysHowItIsAndWhy(t *testing.T) {
	up, down := BrokerLink{Up: true}, BrokerLink{Detail: "i/o timeout"}
	fine := Instance{Name: "a", Broker: up}
	for _, tt := range []struct {
		name  string
		give  Snapshot
		last  busy
		level level
		why   string
	}{
		{"all is well", Snapshot{Instances: []Instance{fine}, Connections: 3}, busy{}, levelOK, ""},
		{"nobody was ever here", Snapshot{Instances: []Instance{fine}}, busy{}, levelOK, ""},
		{"all clients are gone", Snapshot{Instances: []Instance{fine}}, busy{noon, 1470}, levelDown, "no client is connected; 1,470 were until 12:00:00 UTC"},
		{"the only client is gone", Snapshot{Instances: []Instance{fine}}, busy{noon, 1}, levelDown, "no client is connected; 1 was until 12:00:00 UTC"},
		{"no broker", Snapshot{Broker: "redis", Instances: []Instance{{Name: "a", Broker: down}}, Missing: []string{"b"}, Connections: 9}, busy{}, levelDown, "the broker (redis) can't be reached"},
		{"one without its broker", Snapshot{Instances: []Instance{fine, {Name: "b", Broker: down}}, Connections: 9}, busy{}, levelDegraded, "b can't reach the broker"},
		{"Redis is full", Snapshot{Broker: "redis", Instances: []Instance{{Name: "a", Broker: up, Warning: "broker: Redis is out of memory, nothing can be published: OOM"}}, Connections: 9}, busy{}, levelDegraded, "Redis is out of memory, nothing can be published"},
		{"instances are gone", Snapshot{Instances: []Instance{fine}, Gone: []Gone{{Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}, Connections: 9}, busy{}, levelDegraded, "b, c, d and 1 more do not answer"},
		{"one is missed", Snapshot{Instances: []Instance{fine}, Missing: []string{"b"}, Connections: 9}, busy{}, levelDegraded, "b does not answer"},
		{"one is not ready", Snapshot{Instances: []Instance{fine, {Name: "b", Broker: up, State: NotReady}}, Connections: 9}, busy{}, levelDegraded, "b is not ready"},
		{"one drains", Snapshot{Instances: []Instance{fine, {Name: "b", Broker: up, State: Draining}}, Connections: 9}, busy{}, levelOK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if level, why := judge(tt.give, tt.last); level != tt.level || why != tt.why {
				t.Errorf("%s %q, want %s %q", level, why, tt.level, tt.why)
			}
		})
	}
}

// pageOf renders the dashboard's page as it is after the last of these snapshots.
func pageOf(t *testing.T, d *Dashboard, path string) *goquery.Document {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	return doc
}

// shown is a dashboard that has taken these snapshots.
func shown(snapshots ...Snapshot) *Dashboard {
	var next Snapshot
	d := New(Options{Source: func() Snapshot { return next }, Viewer: func(*http.Request) Viewer { return Viewer{CanDismiss: true} }})
	var m meter
	for _, next = range snapshots {
		d.show(d.sample(&m))
	}
	return d
}

func TestAllClientsLostIsNoFreshInstallation(t *testing.T) {
	alone := []Instance{{Name: "a", Broker: BrokerLink{Up: true}}}
	doc := pageOf(t, shown(Snapshot{Instances: alone, Connections: 47}, Snapshot{Instances: alone, Connections: 3}, Snapshot{Instances: alone}), "/ui/")
	if doc.Find("#welcome[hidden]").Length() != 1 {
		t.Errorf("it greets: %s", text(doc.Find("#welcome")))
	}
	if got, _ := doc.Find("#verdict").Attr("data-level"); got != "down" || !strings.Contains(text(doc.Find("#verdict")), "no client is connected; 47 were until") {
		t.Errorf("the verdict is %s %s", got, text(doc.Find("#verdict")))
	}
	restarted := Snapshot{Instances: []Instance{{Name: "a", Broker: BrokerLink{Up: true}}, {Name: "b", Delivered: 5, Broker: BrokerLink{Up: true}}}}
	if pageOf(t, shown(restarted), "/ui/").Find("#welcome[hidden]").Length() != 1 {
		t.Error("it greets although another instance has had clients")
	}
	if pageOf(t, shown(Snapshot{Instances: alone}), "/ui/").Find("#welcome[hidden]").Length() != 0 {
		t.Error("a fresh installation is not greeted")
	}
}

func TestAnInstanceThatIsGoneStaysUntilItIsDismissed(t *testing.T) {
	s := Snapshot{Connections: 5, Instances: []Instance{{Name: "a", Broker: BrokerLink{Up: true}}},
		Gone: []Gone{{ID: "i2", Name: "backend-2", Since: time.Date(2026, 3, 1, 1, 44, 22, 0, time.UTC), Connections: 47}, {ID: "i3", Name: "<b>", Connections: -1}}}
	doc := pageOf(t, shown(s), "/ui/")
	if got := text(doc.Find("#instances tbody tr:nth-child(3)")); !strings.Contains(got, "no answer since 01:44:22 UTC, held 47 clients") {
		t.Errorf("the row of the instance that is gone: %s", got)
	}
	var ids []string
	doc.Find(`#instances form[action="` + DismissPath + `"] input[name=id]`).Each(func(_ int, in *goquery.Selection) {
		id, _ := in.Attr("value")
		ids = append(ids, id)
	})
	if !slices.Equal(ids, []string{"i3", "i2"}) {
		t.Errorf("these can be dismissed: %v", ids)
	}
}

// Rows stay where they are while figures change: by name, as people count, or as busy as the zones
// were when the stream began.
func TestRowsStayWhereTheyAre(t *testing.T) {
	zones := []Zone{{"w-10", "zone-1", 900}, {"w-2", "zone-10", 5}, {"w-2", "zone-2", 70}, {"w-2", "Zone-02", 1}}
	doc := pageOf(t, shown(Snapshot{Connections: 1, Zones: zones}), "/ui/")
	if got := rowNames(doc); got != "w-2/Zone-02 w-2/zone-2 w-2/zone-10 w-10/zone-1" {
		t.Errorf("by name: %s", got)
	}
	d := shown(Snapshot{Connections: 1, Zones: zones})
	if got := rowNames(pageOf(t, d, "/ui/?sort=connections")); got != "w-10/zone-1 w-2/zone-2 w-2/zone-10 w-2/Zone-02" {
		t.Errorf("the busiest first: %s", got)
	}
	v := d.viewOf(d.latest.Load(), httptest.NewRequest(http.MethodGet, "/ui/?sort=connections", nil))
	v.rank = v.ranks()
	later := *v.figures
	later.Zones = []Zone{{"w-2", "zone-2", 70}, {"w-2", "zone-10", 5000}, {"w-10", "zone-1", 900}, {"w-9", "new", 7000}}
	v.figures = &later
	var names []string
	for _, r := range v.zones().Rows {
		names = append(names, r.Warehouse+"/"+r.Zone)
	}
	if got := strings.Join(names, " "); got != "w-10/zone-1 w-2/zone-2 w-2/zone-10 w-9/new" {
		t.Errorf("a stream's order after a change: %s", got)
	}
}

func rowNames(doc *goquery.Document) string {
	var names []string
	doc.Find("#zones tbody tr").Each(func(_ int, row *goquery.Selection) {
		names = append(names, text(row.Find("td").First())+"/"+text(row.Find("th")))
	})
	return strings.Join(names, " ")
}

func TestAWarehousesLinkShowsItAlone(t *testing.T) {
	d := shown(Snapshot{Connections: 3, Warehouses: []Warehouse{{"warehouse-1", 1}, {"warehouse-10", 2}},
		Zones: []Zone{{"warehouse-1", "a", 1}, {"warehouse-10", "b", 2}}})
	link, _ := pageOf(t, d, "/ui/").Find("#warehouses tbody a").First().Attr("href")
	doc := pageOf(t, d, link)
	if got := rowNames(doc); got != "warehouse-1/a" {
		t.Errorf("%s shows %s", link, got)
	}
	if n := doc.Find("#warehouses tbody tr").Length(); n != 1 {
		t.Errorf("%s shows %d warehouses", link, n)
	}
}

func TestEachZoneCanBeReached(t *testing.T) {
	var zones []Zone
	for i := range maxZoneRows + 1 {
		zones = append(zones, Zone{"w", "zone-" + string(rune('a'+i%26)) + string(rune('a'+i/26)), 1})
	}
	d := shown(Snapshot{Connections: 1, Zones: zones, Recent: []Zone{{Warehouse: "w", Name: "silent"}}})
	next, _ := pageOf(t, d, "/ui/?filter=w").Find("#zones .more a").First().Attr("href")
	doc := pageOf(t, d, next)
	if n := doc.Find("#zones tbody tr").Length(); n != 2 {
		t.Errorf("%s has %d rows, want 2", next, n)
	}
	if got := rowNames(pageOf(t, d, "/ui/?filter=silent&page=9")); got != "w/silent" {
		t.Errorf("a zone that is published to without clients: %q", got)
	}
}

func TestInstancesOfOneNameAreFollowedApart(t *testing.T) {
	var m meter
	at := func(seconds int, published ...uint64) {
		var s Snapshot
		for i, n := range published {
			s.Instances = append(s.Instances, Instance{ID: string(rune('a' + i)), Name: "same", UpSince: started.Add(time.Duration(i)), Published: n})
		}
		m.observe(noon.Add(time.Duration(seconds)*time.Second), s)
	}
	at(0, 1000, 5)
	at(1, 1100, 105)
	if published, _ := m.rates(noon.Add(time.Second)); published.PerSecond != 200 {
		t.Errorf("%v messages a second, want 200", published.PerSecond)
	}
}
