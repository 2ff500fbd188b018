// Package screen is the wall display of a zone: /screen/{warehouse}/{zone}. It hangs where people
// work, is read from ten metres and runs unattended for months.
//
//	GET /screen/w1/zone-a ──▶ the page, empty ──▶ screen.js ──WebSocket /ws──▶ zone:w1:zone-a, warehouse:w1
//	                                              (within)    SHIFT_SNAPSHOT, ZONE_UPDATE, ALERT ──▶ figures
//
// The server sends the frame of the page alone; all figures come over the socket, and all of them
// are put into the page as text, never as HTML: whoever may publish must not be able to run
// anything on a wall.
//
// Script and style sheet stand in the page, which is thus of one version whatever instance answers.
// Each screen asks twice a minute which version the server has, and loads itself anew at a quiet moment
// when that is another one.
//
// A picture must never look live when it is not. The page shows its connection at all times, and
// greys the figures when it is lost, when nothing was heard for Options.StaleAfter, or when
// messages were missed until the next SHIFT_SNAPSHOT.
package screen

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/zonecast/zonecast/web/assets"
	"github.com/zonecast/zonecast/web/base"
	"github.com/zonecast/zonecast/web/internal/example"
	"github.com/zonecast/zonecast/web/internal/headers"
)

// Prefix is the path under which the handler of [New] expects to be mounted.
const Prefix = "/screen/"

// BuildHeader tells, in each answer to /screen/{warehouse}/{zone}, which version of the page's
// files the server has. A screen that comes back after a lost connection compares it and reloads
// itself when it is older.
const BuildHeader = "Zonecast-Build"

// A Zone is listed on the page that leads to the screens: it has connections, or got events lately.
type Zone struct {
	Warehouse   string
	Name        string
	Connections int
}

// Options says what the screens work with. The zero value is fine.
type Options struct {
	Log *slog.Logger // default: none
	// Zones returns the zones that the index page lists for who sends the request, in any order, and
	// whether those are all; nil lists none.
	Zones func(*http.Request) (zones []Zone, complete bool)
	// KeyRequired says that publishing needs an API key; the example on an empty screen then shows
	// where it goes.
	KeyRequired bool
	// StaleAfter is how long a screen waits for the next message of its zone before it says that
	// the figures are old (default 60 s).
	StaleAfter time.Duration
}

// New returns the handler for everything under [Prefix].
func New(opts Options) http.Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.StaleAfter <= 0 {
		opts.StaleAfter = time.Minute
	}
	s := screens{opts}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"{$}", s.serveIndex)
	mux.HandleFunc("GET "+Prefix+"{warehouse}/{zone}", s.serveScreen)
	mux.HandleFunc("GET "+Prefix, s.serveLost)
	return mux
}

type screens struct{ Options }

// nameShape is what the protocol allows as the name of a warehouse or a zone. The server refuses
// others as well; this only says so to a person, before a screen goes up that can never show
// anything.
var nameShape = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (s screens) serveScreen(w http.ResponseWriter, r *http.Request) {
	warehouse, zone := r.PathValue("warehouse"), r.PathValue("zone")
	for _, n := range []struct{ what, name string }{{"warehouse", warehouse}, {"zone", zone}} {
		if !nameShape.MatchString(n.name) {
			s.serveProblem(w, r, http.StatusBadRequest, problem{
				Title: "No " + n.what + " can have this name",
				Text:  "A name has 1 to 64 characters of A-Z a-z 0-9 . _ - and this one does not fit:",
				Name:  shorten(n.name),
			})
			return
		}
	}
	w.Header().Set(BuildHeader, assets.Build())
	style, script := assets.Inline("screen.css", base.Of(r.Context())), assets.Inline("screen.js", base.Of(r.Context()))
	headers.Framed(w.Header(), script.Hash, style.Hash)
	s.render(w, r, http.StatusOK, display(frame{
		Warehouse:  warehouse,
		Zone:       zone,
		StaleAfter: s.StaleAfter,
		Address:    example.Origin(r) + Prefix + warehouse + "/" + zone,
		Example:    shiftExample(r, warehouse, zone, s.KeyRequired, time.Now()),
		Style:      style.Text,
		Script:     script.Text,
	}))
}

// serveLost answers every other address under Prefix.
func (s screens) serveLost(w http.ResponseWriter, r *http.Request) {
	s.serveProblem(w, r, http.StatusNotFound, problem{
		Title: "A screen shows one zone of one warehouse",
		Text:  "Its address is /screen/{warehouse}/{zone}, which is not:",
		Name:  shorten(r.URL.Path),
	})
}

// shorten cuts off what strangers make long: a page does not repeat all of it.
func shorten(text string) string { return fmt.Sprintf("%.100s", text) }
