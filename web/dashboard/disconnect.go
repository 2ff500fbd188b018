package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ExportPath has the clients that a query selects as a file; whoever mounts the dashboard serves
// it.
const ExportPath = Prefix + "clients.export"

// A disconnectView asks whether clients are to be disconnected.
type disconnectView struct {
	ClientPage
	query   ClientQuery
	viewer  Viewer
	pages   []pageLink
	now     time.Time
	problem string // why nobody can be disconnected
}

func (d *Dashboard) serveDisconnect(w http.ResponseWriter, r *http.Request) {
	query := ParseClientQuery(r.URL.Query())
	query.After, query.Sort, query.Limit = "", "", 10
	v := disconnectView{query: query, viewer: d.opts.Viewer(r), pages: d.opts.pages(), now: time.Now()}
	status := http.StatusOK
	switch {
	case !v.viewer.CanDisconnect:
		v.problem, status = "Your role only lets you look. Ask an operator, or sign in as one.", http.StatusForbidden
	case query.SelectsAll():
		v.problem, status = "Nobody is chosen. Go back and choose clients, or filter them first: all of them at once can't be disconnected here.", http.StatusBadRequest
	default:
		chosen := query.chosen()
		chosen.ToDisconnect = true
		found := d.clientsView(r.Context(), r, chosen)
		v.ClientPage = found.ClientPage
		if found.problem != "" {
			v.problem, status = found.problem, http.StatusServiceUnavailable
		} else if v.Total == 0 && v.Complete() {
			v.problem = "None of them is connected any more."
		}
	}
	d.write(w, r, status, disconnectPage(v))
}

func (v disconnectView) layout() layout {
	return layout{Path: ClientsPath, Title: "Disconnect clients", Pages: v.pages, Skip: "confirm", SkipText: "the question", Viewer: v.viewer}
}

// filterText are the parameters that select those who are to be disconnected, without the IDs.
func (v disconnectView) filterText() string { return v.query.filterValues().Encode() }

func (v disconnectView) backAddress() string { return withQuery(ClientsPath, v.query.filterValues()) }

// A Disconnection is what the page posts to DisconnectPath.
type Disconnection struct {
	ClientQuery             // of the list that it came from
	chosen      ClientQuery // of whom to disconnect
	Reason      string
	Ban         bool // they are told not to come back
}

// ParseDisconnection reads the form. Those who came since the page was shown are not meant: a form
// that is sent twice does nothing the second time.
func ParseDisconnection(form url.Values) Disconnection {
	filter, _ := url.ParseQuery(form.Get("filter")) // what can't be read does not matter: it selects nobody
	query := ParseClientQuery(filter)
	query.After, query.Sort = "", ""
	query.IDs = form["id"][:min(len(form["id"]), MaxSelected)]
	if ms, err := strconv.ParseInt(form.Get("before"), 10, 64); err == nil && ms > 0 {
		query.OpenedBefore = time.UnixMilli(ms)
	}
	return Disconnection{ClientQuery: query, chosen: query.chosen(), Reason: parameter(form, "reason"), Ban: form.Get("ban") != ""}
}

// Chosen selects those who are to be disconnected.
func (d Disconnection) Chosen() ClientQuery { return d.chosen }

// chosen selects those who are named, or else all that match.
func (q ClientQuery) chosen() ClientQuery {
	if len(q.IDs) > 0 {
		return ClientQuery{IDs: q.IDs, OpenedBefore: q.OpenedBefore, Limit: q.Limit}
	}
	return q
}

// DoneAddress is where the form leads: the list that it came from, which says what was done.
func (d Disconnection) DoneAddress(disconnected int, f FanOut) string {
	values := d.filterValues()
	values.Set("done", strconv.Itoa(disconnected))
	if !f.Complete() {
		values.Set("partly", "1")
	}
	return withQuery(ClientsPath, values)
}

// doneText says what was done a moment ago; empty for nothing.
func doneText(values url.Values) string {
	n, err := strconv.Atoi(values.Get("done"))
	if err != nil || n < 0 {
		return ""
	}
	text := plural(n, "client") + " disconnected."
	if n == 0 {
		text = "Nobody was disconnected: they had left before, somebody else disconnected them, or they are in a warehouse too that is not yours."
	}
	if values.Get("partly") != "" {
		text += " Not all instances answered in time: those may have disconnected more, or none."
	}
	return text
}
