package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// getRoom returns a page of a dashboard whose rooms stand like this.
func getRoom(t *testing.T, state RoomState, viewer Viewer, path string) (*goquery.Document, int) {
	t.Helper()
	sources := newSomeClients().sources()
	sources.Room = func(context.Context, Room) (RoomState, error) { return state, nil }
	d := New(Options{Source: always(Snapshot{}), Sources: sources, Viewer: func(*http.Request) Viewer { return viewer }})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc, w.Code
}

func someRoom() RoomState {
	message := RoomMessage{Offset: "e1-7", Event: "NOTE", Time: noon, Data: hostile + strings.Repeat("ü", 400)}
	return RoomState{FanOut: FanOut{Asked: 3, Answered: 2, Missing: []string{"backend-3"}}, Offset: "e1-7",
		Instances: []RoomInstance{{Name: "backend-1", Members: 2, Offset: "e1-7"}, {Name: "backend-2", Members: 1, Offset: "e1-5"}, {Name: "backend-4"}},
		Zones:     []string{"zone-10", "zone-2"}, Messages: []RoomMessage{message}, Retained: []RoomMessage{message}}
}

// The page of a room says how many get what is published, who is behind, and what it keeps; texts
// of strangers stay texts.
func TestTheRoomPageSaysWhoGetsWhatAndWhoIsBehind(t *testing.T) {
	doc, code := getRoom(t, someRoom(), Viewer{SendsToAll: true}, "/ui/warehouses/w/zones/z?sent=e1-6")
	if got := spaced(doc.Find("#room")); code != 200 || !strings.Contains(got, "published to it 3") || !strings.Contains(got, "backend-1 2 e1-7 up to date") ||
		!strings.Contains(got, "backend-2 1 e1-5 2 messages behind") || !strings.Contains(got, "1 of 2 instances with clients of it passed it on") {
		t.Errorf("%d %q", code, got)
	}
	if got := text(doc.Find("#partial")); !strings.Contains(got, "2 of 3 instances answered.") || !strings.Contains(got, "backend-3") {
		t.Errorf("the notice is %q", got)
	}
	if got := doc.Find("#last-e1-7 code").Text(); !strings.HasPrefix(got, hostile) || !strings.HasSuffix(got, "…") || doc.Find("script:not([src])").Length() > 0 {
		t.Errorf("the data is %q", got)
	}
	if stream, _ := doc.Find("#stream").Attr("hx-sse:connect"); stream != "/ui/warehouses/w/zones/z/events?sent=e1-6&show=c-1%2Cc-2" {
		t.Errorf("the stream is %s", stream)
	}
	doc, _ = getRoom(t, someRoom(), Viewer{}, "/ui/warehouses/w")
	if got := spaced(doc.Find("#room table").Last()); !strings.Contains(got, "zone-2 0 zone-10 0") {
		t.Errorf("the zones are %q", got)
	}
}

// Viewers are offered no test and no removal; admins are asked first, and a form is sent once.
func TestOnlyAdminsAreOfferedToSendToARoom(t *testing.T) {
	for sends, want := range map[bool]int{true: 2, false: 0} {
		doc, _ := getRoom(t, someRoom(), Viewer{SendsToAll: sends}, "/ui/warehouses/w/zones/z")
		if got := doc.Find("a[href^='" + TestPath + "'], a[href^='" + RetainedPath + "']").Length(); got != want {
			t.Errorf("who may send %t is offered %d ways", sends, got)
		}
	}
	keys := map[string]bool{}
	for range 2 {
		doc, code := getRoom(t, someRoom(), Viewer{SendsTo: []string{"w"}}, TestPath+"?warehouse=w&zone=z")
		if got := text(doc.Find("#confirm")); code != 200 || !strings.Contains(got, "3 clients at 2 instances get it now.") {
			t.Errorf("%d %q", code, got)
		}
		key, _ := doc.Find("input[name=key]").Attr("value")
		keys[key] = true
	}
	if len(keys) != 2 || keys[""] {
		t.Errorf("two forms have the keys %v", keys)
	}
	for path, want := range map[string]int{TestPath: 400, TestPath + "?warehouse=other": 403, RetainedPath + "?warehouse=w&zone=z&event=OTHER": 404,
		RetainedPath + "?warehouse=w&zone=z&event=NOTE": 200} {
		doc, code := getRoom(t, someRoom(), Viewer{SendsTo: []string{"w"}}, path)
		if posts := doc.Find("#confirm form[method=post]").Length(); code != want || (posts == 1) != (want == 200) {
			t.Errorf("%s is answered %d with %d forms", path, code, posts)
		}
	}
}

// A room that is not there, or not the viewer's, has a page that helps.
func TestARoomThatIsNotThereHasAPageThatHelps(t *testing.T) {
	doc, code := getRoom(t, RoomState{FanOut: FanOut{Asked: 1, Answered: 1}, Zones: []string{"zone-a"}}, Viewer{}, "/ui/warehouses/w/zones/zone-x")
	if href, _ := doc.Find("#room .more a").Attr("href"); code != 404 || href != "/ui/warehouses/w/zones/zone-a" {
		t.Errorf("%d, offered %s", code, href)
	}
	doc, code = getRoom(t, someRoom(), Viewer{Limited: true, Warehouses: []string{"mine"}}, "/ui/warehouses/w")
	if got := text(doc.Find("#partial")); code != 403 || !strings.Contains(got, "your account is for mine") || doc.Find("#messages, #stream").Length() > 0 {
		t.Errorf("%d %q", code, got)
	}
	doc, code = getRoom(t, RoomState{FanOut: FanOut{Asked: 1, Answered: 1}, Problem: "the broker is away"}, Viewer{}, "/ui/warehouses/w/zones/z")
	if got := text(doc.Find("#room")); code != 200 || !strings.Contains(got, "can't be read now: the broker is away") {
		t.Errorf("%d %q", code, got)
	}
}

// A warehouse that fills its quotas is seen to, before its publishers are refused; a zone has none
// of its own.
func TestTheWarehousePageShowsItsQuotas(t *testing.T) {
	state := someRoom()
	state.Quotas = []RoomQuota{{Name: "Rooms", Setting: "QUOTA_ROOMS", Used: 9_000, Limit: 10_000},
		{Name: "History", Setting: "QUOTA_HISTORY_BYTES", Used: 1, Limit: 64 << 20, Bytes: true}, {Name: "Retained events", Used: 3}}
	doc, _ := getRoom(t, state, Viewer{}, "/ui/warehouses/w")
	var rows []string
	for _, row := range doc.Find("#quotas-title").Closest("section").Find("tbody tr").EachIter() {
		rows = append(rows, spaced(row)+map[bool]string{true: "!"}[row.Find("svg").Length() > 0])
	}
	want := []string{"Rooms 9,000 10,000 nearly full, 90 % QUOTA_ROOMS!", "History 1 B 64 MiB under 1 % QUOTA_HISTORY_BYTES", "Retained events 3 no limit"}
	if !slices.Equal(rows, want) {
		t.Errorf("%q, want %q", rows, want)
	}
	if doc, _ = getRoom(t, someRoom(), Viewer{}, "/ui/warehouses/w/zones/z"); doc.Find("#quotas-title").Length() > 0 {
		t.Error("a zone shows quotas")
	}
}
