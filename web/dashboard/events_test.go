package dashboard

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// always returns a source that always says the same.
func always(s Snapshot) func() Snapshot { return func() Snapshot { return s } }

// changing is a source whose answer a test replaces.
type changing struct {
	asked atomic.Int64
	mu    sync.Mutex
	next  Snapshot
}

func (c *changing) set(s Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = s
}

func (c *changing) snapshot() Snapshot {
	c.asked.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// serve runs a dashboard behind a real server until the test ends, and checks that Run ends too.
func serve(t *testing.T, source func() Snapshot) (url string, d *Dashboard) {
	t.Helper()
	d = New(Options{Source: source, Interval: 5 * time.Millisecond, IdleInterval: 5 * time.Millisecond})
	var running sync.WaitGroup
	running.Go(func() { d.Run(context.Background()) })
	server := httptest.NewServer(d)
	t.Cleanup(func() {
		d.Close()
		running.Wait()
		server.Close()
	})
	return server.URL, d
}

// An eventStream reads events as they come.
type eventStream struct {
	t    *testing.T
	body *bufio.Reader
}

func open(t *testing.T, url string) eventStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	return eventStream{t, bufio.NewReader(res.Body)}
}

// next returns the sections of the next event by their targets.
func (s eventStream) next() (map[string]*goquery.Selection, error) {
	var html strings.Builder
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\n" {
			break
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			s.t.Fatalf("an event holds the line %q", line)
		}
		html.WriteString(data)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(html.String()))
	if err != nil {
		s.t.Fatal(err)
	}
	sections := map[string]*goquery.Selection{}
	doc.Find("hx-partial").Each(func(_ int, p *goquery.Selection) {
		target, _ := p.Attr("hx-target")
		sections[target] = p
	})
	return sections, nil
}

// until reads events until one has a section with this text.
func (s eventStream) until(target, want string) {
	s.t.Helper()
	for {
		sections, err := s.next()
		if err != nil {
			s.t.Fatalf("no event with %q in %s: %v", want, target, err)
		}
		if section := sections[target]; section != nil && strings.Contains(spaced(section), want) {
			return
		}
	}
}

func TestEventsBeginWithEverySection(t *testing.T) {
	url, _ := serve(t, always(Snapshot{Connections: 7}))
	sections, err := open(t, url+"/ui/events").next()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range (view{figures: &figures{}}).sections() {
		p := sections["#"+s.id]
		if p == nil {
			t.Errorf("#%s is not sent", s.id)
		} else if p.Children().Length() != 1 || p.Children().AttrOr("id", "") != s.id {
			t.Errorf("the section for #%s does not hold just that", s.id)
		}
	}
}

func TestEventsFollowTheSource(t *testing.T) {
	source := &changing{next: Snapshot{Connections: 7}}
	url, _ := serve(t, source.snapshot)
	s := open(t, url+"/ui/events")
	s.until("#totals", "Connections 7 ")
	source.set(Snapshot{Connections: 1247, Missing: []string{"node-2"}})
	s.until("#notices", "node-2")
	source.set(Snapshot{Connections: 8})
	s.until("#totals", "Connections 8 ")
}

// What did not change is not sent again, but something always is: silence means that the server is
// lost.
func TestEventsSendOnlyWhatChanged(t *testing.T) {
	url, _ := serve(t, always(Snapshot{Zones: []Zone{{"w", "z", 3}}, Connections: 3}))
	s := open(t, url+"/ui/events")
	s.until("#totals", "Connections 3 ")
	seen := map[string]int{}
	for range 6 {
		sections, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if sections["#asof"] == nil {
			t.Error("an event without the time")
		}
		for target := range sections {
			seen[target]++
		}
	}
	if seen["#warehouses"]+seen["#zones"]+seen["#instances"] != 0 {
		t.Errorf("six events without news held %v", seen)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	source := always(Snapshot{Connections: 3, Zones: []Zone{{"w", "cold", 2}, {"w", "ambient", 1}}})
	url, _ := serve(t, source)
	s := open(t, url+"/ui/events?filter=cold")
	s.until("#zones", "1 of 2 zones match")
}

func TestManyViewersAtOnce(t *testing.T) {
	source := &changing{}
	url, _ := serve(t, source.snapshot)
	var wg sync.WaitGroup
	for range 20 {
		s := open(t, url+"/ui/events")
		wg.Go(func() { s.until("#totals", "Connections 5 ") })
	}
	source.set(Snapshot{Connections: 5})
	wg.Wait()
}

func TestTooManyViewers(t *testing.T) {
	d := New(Options{Source: always(Snapshot{})})
	d.viewers.Store(maxViewers)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", "/ui/events", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d", w.Code)
	}
	if d.viewers.Load() != maxViewers {
		t.Errorf("%d viewers are counted", d.viewers.Load())
	}
}

func TestCloseEndsTheStreams(t *testing.T) {
	url, d := serve(t, always(Snapshot{}))
	s := open(t, url+"/ui/events")
	d.Close()
	for {
		if _, err := s.next(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended with %v", err)
			}
			return
		}
	}
}

func TestSamplingFollowsTheViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &changing{}
		d := New(Options{Source: source.snapshot})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Run(ctx) })
		askedIn := func(seconds int) int64 {
			before := source.asked.Load()
			time.Sleep(time.Duration(seconds) * time.Second)
			synctest.Wait()
			return source.asked.Load() - before
		}
		time.Sleep(time.Millisecond)
		if n := askedIn(60); n != 12 {
			t.Errorf("asked %d times in a minute that nobody looks, want 12", n)
		}
		viewing, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			d.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(viewing, "GET", "/ui/events", nil))
		}()
		synctest.Wait()
		if n := askedIn(60); n != 60 {
			t.Errorf("asked %d times in a minute that someone looks, want 60", n)
		}
		leave()
		<-left
		askedIn(5)
		if n := askedIn(60); n != 12 {
			t.Errorf("asked %d times in a minute after the last viewer left, want 12", n)
		}
		cancel()
		running.Wait()
	})
}

func TestAViewerWhoIsLimitedSeesTheRoomsOfTheirWarehouses(t *testing.T) {
	source := always(Snapshot{Connections: 9, Warehouses: []Warehouse{{"w1", 4}, {"w2", 5}}, Zones: []Zone{{"w1", "a", 4}, {"w2", "b", 5}},
		Recent: []Zone{{"w2", "c", 0}}})
	d := New(Options{Source: source, Viewer: func(*http.Request) Viewer {
		return Viewer{Name: "<b>ann</b>", CanSignOut: true, Limited: true, Warehouses: []string{"w1"}}
	}})
	var m meter
	d.show(d.sample(&m))
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ui/", nil))
	page := w.Body.String()
	for _, hidden := range []string{"w2", "<b>ann"} {
		if strings.Contains(page, hidden) {
			t.Errorf("the page has %s", hidden)
		}
	}
	for _, shown := range []string{"Rooms of w1 only", "Sign out", "&lt;b&gt;ann&lt;/b&gt;", `action="/ui/logout" method="post"`} {
		if !strings.Contains(page, shown) {
			t.Errorf("the page lacks %s", shown)
		}
	}
	if f := d.latest.Load(); len(f.Warehouses) != 2 || len(f.Zones) != 3 {
		t.Error("the figures of all have changed")
	}
}
