package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// someClients are sources with two clients and one that left, and what they were asked.
type someClients struct {
	asked  ClientQuery
	times  atomic.Int64
	page   ClientPage
	err    error
	closed ClosedPage
}

func (s *someClients) sources() Sources {
	return Sources{
		Clients: func(ctx context.Context, q ClientQuery) (ClientPage, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				return ClientPage{}, errors.New("asked without a time limit")
			}
			s.asked = q
			s.times.Add(1)
			return s.page, s.err
		},
		Client: func(_ context.Context, id string) (*ClientDetail, FanOut, error) {
			for _, c := range s.page.Clients {
				if c.ID == id {
					return &ClientDetail{Client: c, Places: []Place{{Room: Room{"warehouse-1", "zone-c"}, Offset: "e1-7", Waiting: 3}}}, s.page.FanOut, nil
				}
			}
			return nil, s.page.FanOut, s.err
		},
		Closed: func(context.Context, ClosedQuery) (ClosedPage, error) { return s.closed, s.err },
		Events: func(_ context.Context, q EventQuery) (EventPage, error) {
			return EventPage{Events: []Event{
				{Time: noon, Kind: "back", Node: "backend-2", Lasted: 90 * time.Second},
				{Time: noon.Add(-time.Minute), Kind: "flood", Node: hostile, Detail: hostile, Count: 3000}}, Next: "7-0"}, s.err
		},
	}
}

func newSomeClients() *someClients {
	full := FanOut{Asked: 2, Answered: 2}
	return &someClients{
		page: ClientPage{FanOut: full, Total: 130, Next: "0_c-2", Clients: []Client{
			{ID: "c-1", User: "anna", Transport: "websocket", Address: "10.0.0.1", Agent: "Scanner/2", Node: "backend-1", Since: noon,
				Rooms: []Room{{"warehouse-1", ""}, {"warehouse-1", "zone-c"}}, Queued: 900_000, Slow: true, Sent: 7, SentBytes: 2048},
			{ID: "c-2", User: hostile, Transport: "sse", Address: hostile, Agent: hostile, Node: hostile, Since: noon}}},
		closed: ClosedPage{FanOut: full, Total: 60, Next: "1_c-9", Churn: []Churn{{Reason: "slow_consumer", Minute: 120, FiveMinutes: 130},
			{Reason: "forbidden", Refused: true, Minute: 3, FiveMinutes: 4}},
			Connections: []ClosedConnection{
				{Time: noon, ID: "c-9", User: "anna", Code: "slow_consumer", Stayed: time.Hour, Returned: noon.Add(2 * time.Second), Rooms: []Room{{"warehouse-1", "zone-c"}}},
				{Time: noon, ID: "c-8", Code: "going_away", Why: hostile, Agent: hostile, MoreRooms: 3}}},
	}
}

var operatorViewer = Viewer{Name: "ann", CanDisconnect: true}

// get returns a page of a dashboard with these sources, as the viewer sees it.
func get(t *testing.T, s *someClients, viewer Viewer, path string) (*goquery.Document, int) {
	t.Helper()
	d := New(Options{Source: always(Snapshot{}), Sources: s.sources(), Viewer: func(*http.Request) Viewer { return viewer }})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := doc.Find("script:not([src]), style, [style], [onclick], [onload]").Length(); n != 0 {
		t.Errorf("%s: %d elements that a strict policy refuses", path, n)
	}
	doc.Find("[id]").Each(func(_ int, one *goquery.Selection) {
		if id, _ := one.Attr("id"); doc.Find(fmt.Sprintf("[id=%q]", id)).Length() > 1 {
			t.Errorf("%s: several elements have the id %s", path, id)
		}
	})
	return doc, w.Code
}

// The list says of each client where it is and how it does; what strangers chose is text and
// nothing else.
func TestClientsAreListed(t *testing.T) {
	s := newSomeClients()
	doc, code := get(t, s, operatorViewer, ClientsPath+"?search=%20sc&warehouse=warehouse-1&zone=zone-c&transport=sse&queued=5&slow=1&sort=queued&after=0_c-0&agent=Sc")
	want := ClientQuery{Search: "sc", Warehouse: "warehouse-1", Zone: "zone-c", Transport: "sse", MinQueued: 5, Slow: true, Sort: "queued",
		After: "0_c-0", Agent: "Sc", Limit: 50}
	if code != 200 || fmt.Sprint(s.asked) != fmt.Sprint(want) {
		t.Errorf("%d, asked for %+v, want %+v", code, s.asked, want)
	}
	row := doc.Find("#row-c-1")
	if got := spaced(row); !strings.Contains(got, "anna zone-c in warehouse-1 websocket 10.0.0.1") || !strings.Contains(got, "slow, 879 KiB") {
		t.Errorf("the row is %q", got)
	}
	if got := doc.Find("#row-c-2 th").Text(); strings.TrimSpace(got) != hostile {
		t.Errorf("the name is %q", got)
	}
	if got := text(doc.Find(".actions span")); got != "2 of the 130 from here on" {
		t.Errorf("the count is %q", got)
	}
	next, _ := doc.Find("a[rel=next]").Attr("href")
	at, err := url.Parse(next)
	if err != nil || at.Query().Get("after") != "0_c-2" || at.Query().Get("search") != "sc" || at.Query().Get("slow") != "1" {
		t.Errorf("the next page is %s", next)
	}
	stream, _ := doc.Find("#stream").Attr("hx-sse:connect")
	if !strings.Contains(stream, "show=c-1%2Cc-2") {
		t.Errorf("the stream %s does not keep to the rows", stream)
	}
}

// Viewers are offered nothing that they may not do.
func TestOnlyWhoMayDisconnectIsOfferedIt(t *testing.T) {
	for _, path := range []string{ClientsPath + "?search=a", ClientPath + "c-1"} {
		for viewer, want := range map[bool]bool{true: true, false: false} {
			doc, _ := get(t, newSomeClients(), Viewer{CanDisconnect: viewer}, path)
			if got := doc.Find("input[type=checkbox][name=id], a[href^='"+DisconnectPath+"']").Length() > 0; got != want {
				t.Errorf("%s, may disconnect %t: offered %t", path, viewer, got)
			}
		}
	}
	doc, code := get(t, newSomeClients(), Viewer{}, DisconnectPath+"?id=c-1")
	if code != 403 || doc.Find("form[method=post]:not(.operator)").Length() != 0 {
		t.Errorf("a viewer's question is answered %d", code)
	}
}

// Nothing is done before it is said to whom; a form that is sent twice means nobody new.
func TestDisconnectingAsksFirst(t *testing.T) {
	s := newSomeClients()
	doc, code := get(t, s, operatorViewer, DisconnectPath+"?id=c-1&id=c-2&search=x")
	if code != 200 || fmt.Sprint(s.asked.IDs) != "[c-1 c-2]" || s.asked.Search != "" || !s.asked.ToDisconnect {
		t.Errorf("%d, asked for %+v", code, s.asked)
	}
	if got := text(doc.Find("#confirm-title")); got != "Disconnect 130 clients?" {
		t.Errorf("asked %q", got)
	}
	form := url.Values{}
	doc.Find("form[method=post]:not(.operator) input[type=hidden]").Each(func(_ int, i *goquery.Selection) {
		name, _ := i.Attr("name")
		value, _ := i.Attr("value")
		form.Add(name, value)
	})
	form.Set("reason", " broken ")
	asked := ParseDisconnection(form)
	if got := asked.Chosen(); fmt.Sprint(got.IDs) != "[c-1 c-2]" || got.Search != "" || time.Since(got.OpenedBefore) > time.Minute || asked.Reason != "broken" || asked.Ban {
		t.Errorf("the form asks for %+v", asked)
	}
	if got := asked.DoneAddress(2, FanOut{Missing: []string{"backend-2"}}); got != ClientsPath+"?done=2&partly=1&search=x" {
		t.Errorf("it leads to %s", got)
	}
	for _, path := range []string{DisconnectPath, DisconnectPath + "?sort=queued"} {
		if doc, code := get(t, s, operatorViewer, path); code != 400 || doc.Find("form[method=post]:not(.operator)").Length() != 0 {
			t.Errorf("%s would disconnect everybody: %d", path, code)
		}
	}
	s.page = ClientPage{FanOut: FanOut{Asked: 2, Answered: 2}}
	if doc, _ := get(t, s, operatorViewer, DisconnectPath+"?id=c-1"); text(doc.Find("#confirm [role=alert]")) != "None of them is connected any more." {
		t.Error("who has left can be disconnected")
	}
	if doc, _ := get(t, s, operatorViewer, ClientsPath+"?done=0"); !strings.Contains(text(doc.Find("[role=status]")), "Nobody was disconnected") {
		t.Error("it is not said that nothing was done")
	}
}

// Lists that are empty, partial or not there say so, and lead on.
func TestClientPagesSayWhatIsMissing(t *testing.T) {
	s := newSomeClients()
	s.page.FanOut = FanOut{Asked: 2, Answered: 1, Missing: []string{"backend-2 (no answer in time)"}}
	s.closed.FanOut = s.page.FanOut
	for _, path := range []string{ClientsPath, ClosedPath, ClientPath + "c-1", DisconnectPath + "?id=c-1"} {
		doc, code := get(t, s, operatorViewer, path)
		if got := text(doc.Find("#partial")); code != 200 || !strings.Contains(got, "1 of 2 instances answered. What these hold is missing: backend-2 (no answer in time).") {
			t.Errorf("%s: %d %q", path, code, got)
		}
	}
	if doc, code := get(t, s, operatorViewer, ClientPath+"c-7"); code != 200 || !strings.Contains(text(doc.Find("#client")), "None of the instances that answered has it") {
		t.Errorf("a client that may be elsewhere: %d", code)
	}
	s.page, s.closed = ClientPage{FanOut: FanOut{Asked: 2, Answered: 2}}, ClosedPage{}
	for path, want := range map[string]string{
		ClientsPath:                  "Nobody is connected.",
		ClientsPath + "?search=x":    "No client matches. Show all",
		ClosedPath:                   "No connection has ended since the instances were started.",
		ClosedPath + "?code=restart": "No connection matches. Show all",
	} {
		if doc, _ := get(t, s, operatorViewer, path); text(doc.Find("#clients .none, #closed .none")) != want {
			t.Errorf("%s says %q", path, text(doc.Find("#clients .none, #closed .none")))
		}
	}
	if doc, code := get(t, s, operatorViewer, ClientPath+"c-7"); code != 404 || !strings.Contains(text(doc.Find("#client")), "It is not connected.") {
		t.Errorf("a client that left: %d", code)
	}
	s.err = errors.New("Redis is away")
	for _, path := range []string{ClientsPath, ClosedPath, LogPath, ClientPath + "c-7"} {
		if doc, code := get(t, s, operatorViewer, path); code != 503 || !strings.Contains(text(doc.Find("#partial")), "Redis is away") {
			t.Errorf("%s: %d %s", path, code, text(doc.Find("#partial")))
		}
	}
}

// Why somebody left, and whether they came back, is said in words.
func TestClosedConnectionsAreExplained(t *testing.T) {
	doc, _ := get(t, newSomeClients(), Viewer{}, ClosedPath+"?warehouse=warehouse-1")
	rows := doc.Find("#closed tbody tr")
	if got := spaced(rows.Eq(0)); !strings.Contains(got, "anna it was too slow: more waited for it than is kept (4408) after 2 s 1 h 0 min zone-c in warehouse-1") {
		t.Errorf("the first row is %q", got)
	}
	if got := rows.Eq(1).Find("td.words").Text(); got != hostile || !strings.Contains(text(rows.Eq(1)), "not yet") {
		t.Errorf("the second row is %q", text(rows.Eq(1)))
	}
	if got := spaced(doc.Find("#churn tbody")); !strings.Contains(got, "(4408) 2.0 120 130") || !strings.Contains(got, "refused: its origin or its token does not permit it") {
		t.Errorf("churn is %q", got)
	}
	if older, _ := doc.Find("a[rel=next]").Attr("href"); older != ClosedPath+"?before=1_c-9&warehouse=warehouse-1" {
		t.Errorf("older ones are at %s", older)
	}
}

// What happened is said in words, with how often and how long.
func TestEventsAreExplained(t *testing.T) {
	doc, _ := get(t, newSomeClients(), Viewer{}, LogPath+"?kind=back&since=24h")
	rows := doc.Find("#events tbody tr")
	if got := spaced(rows.Eq(0)); !strings.Contains(got, "instance back backend-2 1 min 30 s") {
		t.Errorf("the first row is %q", got)
	}
	if got := text(rows.Eq(1)); !strings.Contains(got, "flood of connections") || !strings.Contains(got, "3,000 times") || rows.Eq(1).Find(".words").Text() != hostile {
		t.Errorf("the second row is %q", got)
	}
	if older, _ := doc.Find("a[rel=next]").Attr("href"); older != LogPath+"?before=7-0&kind=back&since=24h" {
		t.Errorf("older ones are at %s", older)
	}
	if export, _ := doc.Find("a[download]").Attr("href"); export != LogExportPath+"?format=csv&kind=back&since=24h" {
		t.Errorf("the export is at %s", export)
	}
	q := ParseEventQuery(url.Values{"kind": {"nonsense"}, "since": {"24h"}})
	if q.Kind != "" || time.Since(q.Since).Round(time.Hour) != 24*time.Hour {
		t.Errorf("parsed %+v", q)
	}
}

// A view is rendered once for all who watch it, rows stay though their clients leave, and with
// nobody watching nobody is asked.
func TestAViewIsRenderedOnceForAllWhoWatchIt(t *testing.T) {
	s := newSomeClients()
	d := New(Options{Source: always(Snapshot{}), Sources: s.sources(), Viewer: func(*http.Request) Viewer { return operatorViewer }})
	server := httptest.NewServer(d)
	t.Cleanup(func() { d.Close(); server.Close() })
	address := server.URL + ClientsPath + "/events?show=c-1,c-gone"
	one, two := open(t, address), open(t, address)
	for _, stream := range []eventStream{one, two} {
		sections, err := stream.next()
		if err != nil {
			t.Fatal(err)
		}
		rows := sections["#clients"].Find("tbody tr")
		if rows.Length() != 2 || !strings.Contains(text(rows.Eq(0)), "anna") || !strings.Contains(text(rows.Eq(1)), "not connected any more") {
			t.Errorf("the rows are %q", text(rows))
		}
	}
	if n := s.times.Load(); n != 1 {
		t.Errorf("two viewers cost %d questions", n)
	}
	d.Close()
	d.feeds.close()
	if fmt.Sprint(s.asked.Show) != "[c-1 c-gone]" {
		t.Errorf("asked for %+v", s.asked)
	}
	if d.feeds.watch(t.Context(), "x", nil) != nil {
		t.Error("a closed dashboard begins a feed")
	}
	asked := s.times.Load()
	time.Sleep(10 * time.Millisecond)
	if s.times.Load() != asked {
		t.Error("somebody is asked with nobody watching")
	}
}

// The overview leads from the number of a zone to its clients, and from its verdict to why.
func TestTheOverviewLeadsToWhoAndWhy(t *testing.T) {
	d := New(Options{Source: always(Snapshot{}), Sources: newSomeClients().sources()})
	f := states()["busy"]
	d.latest.Store(f)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", Prefix, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to, _ := doc.Find("#zones tbody tr:first-child .number a").Attr("href"); to != ClientsPath+"?warehouse=warehouse-0&zone=zone-0" {
		t.Errorf("the first zone's number leads to %q", to)
	}
	for lost, want := range map[bool]string{true: ClosedPath, false: LogPath} {
		var html strings.Builder
		if err := verdictLine(verdict{Level: levelDown, Why: "x", Since: noon, LostClients: lost}).Render(t.Context(), &html); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(html.String(), `href="`+want+`"`) {
			t.Errorf("clients lost %t: %s does not lead to %s", lost, html.String(), want)
		}
	}
}

// While an update is under way the overview says which instances have which version.
func TestMixedVersionsAreNoticed(t *testing.T) {
	f := *states()["busy"]
	f.Instances = append([]Instance(nil), f.Instances...)
	if got := text(structure(t, viewOf(&f)).Find("#notices")); strings.Contains(got, "Versions") {
		t.Errorf("all have the same version: %q", got)
	}
	f.Instances[2].Version = "1.10.0"
	if got := text(structure(t, viewOf(&f)).Find("#notices")); !strings.Contains(got, "Versions are mixed: 1.2.0 on 2 instances, 1.10.0 on 1 instance.") {
		t.Errorf("mixed versions: %q", got)
	}
}
