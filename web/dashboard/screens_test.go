package dashboard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/zonecast/zonecast/web/assets"
)

// screensDoc is the page of these screens, as the viewer sees it.
func screensDoc(t *testing.T, page ScreenPage, viewer Viewer) *goquery.Document {
	t.Helper()
	d := New(Options{Source: always(Snapshot{}), Viewer: func(*http.Request) Viewer { return viewer },
		Sources: Sources{Screens: func(context.Context) (ScreenPage, error) { return page, nil }}})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", ScreensPath+"?done=<b>", nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The list says which screens are dark, since when, and which have another version of the page; one
// that is dark can't be told anything, but unpaired, and who may only look tells none anything.
func TestScreensAreListed(t *testing.T) {
	now := time.Now()
	page := ScreenPage{FanOut: FanOut{Asked: 1, Answered: 1}, Forgotten: 2, Screens: []Screen{
		{ID: "aaaa1111", Name: hostile, Room: Room{"w", "a"}, Build: "older", Loaded: now.Add(-time.Hour), Seen: now.Add(-time.Hour), Dark: true, Node: "n", Address: hostile},
		{ID: "bbbb2222", Room: Room{Warehouse: "w"}, Layout: hostile, Build: assets.Build(), Loaded: now.Add(-time.Minute), Seen: now, Node: "n"},
		{ID: "cccc3333", Room: Room{"w", "z"}, Build: assets.Build(), Loaded: now.Add(-time.Hour), Seen: now.Add(-time.Hour), Dark: true, Paired: true, Node: "n"}}}
	doc := screensDoc(t, page, operatorViewer)
	rows := doc.Find("#screens tbody tr")
	for i, want := range []string{"dark since 1 h 0 min", "w?wall="} {
		if got := text(rows.Eq(i)); !strings.Contains(got, want) {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	for selector, want := range map[string]int{"#screens input[value=aaaa1111]": 0, "#screens input[value=bbbb2222]": 1, "#screens input[value=cccc3333]": 1, "#screens .warn": 1, "main b, main img, main script": 0,
		"form#order button[name=do]": 4} {
		if got := doc.Find(selector).Length(); got != want {
			t.Errorf("%d of %s, want %d", got, selector, want)
		}
	}
	if got := text(doc.Find("#screens .more")); !strings.Contains(got, "3 screens, 2 dark") || !strings.Contains(got, "2 dark ones gave way") {
		t.Errorf("counted: %q", got)
	}
	if n := screensDoc(t, page, Viewer{}).Find("#order, #screens input").Length(); n != 0 {
		t.Errorf("who may only look has %d controls", n)
	}
	if got := text(screensDoc(t, ScreenPage{}, Viewer{}).Find("#screens")); !strings.Contains(got, "No screen has been heard of") {
		t.Errorf("without screens: %q", got)
	}
}
