package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/zonecast/zonecast/web/assets"
)

// ScreensPath lists the wall screens. What its form posts to it, the fields of an [Order], is for
// whoever mounts the dashboard to serve, and leads to [Order.DoneAddress].
const ScreensPath = Prefix + "screens"

// A ScreenPage has wall screens, the dark ones first.
type ScreenPage struct {
	FanOut
	Screens   []Screen
	Forgotten int // screens that are no longer known, since there were too many
}

// A Screen is a wall screen.
type Screen struct {
	ID, Name     string
	Room                // that it shows
	Layout       string // the name of the wall in the layout of its warehouse
	Build        string // of its page
	Loaded, Seen time.Time
	Dark         bool // not heard of since Seen
	Address      string
	Node         string // that it told last
	Paired       bool   // whether it has a token of its own
}

// An Order is what an operator wants of a screen.
type Order struct{ ID, Do, Show string }

// ParseOrder reads what the form posts.
func ParseOrder(form url.Values) Order {
	return Order{parameter(form, "id"), parameter(form, "do"), parameter(form, "show")}
}

// DoneAddress is where the form leads: the list, which says what was done.
func (o Order) DoneAddress() string { return withQuery(ScreensPath, url.Values{"done": {o.Do}}) }

// orderWords say what a screen was told.
var orderWords = map[string]string{
	"identify": "The screen shows its name in large letters for 15 s.",
	"reload":   "The screen loads itself anew.",
	"show":     "The screen was told to show something else, and does if its token lets it.",
	"unpair":   "The screen has no token any longer, and shows a code.",
	"pair":     "The screen is paired, and shows what it may see within seconds.",
}

// code is what a screen shows that has no name, and what tells those of the same name apart.
func (s Screen) code() string { return s.ID[:min(len(s.ID), 4)] }

func (s Screen) name() string {
	if s.Name != "" {
		return s.Name
	}
	return s.code()
}

// shows is what the screen shows.
func (s Screen) shows() string {
	switch {
	case s.Zone != "":
		return s.Warehouse + "/" + s.Zone
	case s.Layout != "":
		return s.Warehouse + "?wall=" + s.Layout
	}
	return s.Warehouse
}

func (s Screen) isOld() bool { return s.Build != assets.Build() }

// A screensView is the page of the wall screens.
type screensView struct {
	ScreenPage
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
	done    string
	pairing *pairingView // nil for nobody who may, and where there is nothing to pair
}

func (d *Dashboard) addScreens() {
	if d.opts.Screens == nil {
		return
	}
	d.mux.HandleFunc("GET "+ScreensPath, func(w http.ResponseWriter, r *http.Request) {
		v := d.screensView(r.Context(), r)
		v.done = orderWords[r.URL.Query().Get("done")]
		v.pairing = d.pairingView(r, Pairing{Code: parameter(r.URL.Query(), "code")})
		d.write(w, r, statusOf(v.problem), screensPage(v))
	})
	d.mux.HandleFunc("GET "+ScreensPath+"/events", func(w http.ResponseWriter, r *http.Request) {
		d.stream(w, r, d.feedKey(r), func(ctx context.Context) ([]section, <-chan struct{}) {
			next := tick()
			v := d.screensView(ctx, r)
			return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
				{"partial", partialNotice(v.FanOut, v.problem)}, {"screens", screens(v)}}, next
		})
	})
}

func (d *Dashboard) screensView(ctx context.Context, r *http.Request) screensView {
	v := screensView{viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.ScreenPage, err = d.opts.Screens(ctx); err != nil {
		v.problem = err.Error()
	}
	return v
}

func (v screensView) layout() layout {
	return layout{Path: ScreensPath, Pages: v.pages, Skip: "screens", SkipText: "the screens", Stream: ScreensPath + "/events",
		Self: ScreensPath, Viewer: v.viewer}
}

// countText says how many there are, and how many of them are dark.
func (v screensView) countText() string {
	dark := 0
	for _, s := range v.Screens {
		if s.Dark {
			dark++
		}
	}
	if dark == 0 {
		return plural(len(v.Screens), "screen") + ", none is dark"
	}
	return plural(len(v.Screens), "screen") + ", " + grouped(int64(dark)) + " dark"
}
