package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/zonecast/zonecast/web/internal/headers"
)

const (
	// clientRows is how many clients a page lists.
	clientRows = 50
	// MaxSelected is how many clients can be chosen one by one.
	MaxSelected = 100
	// maxParameter is the most bytes that are taken of each parameter.
	maxParameter = 256
)

// An option is a choice of a form.
type option struct{ Value, Name string }

// clientSorts are the orders of the clients.
var clientSorts = []option{{"", "their ids"}, {"newest", "newest first"}, {"oldest", "longest here first"}, {"queued", "most bytes queued first"},
	{"rtt", "longest round trip first"}, {"sent", "most bytes sent first"}}

var transports = []option{{"", "all"}, {"websocket", "websocket"}, {"sse", "sse"}, {"poll", "poll"}}

// parameter returns a parameter of an address, as text that can be shown.
func parameter(values url.Values, name string) string {
	value := strings.TrimSpace(values.Get(name))
	return strings.ToValidUTF8(value[:min(len(value), maxParameter)], "")
}

// oneOf returns the value if it is one of the options, or else the first of them.
func oneOf(options []option, value string) string {
	if slices.ContainsFunc(options, func(o option) bool { return o.Value == value }) {
		return value
	}
	return options[0].Value
}

// ParseClientQuery reads the query of an address. What it can't read does not matter.
func ParseClientQuery(values url.Values) ClientQuery {
	text := func(name string) string { return parameter(values, name) }
	q := ClientQuery{Search: text("search"), Warehouse: text("warehouse"), Zone: text("zone"), User: text("user"),
		Transport: oneOf(transports, text("transport")), Address: text("address"), Agent: text("agent"), Node: text("node"),
		Slow: text("slow") != "", Sort: oneOf(clientSorts, text("sort")), After: text("after"), Limit: clientRows}
	if n, err := strconv.Atoi(text("queued")); err == nil && n > 0 {
		q.MinQueued = n
	}
	if q.Warehouse == "" {
		q.Zone = "" // zones of the same name are different ones
	}
	q.IDs = values["id"][:min(len(values["id"]), MaxSelected)]
	return q
}

// filterValues are the parameters that say what the query selects, and in which order.
func (q ClientQuery) filterValues() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"search": q.Search, "warehouse": q.Warehouse, "zone": q.Zone, "user": q.User,
		"transport": q.Transport, "address": q.Address, "agent": q.Agent, "node": q.Node, "sort": q.Sort} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Slow {
		values.Set("slow", "1")
	}
	if q.MinQueued > 0 {
		values.Set("queued", strconv.Itoa(q.MinQueued))
	}
	return values
}

// withQuery is an address with parameters.
func withQuery(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// A clientsView is the page of the clients.
type clientsView struct {
	ClientPage
	query   ClientQuery
	shown   []string // the IDs of the rows, in their order
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
	done    string // what was done a moment ago
	none    string // what is said of an empty list; empty for what fits any
}

func (d *Dashboard) addPages() {
	if d.opts.Clients != nil {
		d.mux.HandleFunc("GET "+ClientsPath, d.serveClients)
		d.mux.HandleFunc("GET "+ClientsPath+"/events", func(w http.ResponseWriter, r *http.Request) {
			d.stream(w, r, d.feedKey(r), d.loadClients(r))
		})
		d.mux.HandleFunc("GET "+DisconnectPath, d.serveDisconnect)
	}
	if d.opts.Client != nil {
		d.mux.HandleFunc("GET "+ClientPath+"{id}", d.serveClient)
		d.mux.HandleFunc("GET "+ClientPath+"{id}/events", func(w http.ResponseWriter, r *http.Request) {
			d.stream(w, r, d.feedKey(r), d.loadClient(r))
		})
	}
	d.addClosed()
	d.addLog()
	d.addScreens()
	d.addRooms()
	d.addInstances()
	d.addPast()
}

// write writes a page.
func (d *Dashboard) write(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	headers.Page(w.Header())
	w.WriteHeader(status)
	if err := page.Render(r.Context(), w); err != nil {
		d.opts.Log.Debug("dashboard page was not delivered", "error", err)
	}
}

// statusOf is that of a page whose source failed, or not.
func statusOf(problem string) int {
	if problem != "" {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (d *Dashboard) serveClients(w http.ResponseWriter, r *http.Request) {
	v := d.clientsView(r.Context(), r, ParseClientQuery(r.URL.Query()))
	for _, c := range v.Clients {
		v.shown = append(v.shown, c.ID)
	}
	v.done = doneText(r.URL.Query())
	d.write(w, r, statusOf(v.problem), clientsPage(v))
}

// loadClients is the loader of the rows that a page has: none of them moves, whatever the others
// do.
func (d *Dashboard) loadClients(r *http.Request) loader {
	query := ParseClientQuery(r.URL.Query())
	if text := r.URL.Query().Get("show"); text != "" {
		query.Show = strings.Split(text, ",")
		query.Show = query.Show[:min(len(query.Show), clientRows)]
	}
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.clientsView(ctx, r, query)
		v.shown = query.Show
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"clients", clients(v)}}, next
	}
}

// clientsView asks for the clients.
func (d *Dashboard) clientsView(ctx context.Context, r *http.Request, query ClientQuery) clientsView {
	v := clientsView{query: query, viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.ClientPage, err = d.opts.Clients(ctx, query); err != nil {
		v.problem = err.Error()
	}
	return v
}

func (v clientsView) layout() layout {
	values := v.query.filterValues()
	if v.query.After != "" {
		values.Set("after", v.query.After)
	}
	self := withQuery(ClientsPath, values)
	values.Set("show", strings.Join(v.shown, ","))
	return layout{Path: ClientsPath, Pages: v.pages, Skip: "clients", SkipText: "the clients",
		Stream: withQuery(ClientsPath+"/events", values), Self: self, Viewer: v.viewer}
}

// A clientRow is a line of the list. Client is nil when it is not connected any more, or its
// instance does not answer.
type clientRow struct {
	ID string
	*Client
}

// rows are those that the page began with, in their order.
func (v clientsView) rows() []clientRow {
	rows := make([]clientRow, len(v.shown))
	for i, id := range v.shown {
		rows[i].ID = id
		if at := slices.IndexFunc(v.Clients, func(c Client) bool { return c.ID == id }); at >= 0 {
			rows[i].Client = &v.Clients[at]
		}
	}
	return rows
}

// goneText says of a row why it has no figures.
func (f FanOut) goneText() string {
	if f.Complete() {
		return "not connected any more"
	}
	return "no answer: not connected any more, or at an instance that does not answer"
}

// countText says how many there are.
func (v clientsView) countText() string {
	switch {
	case v.query.After != "":
		return fmt.Sprintf("%s of the %s from here on", grouped(int64(len(v.shown))), grouped(int64(v.Total)))
	case v.Total > len(v.shown):
		return fmt.Sprintf("the first %s of %s", grouped(int64(len(v.shown))), plural(v.Total, "client"))
	}
	return plural(v.Total, "client")
}

// moreFilters reports whether one of the filters that are folded away is set.
func (v clientsView) moreFilters() bool {
	q := v.query
	return q.Zone+q.User+q.Transport+q.Address+q.Agent+q.Node != "" || q.Slow || q.MinQueued > 0
}

func (v clientsView) queuedText() string {
	if v.query.MinQueued == 0 {
		return ""
	}
	return strconv.Itoa(v.query.MinQueued)
}

// nextAddress is the next page, allAddress the page with all clients, firstAddress the first one.
func (v clientsView) nextAddress() string {
	values := v.query.filterValues()
	values.Set("after", v.Next)
	return withQuery(ClientsPath, values)
}

func (v clientsView) firstAddress() string { return withQuery(ClientsPath, v.query.filterValues()) }

// exportAddress is the list of all that match, as a file.
func (v clientsView) exportAddress(format string) string {
	values := v.query.filterValues()
	values.Del("sort")
	values.Set("format", format)
	return withQuery(ExportPath, values)
}

// disconnectAllAddress asks whether all that match are to be disconnected.
func (v clientsView) disconnectAllAddress() string {
	return withQuery(DisconnectPath, v.query.filterValues())
}

// name is what a client is called.
func (c Client) name() string {
	if c.User != "" {
		return c.User
	}
	return c.ID
}

func (c Client) address() string { return clientAddress(c.ID) }

func clientAddress(id string) string { return ClientPath + url.PathEscape(id) }

// roomsText names the first rooms.
func roomsText(rooms []Room, more int) string {
	const few = 2
	var zones []string
	for _, r := range rooms {
		if r.Zone != "" {
			zones = append(zones, r.Zone+" in "+r.Warehouse)
		}
	}
	for _, r := range rooms { // a warehouse goes without saying where one is in a zone of it
		inZone := slices.ContainsFunc(rooms, func(z Room) bool { return z.Warehouse == r.Warehouse && z.Zone != "" })
		if r.Zone == "" && !inZone {
			zones = append(zones, r.Warehouse)
		}
	}
	if len(zones) == 0 {
		return "–"
	}
	more += max(0, len(zones)-few)
	text := strings.Join(zones[:min(few, len(zones))], ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// roundTrip writes a round trip.
func roundTrip(d time.Duration) string {
	return latencyText(percentile{Known: d > 0, Latency: d})
}
