// Package dashboard is the operator's view of a running Zonecast: who is connected where, how much
// is published and delivered, how fast, and how each instance is.
//
//	Source ◀── Run: one goroutine, once a second ──▶ figures ──▶ GET /ui/         the whole page
//	(cmd adapts)     rates, percentiles, trend                └─▶ GET /ui/events   each section as it changes, over SSE
//
// A section of the page is one templ component; the page and the event stream render the same one.
// All of a page comes from the own server, and nothing in it is inline, so a strict
// Content-Security-Policy holds.
//
// Figures never look newer or more complete than they are: when instances are silent the page names
// them, and when the browser loses the server the page itself (live.ts) says so and greys the
// figures.
package dashboard

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Prefix is the path under which a [Dashboard] expects to be mounted.
const Prefix = "/ui/"

// RebalancePath is what the button of the instances is posted to, which whoever mounts the
// dashboard serves: it shares the connections out among the instances, and leads back to Prefix.
const RebalancePath = Prefix + "rebalance"

// DismissPath is what the button of an instance that is gone is posted to, with its id, which
// whoever mounts the dashboard serves: the instance is forgotten, and it leads back to Prefix.
const DismissPath = Prefix + "dismiss"

// maxViewers is how many event streams are open at once; one more is answered 503.
const maxViewers = 100

// Options says what a dashboard works with. Only Source has to be there.
type Options struct {
	// Source returns the state of the cluster, without waiting for the network. It is called from
	// one goroutine.
	Source func() Snapshot
	Log    *slog.Logger // default: none
	// KeyRequired says that publishing needs an API key; the example of the empty page then shows
	// where it goes.
	KeyRequired bool

	// Viewer returns who sends a request; nil: everybody sees everything.
	Viewer func(*http.Request) Viewer

	// Grafana is the address of a dashboard in Grafana, where figures are kept for longer; may be
	// empty.
	Grafana string

	// Sources are what the other pages ask.
	Sources

	// Interval is the time between two snapshots while someone looks (default 1 s), IdleInterval
	// while nobody does (default 5 s), so that the trend is there for whoever opens the page.
	Interval, IdleInterval time.Duration
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Viewer == nil {
		o.Viewer = func(*http.Request) Viewer { return Viewer{} }
	}
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.IdleInterval = cmp.Or(o.IdleInterval, 5*time.Second)
	return o
}

// A Viewer is who looks at the dashboard.
type Viewer struct {
	// Name is the operator's; empty where nobody signs in.
	Name string
	// CanSignOut says that there is a session that can be ended.
	CanSignOut bool
	// CanDisconnect says that clients may be disconnected.
	CanDisconnect bool
	// CanDismiss says that instances may be drained, and those that are gone dismissed.
	CanDismiss bool
	// CanRebalance says that the button for it is of use.
	CanRebalance bool
	// Limited says that only rooms of Warehouses are shown.
	Limited    bool
	Warehouses []string
	// SendsToAll and SendsTo say to which warehouses tests may be sent, and where retained events
	// may be removed.
	SendsToAll bool
	SendsTo    []string
}

// mayView and maySend report what the viewer may do with the rooms of a warehouse.
func (v Viewer) mayView(warehouse string) bool {
	return !v.Limited || slices.Contains(v.Warehouses, warehouse)
}

func (v Viewer) maySend(warehouse string) bool {
	return v.SendsToAll || slices.Contains(v.SendsTo, warehouse)
}

// A Dashboard serves everything under [Prefix]. [Dashboard.Run] must run for its figures to live.
type Dashboard struct {
	// Static after New.
	opts   Options
	mux    *http.ServeMux
	closed chan struct{} // closed by Close

	// Safe for all.
	latest  atomic.Pointer[figures] // written by the sampler alone; never nil
	viewers atomic.Int64            // open event streams
	streams atomic.Uint64           // numbers those that share nothing
	arrived chan struct{}           // tells the sampler that someone looks now; holds one

	past      past
	feeds     feeds
	closeOnce sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, at each new snapshot
}

var _ http.Handler = (*Dashboard)(nil)

// New returns a dashboard. It shows "no figures yet" until Run has asked the source.
func New(opts Options) *Dashboard {
	d := &Dashboard{
		opts:    opts.withDefaults(),
		mux:     http.NewServeMux(),
		closed:  make(chan struct{}),
		arrived: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	d.latest.Store(&figures{})
	d.mux.HandleFunc("GET "+Prefix+"{$}", d.servePage)
	d.mux.HandleFunc("GET "+Prefix+"events", d.serveEvents)
	d.addPages()
	return d
}

func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// Close ends Run and all event streams, which http.Server.Shutdown would wait for. It may be called
// more than once.
func (d *Dashboard) Close() { d.closeOnce.Do(func() { close(d.closed) }) }

func (d *Dashboard) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}
