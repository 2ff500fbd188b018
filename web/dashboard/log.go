package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LogExportPath has the events that a query selects as a file; whoever mounts the dashboard serves
// it.
const LogExportPath = Prefix + "log.export"

// eventRows is how many events the page lists.
const eventRows = 100

// eventKinds are the kinds of events, in words.
var eventKinds = []option{{"", "all"}, {"started", "instance started"}, {"gone", "instance gone"}, {"back", "instance back"},
	{"drain_begun", "drain begun"}, {"drain_ended", "drain ended"}, {"left", "instance left"}, {"broker_down", "broker away"}, {"broker_up", "broker back"}, {"gaps", "gaps"},
	{"history_lost", "history lost"}, {"flood", "flood of connections"}, {"quota", "quota reached"}, {"settings", "settings changed"}}

// eventLooks are those of the kinds that mean trouble, or its end.
var eventLooks = map[string]string{"gone": "state bad", "back": "state good", "broker_down": "state bad", "broker_up": "state good",
	"gaps": "state bad", "history_lost": "state bad", "flood": "state warn", "quota": "state warn"}

func (e Event) look() string { return cmp.Or(eventLooks[e.Kind], "plain") }

func (e Event) words() string {
	for _, o := range eventKinds[1:] {
		if o.Value == e.Kind {
			return o.Name
		}
	}
	return strings.ReplaceAll(e.Kind, "_", " ")
}

// countText says how many there were, of several in one line.
func (e Event) countText() string {
	if e.Count < 2 {
		return ""
	}
	return grouped(int64(e.Count)) + " times"
}

// lastedText says how long it took.
func (e Event) lastedText() string {
	if e.Lasted <= 0 {
		return ""
	}
	return span(e.Lasted.Round(time.Second))
}

// logSpans are what the page offers to look back.
var logSpans = []option{{"", "all that is kept"}, {"1h", "the last hour"}, {"24h", "the last day"}, {"168h", "the last 7 days"}}

// ParseEventQuery reads the query of an address. What it can't read does not matter.
func ParseEventQuery(values url.Values) EventQuery {
	q := EventQuery{Kind: oneOf(eventKinds, parameter(values, "kind")), Node: parameter(values, "node"), Before: parameter(values, "before"),
		Limit: eventRows}
	if back, err := time.ParseDuration(oneOf(logSpans, parameter(values, "since"))); err == nil {
		q.Since = time.Now().Add(-back)
	}
	return q
}

// A logView is the page of the events.
type logView struct {
	EventPage
	query   url.Values
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
}

func (d *Dashboard) addLog() {
	if d.opts.Events == nil {
		return
	}
	d.mux.HandleFunc("GET "+LogPath, func(w http.ResponseWriter, r *http.Request) {
		v := d.logView(r.Context(), r)
		d.write(w, r, statusOf(v.problem), logPage(v))
	})
	d.mux.HandleFunc("GET "+LogPath+"/events", func(w http.ResponseWriter, r *http.Request) {
		d.stream(w, r, d.feedKey(r), d.loadLog(r))
	})
}

func (d *Dashboard) loadLog(r *http.Request) loader {
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.logView(ctx, r)
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(FanOut{}, v.problem)}, {"events", events(v)}}, next
	}
}

func (d *Dashboard) logView(ctx context.Context, r *http.Request) logView {
	v := logView{query: r.URL.Query(), viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.EventPage, err = d.opts.Events(ctx, ParseEventQuery(v.query)); err != nil {
		v.problem = err.Error()
	}
	return v
}

// values are the parameters that say which events are shown.
func (v logView) values() url.Values {
	values := url.Values{}
	for _, name := range []string{"kind", "node", "since"} {
		if value := parameter(v.query, name); value != "" {
			values.Set(name, value)
		}
	}
	return values
}

func (v logView) layout() layout {
	values := v.values()
	if before := parameter(v.query, "before"); before != "" {
		values.Set("before", before)
	}
	return layout{Path: LogPath, Pages: v.pages, Skip: "events", SkipText: "the events", Stream: withQuery(LogPath+"/events", values),
		Self: withQuery(LogPath, values), Viewer: v.viewer}
}

func (v logView) olderAddress() string {
	values := v.values()
	values.Set("before", v.Next)
	return withQuery(LogPath, values)
}

func (v logView) exportAddress(format string) string {
	values := v.values()
	values.Set("format", format)
	return withQuery(LogExportPath, values)
}
