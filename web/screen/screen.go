// Package screen is the wall displays: /screen/{warehouse}/{zone} and /screen/{warehouse}. They
// hang where people work, are read from ten metres and run unattended for months.
//
//	GET /screen/w1/zone-a ──▶ the page, empty ──▶ screen.js ──WebSocket /ws──▶ zone:w1:zone-a, warehouse:w1
//	                                              (within)    SHIFT_SNAPSHOT, ZONE_UPDATE, ALERT ──▶ figures
//	GET /screen/w1 ──▶ the page, empty ──▶ wall.js ──WebSocket /ws──▶ warehouse:w1 and its zones
//	                                       (within)    LAYOUT ──▶ which tiles
//	GET /screen/pair ──▶ the page of a screen that has no token ──▶ pair.js ──▶ a code, then one of the pages above
//	GET /screen/worker.js ──▶ the service worker, which keeps the page for when no server answers
//
// The server sends the frame of the page alone; all figures come over the socket, and all of them
// are put into the page as text, never as HTML: whoever may publish must not be able to run
// anything on a wall.
//
// Script and style sheet stand in the page, which is thus of one version whatever instance answers.
// Each screen asks twice a minute which version the server has, and loads itself anew at a quiet
// moment when that is another one.
//
// A picture must never look live when it is not. The page shows its connection at all times, and
// greys the figures when it is lost, when nothing was heard for Options.StaleAfter, or when
// messages were missed until the next SHIFT_SNAPSHOT.
package screen

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/base"
	"github.com/zonecast/zonecast/web/internal/example"
	"github.com/zonecast/zonecast/web/internal/headers"
)

// Prefix is the path under which the handler of [New] expects to be mounted.
const Prefix = "/screen/"

// BuildHeader tells, in each answer that is a screen, which version of the page's
// files the server has. A screen that comes back after a lost connection compares it and reloads
// itself when it is older.
const BuildHeader = "Zonecast-Build"

// A Zone is listed on the page that leads to the screens.
type Zone struct {
	Warehouse   string
	Name        string
	Connections int
	Published   bool // whether anything was published to it
}

// An Unreadable is a room that got events which no screen can show.
type Unreadable struct {
	Warehouse, Zone string // no zone: the room of the warehouse
	Count           int
	Last            string // what is wrong with the last one
}

// Options says what the screens work with. The zero value is fine.
type Options struct {
	Log *slog.Logger // default: none
	// Zones returns the zones that the index page lists for who sends the request, in any order,
	// and whether those are all; nil lists none.
	Zones func(*http.Request) (zones []Zone, complete bool)
	// Unreadable returns the rooms with events that no screen can show, for who sends the request;
	// nil for none.
	Unreadable func(*http.Request) []Unreadable
	// KeyRequired says that publishing needs an API key; the example on an empty screen then shows
	// where it goes.
	KeyRequired bool
	// StaleAfter is how long a screen waits for the next message of its zone before it says that
	// the figures are old (default 60 s).
	StaleAfter time.Duration
	// Pairing says that a screen which needs a token and has none gets one at /screen/pair.
	Pairing bool
	// Afford does what takes some milliseconds for a page that strangers may ask for, and reports
	// whether it did; if it did not, something cheaper has to do. nil always does it.
	Afford func(work func()) bool
}

// Screens is the handler for everything under [Prefix].
type Screens struct {
	Options
	mux *http.ServeMux
}

// New returns the handler.
func New(opts Options) *Screens {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.StaleAfter <= 0 {
		opts.StaleAfter = time.Minute
	}
	if opts.Afford == nil {
		opts.Afford = func(work func()) bool {
			work()
			return true
		}
	}
	s := &Screens{opts, http.NewServeMux()}
	s.mux.HandleFunc("GET "+Prefix+"{$}", s.serveIndex)
	s.mux.HandleFunc("GET "+Prefix+"worker.js", serveWorker)
	s.mux.HandleFunc("GET "+Prefix+"pair", s.servePairing)
	s.mux.HandleFunc("GET "+Prefix+"{warehouse}", s.serveScreen)
	s.mux.HandleFunc("GET "+Prefix+"{warehouse}/{zone}", s.serveScreen)
	s.mux.HandleFunc("GET "+Prefix, s.serveLost)
	return s
}

func (s *Screens) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// nameShape is what the protocol allows as the name of a warehouse or a zone. The server refuses
// others as well; this only says so to a person, before a screen goes up that can never show
// anything.
var nameShape = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// serveScreen serves the screen of a zone, or without one that of a warehouse.
func (s *Screens) serveScreen(w http.ResponseWriter, r *http.Request) {
	f := frame{Warehouse: r.PathValue("warehouse"), Zone: r.PathValue("zone"), StaleAfter: s.StaleAfter, Pairing: s.Pairing}
	for _, n := range []struct{ what, name string }{{"warehouse", f.Warehouse}, {"zone", f.Zone}} {
		if !nameShape.MatchString(n.name) && (n.name != "" || n.what != "zone") {
			s.serveProblem(w, r, http.StatusBadRequest, problem{
				Title: "No " + n.what + " can have this name",
				Text:  "A name has 1 to 64 characters of A-Z a-z 0-9 . _ - and this one does not fit:",
				Name:  shorten(n.name),
			})
			return
		}
	}
	page, files := display, "screen"
	if f.Zone == "" {
		page, files = wall, "wall"
	}
	f.inline(w, r, files)
	f.Address = strings.TrimSuffix(example.Origin(r)+Prefix+f.Warehouse+"/"+f.Zone, "/")
	f.Example = shiftExample(r, f.Warehouse, f.Zone, s.KeyRequired, time.Now())
	s.render(w, r, http.StatusOK, page(f))
}

// servePairing serves the page on which a screen asks for a token.
func (s *Screens) servePairing(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("wall") { // of the warehouse of this name
		r.SetPathValue("warehouse", "pair")
		s.serveScreen(w, r)
		return
	}
	var f frame
	f.inline(w, r, "pair")
	s.render(w, r, http.StatusOK, pair(f))
}

// inline has the script and the style sheet of these files stand in the page.
func (f *frame) inline(w http.ResponseWriter, r *http.Request, files string) {
	w.Header().Set(BuildHeader, assets.Build())
	style, script := assets.Inline(files+".css", base.Of(r.Context())), assets.Inline(files+".js", base.Of(r.Context()))
	headers.Framed(w.Header(), script.Hash, style.Hash)
	f.Style, f.Script = style.Text, script.Text
}

// serveWorker serves the service worker of all screens.
func serveWorker(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, assets.Inline("worker.js", base.Of(r.Context())).Text) // whoever went away gets none
}

// serveLost answers every other address under Prefix.
func (s *Screens) serveLost(w http.ResponseWriter, r *http.Request) {
	s.serveProblem(w, r, http.StatusNotFound, problem{
		Title: "A screen shows a warehouse or one of its zones",
		Text:  "Its address is /screen/{warehouse} or /screen/{warehouse}/{zone}, which is not:",
		Name:  shorten(r.URL.Path),
		Retry: retryLost,
	})
}

// shorten cuts off what strangers make long: a page does not repeat all of it.
func shorten(text string) string { return fmt.Sprintf("%.100s", text) }

// After how many seconds a page tries again that says why there is no screen: while a new version
// is rolled out an instance may lack what others have.
const (
	retryLost  = 60
	retryError = 10
)

// ServeError answers a request for a page under [Prefix] that the server could not serve. Nobody
// stands before a screen who could try again, so the page does.
func (s *Screens) ServeError(w http.ResponseWriter, r *http.Request, status int, detail string) {
	s.serveProblem(w, r, status, problem{Title: http.StatusText(status), Text: detail, Retry: retryError})
}
