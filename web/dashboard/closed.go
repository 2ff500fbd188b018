package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// closedRows is how many connections the page lists.
const closedRows = 50

// closeWords say why a connection ended, by the name of its close code (docs/protocol.md).
var closeWords = []option{
	{"", "any reason"},
	{"going_away", "it left, or was not heard of any more (1001)"},
	{"too_big", "it sent a frame over the limit (1009)"},
	{"restart", "it was asked to connect again (1012)"},
	{"bad_frame", "it did not speak the protocol (4400)"},
	{"unauthenticated", "no valid token, or it expired or was revoked (4401)"},
	{"forbidden", "its token does not permit that, or an operator banned it (4403)"},
	{"slow_consumer", "it was too slow: more waited for it than is kept (4408)"},
	{"replaced", "a newer connection of its user took its place (4409)"},
	{"limit_reached", "a limit was reached (4429)"},
}

// refusalWords say why a connection was refused, by the label of
// zonecast_connections_refused_total.
var refusalWords = map[string]string{
	"address_limit":       "too many connections from its address",
	"address_tcp_limit":   "too many TCP connections from its address",
	"limit_reached":       "a limit of connections was reached",
	"tcp_limit":           "too many TCP connections",
	"draining":            "the instance was leaving",
	"unauthenticated":     "no valid token, or an expired one",
	"forbidden":           "its origin or its token does not permit it",
	"bad_frame":           "no WebSocket handshake",
	"rate_limited":        "it came too often",
	"invalid_data":        "its query can't be read",
	"invalid_room":        "it named no valid warehouse or zone",
	"invalid_offset":      "it named no valid offset",
	"service_unavailable": "the broker was away",
	"tls_handshake":       "the TLS handshake failed",
}

// words say the reason in words.
func (c Churn) words() string {
	if c.Refused {
		if words, ok := refusalWords[c.Reason]; ok {
			return "refused: " + words
		}
		return "refused: " + strings.ReplaceAll(c.Reason, "_", " ")
	}
	return codeWords(c.Reason)
}

func codeWords(code string) string {
	for _, o := range closeWords[1:] {
		if o.Value == code {
			return o.Name
		}
	}
	return strings.ReplaceAll(code, "_", " ")
}

// perSecondText is the mean of the last minute.
func (c Churn) perSecondText() string {
	return perSecond(rate{PerSecond: float64(c.Minute) / 60, Known: true})
}

// why is the reason in words, as exactly as the server knows it.
func (c ClosedConnection) why() string {
	if c.Why != "" {
		return c.Why
	}
	return codeWords(c.Code)
}

// returnedText says after how long its client came back.
func (c ClosedConnection) returnedText() string {
	if c.Returned.IsZero() {
		return "not yet"
	}
	after := c.Returned.Sub(c.Time)
	if after < time.Second {
		return "at once"
	}
	return "after " + span(after)
}

func (c ClosedConnection) name() string { return Client{ID: c.ID, User: c.User}.name() }

// A closedView is the page of the connections that ended lately.
type closedView struct {
	ClosedPage
	query   ClosedQuery
	viewer  Viewer
	pages   []pageLink
	verdict verdict
	now     time.Time
	problem string
}

func (d *Dashboard) addClosed() {
	if d.opts.Closed == nil {
		return
	}
	d.mux.HandleFunc("GET "+ClosedPath, func(w http.ResponseWriter, r *http.Request) {
		v := d.closedView(r.Context(), r)
		d.write(w, r, statusOf(v.problem), closedPage(v))
	})
	d.mux.HandleFunc("GET "+ClosedPath+"/events", func(w http.ResponseWriter, r *http.Request) {
		d.stream(w, r, d.feedKey(r), d.loadClosed(r))
	})
}

// loadClosed is the loader of a page's churn alone: its list stands still under who reads it.
func (d *Dashboard) loadClosed(r *http.Request) loader {
	return func(ctx context.Context) ([]section, <-chan struct{}) {
		next := tick()
		v := d.closedView(ctx, r)
		return []section{{"asof", asOf(v.now, uint64(v.now.UnixMilli()))}, {"verdict", verdictLine(v.verdict)},
			{"partial", partialNotice(v.FanOut, v.problem)}, {"churn", churn(v)}}, next
	}
}

func (d *Dashboard) closedView(ctx context.Context, r *http.Request) closedView {
	values := r.URL.Query()
	text := func(name string) string { return parameter(values, name) }
	query := ClosedQuery{Search: text("search"), Code: oneOf(closeWords, text("code")), Warehouse: text("warehouse"), Zone: text("zone"),
		Before: text("before"), Limit: closedRows}
	v := closedView{query: query, viewer: d.opts.Viewer(r), pages: d.opts.pages(), verdict: d.latest.Load().verdict, now: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if v.ClosedPage, err = d.opts.Closed(ctx, query); err != nil {
		v.problem = err.Error()
	}
	return v
}

func (q ClosedQuery) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"search": q.Search, "code": q.Code, "warehouse": q.Warehouse, "zone": q.Zone} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

func (v closedView) layout() layout {
	values := v.query.values()
	stream := withQuery(ClosedPath+"/events", values)
	if v.query.Before != "" {
		values.Set("before", v.query.Before)
	}
	return layout{Path: ClosedPath, Pages: v.pages, Skip: "closed", SkipText: "the connections", Stream: stream,
		Self: withQuery(ClosedPath, values), Viewer: v.viewer}
}

func (v closedView) olderAddress() string {
	values := v.query.values()
	values.Set("before", v.Next)
	return withQuery(ClosedPath, values)
}

func (v closedView) isFiltered() bool { return len(v.query.values()) > 0 || v.query.Before != "" }

func (v closedView) countText() string {
	return fmt.Sprintf("%s of %s", grouped(int64(len(v.Connections))), plural(v.Total, "connection"))
}
