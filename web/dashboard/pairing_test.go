package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

// pairingDoc is the page of the wall screens at which an operator pairs one.
func pairingDoc(t *testing.T, viewer Viewer, query string, asked func(code string) (PairingRequest, error)) *goquery.Document {
	t.Helper()
	d := New(Options{Source: always(Snapshot{}), Viewer: func(*http.Request) Viewer { return viewer },
		Sources: Sources{Screens: func(context.Context) (ScreenPage, error) { return ScreenPage{}, nil },
			Pairing: func(_ context.Context, code string) (PairingRequest, error) { return asked(code) }}})
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest("GET", ScreensPath+query, nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// An operator sees who asks before anything is confirmed, first on the page; what a screen says is
// text, and only fills in what the operator decides.
func TestWhoPairsAScreenSeesWhichOneAsks(t *testing.T) {
	asks := func(code string) (PairingRequest, error) {
		if code == "" {
			return PairingRequest{}, nil
		}
		return PairingRequest{Code: "BCDF-GHJK", Address: "192.0.2.1", Agent: hostile, Name: hostile, Place: "w/a", Since: time.Now().Add(-90 * time.Second)}, nil
	}
	doc := pairingDoc(t, operatorViewer, "?code=bcdf+ghjk", asks)
	if got := text(doc.Find("#pairing .asks")); !strings.HasPrefix(got, "It was asked for from 192.0.2.1 1 min") {
		t.Errorf("it says %q", got)
	}
	if id, _ := doc.Find("main section").First().Attr("id"); id != "pairing" || doc.Find("main b, main img, main script").Length() != 0 {
		t.Errorf("the first part of the page is %q, or has markup of the screen", id)
	}
	for name, want := range map[string]string{"code": "BCDF-GHJK", "name": hostile, "warehouse": "w", "zones": "a"} {
		if got, _ := doc.Find("#pairing form[method=post] [name=" + name + "]").Attr("value"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	limited := operatorViewer
	limited.Limited, limited.Warehouses = true, []string{"v", "w"}
	if got := text(pairingDoc(t, limited, "?code=x", asks).Find("#pairing select option[selected]")); got != "w" {
		t.Errorf("of two warehouses %q is chosen", got)
	}
	if n := pairingDoc(t, Viewer{}, "?code=x", asks).Find("#pairing").Length(); n != 0 {
		t.Error("who may only look can pair")
	}
}

func TestThePageSaysWhyNoScreenIsPaired(t *testing.T) {
	no := func(string) (PairingRequest, error) { return PairingRequest{}, errors.New("there is no secret") }
	doc := pairingDoc(t, operatorViewer, "", no)
	if got := text(doc.Find("#pairing .notice")); got != "there is no secret" || doc.Find("#pairing form").Length() != 0 {
		t.Errorf("where it is not possible: %q, %d forms", got, doc.Find("#pairing form").Length())
	}
	doc = pairingDoc(t, operatorViewer, "?code=ZZZZ-ZZZZ", no)
	if got, _ := doc.Find("#pairing form[method=get] input[name=code]").Attr("value"); got != "ZZZZ-ZZZZ" {
		t.Errorf("the code that was typed is %q", got)
	}
}

func TestZonesAreReadAsTheyAreTyped(t *testing.T) {
	for give, want := range map[string][]string{"": {}, "a": {"a"}, " a, b,,c d ": {"a", "b", "c", "d"}} {
		if got := (Pairing{Zones: give}).ZoneNames(); !slices.Equal(got, want) {
			t.Errorf("%q are %q, want %q", give, got, want)
		}
	}
}
