package dashboard

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/zonecast/zonecast/web/internal/headers"
)

// AuditPath is where [Sources.Audit] expects to be mounted. It is no part of a [Dashboard], since
// fewer may see it.
const AuditPath = Prefix + "audit"

// An AuditEntry is what someone did, or failed to do. Its texts may be anybody's.
type AuditEntry struct {
	Time                                        time.Time
	Who, Action, Target, Reason, Result, Detail string
	Count                                       int // of several in one; else 0
	Address, Node                               string
}

// An AuditQuery selects entries; what is empty does not matter.
type AuditQuery struct {
	Who, Action string
	Since       time.Time
	Before      string // AuditEntries.Next of the page before
}

// AuditEntries are a page of them, the last ones first.
type AuditEntries struct {
	Entries []AuditEntry
	Next    string // empty at the end
	Refused int    // entries that no instance signed
}

// An AuditSource returns entries. The error is shown.
type AuditSource func(context.Context, AuditQuery) (AuditEntries, error)

// Audit returns the page of the audit log, which works without JavaScript. Its navigation names the
// pages of these sources.
func (s *Sources) Audit(source AuditSource, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := auditView{query: r.URL.Query(), pages: s.pages(), now: time.Now()}
		status := http.StatusOK
		var err error
		if v.AuditEntries, err = source(r.Context(), v.parse()); err != nil {
			v.problem, status = err.Error(), http.StatusServiceUnavailable
		}
		headers.Page(w.Header())
		w.WriteHeader(status)
		if err := auditPage(v).Render(r.Context(), w); err != nil {
			log.Debug("audit page was not delivered", "error", err)
		}
	})
}

// auditSpans are what the page offers to look back.
var auditSpans = []struct {
	Name, Value string
	Span        time.Duration
}{{"all that is kept", "", 0}, {"the last hour", "1h", time.Hour}, {"the last day", "24h", 24 * time.Hour}, {"the last 7 days", "168h", 168 * time.Hour}}

// auditActions are what the page offers to filter by.
var auditActions = []string{"disconnect", "ban", "revoke", "lift", "delete_room", "delete_retained", "rebalance", "drain", "end_drain", "reload", "login", "logout", "publish_key"}

type auditView struct {
	AuditEntries
	pages   []pageLink
	query   url.Values
	problem string
	now     time.Time
}

func (v auditView) layout() layout {
	return layout{Path: AuditPath, Pages: v.pages, Skip: "entries", SkipText: "the entries"}
}

// parse reads the query. What it can't read does not matter.
func (v auditView) parse() AuditQuery {
	q := AuditQuery{Who: strings.TrimSpace(v.query.Get("who")), Action: v.query.Get("action"), Before: v.query.Get("before")}
	if span, err := time.ParseDuration(cmp.Or(v.query.Get("since"), "0")); err == nil && span > 0 {
		q.Since = v.now.Add(-span)
	}
	return q
}

// filtered reports whether some entries may be hidden.
func (v auditView) filtered() bool {
	return v.query.Get("who")+v.query.Get("action")+v.query.Get("since") != ""
}

func (v auditView) refusedText() string {
	if v.Refused == 1 {
		return "1 entry is"
	}
	return grouped(int64(v.Refused)) + " entries are"
}

// olderAddress is the page of the entries before these.
func (v auditView) olderAddress() string {
	q := url.Values{}
	for _, name := range []string{"who", "action", "since"} {
		if value := v.query.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	q.Set("before", v.Next)
	return AuditPath + "?" + q.Encode()
}

// state is how the result looks.
func (e AuditEntry) state() string {
	switch e.Result {
	case "done":
		return "state good"
	case "failed":
		return "state bad"
	}
	return "state warn"
}

// detail is what there is to say beside the result.
func (e AuditEntry) detail() string {
	if e.Count > 1 {
		return strconv.Itoa(e.Count) + " times " + e.Detail
	}
	return e.Detail
}
