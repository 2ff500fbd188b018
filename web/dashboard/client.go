package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// pastRows is how many earlier connections of a client its page lists.
const pastRows = 10

// A clientView is the page of one client.
type clientView struct {
	FanOut
	client  *ClientDetail // nil when it is not there
	id      string
	past    []ClosedConnection // its earlier connections; of one that is gone, this one
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
}

func (d *Dashboard) serveClient(w http.ResponseWriter, r *http.Request) {
	v := d.clientView(r.Context(), r)
	status := statusOf(v.problem)
	if v.problem == "" && v.client == nil && v.Complete() {
		status = http.StatusNotFound
	}
	d.write(w, r, status, clientPage(v))
}

func (d *Dashboard) loadClient(r *http.Request) loader {
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.clientView(ctx, r)
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"client", client(v)}}, next
	}
}

// clientView asks for the client, and then for what it did before, in the time of one question.
func (d *Dashboard) clientView(ctx context.Context, r *http.Request) clientView {
	v := clientView{id: r.PathValue("id"), viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	asking, cancel := context.WithTimeout(ctx, askTimeout/2)
	defer cancel()
	var err error
	if v.client, v.FanOut, err = d.opts.Client(asking, v.id); err != nil {
		v.problem = err.Error()
		return v
	}
	if d.opts.Closed == nil {
		return v
	}
	query := ClosedQuery{Search: v.id, Limit: pastRows}
	if v.client != nil {
		query = ClosedQuery{User: v.client.User, Limit: pastRows}
		if query.User == "" {
			query.Address, query.Agent = v.client.Address, v.client.Agent
		}
	}
	looking, cancel := context.WithTimeout(ctx, askTimeout/2)
	defer cancel()
	if past, err := d.opts.Closed(looking, query); err == nil {
		v.past = past.Connections
	}
	return v
}

func (v clientView) layout() layout {
	self := clientAddress(v.id)
	l := layout{Path: ClientsPath, Title: "Client " + v.id, Pages: v.pages, Skip: "client", SkipText: "the client", Self: self, Viewer: v.viewer}
	if v.client != nil {
		l.Title, l.Stream = "Client "+v.client.name(), self+"/events"
	}
	return l
}

// disconnectAddress asks whether the client is to be disconnected.
func (v clientView) disconnectAddress() string {
	return withQuery(DisconnectPath, url.Values{"id": {v.id}})
}

// pastAddress has all that is remembered of the client.
func (v clientView) pastAddress() string {
	search := v.id
	if v.client != nil && v.client.User != "" {
		search = v.client.User
	} else if v.client != nil {
		search = v.client.Address
	}
	return withQuery(ClosedPath, url.Values{"search": {search}})
}
