package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
)

const hostile = `</td><script>alert(1)</script>"' onload=x`

func auditEntries() []AuditEntry {
	at := noon
	return []AuditEntry{
		{Time: at, Who: "ann", Action: "ban", Target: "/api/v1/connections?userId=scanner-7", Reason: "stolen", Result: "done",
			Detail: "1 disconnected", Address: "10.0.0.7", Node: "node-1"},
		{Time: at.Add(-time.Minute), Who: hostile, Action: "login", Result: "refused", Detail: hostile, Address: "192.0.2.9", Node: "node-2"},
		{Time: at.Add(-2 * time.Minute), Action: "login", Result: "refused", Detail: "from further addresses within a minute", Count: 2940, Node: "node-2"},
		{Time: at.Add(-time.Hour), Who: "bob", Action: "revoke", Target: hostile, Reason: hostile, Result: "failed", Detail: "Redis is not available", Node: "node-1"},
	}
}

func TestAuditPageGolden(t *testing.T) {
	for name, v := range map[string]auditView{
		"audit-empty":    {now: noon},
		"audit-filtered": {now: noon, query: map[string][]string{"who": {hostile}, "action": {"ban"}, "since": {"24h"}}},
		"audit-entries":  {now: noon, AuditEntries: AuditEntries{Entries: auditEntries(), Next: "1-2o", Refused: 2}},
		"audit-problem":  {now: noon, problem: "Redis is not available"},
	} {
		t.Run(name, func(t *testing.T) {
			var html strings.Builder
			if err := auditPage(v).Render(t.Context(), &html); err != nil {
				t.Fatal(err)
			}
			got := assetHash.ReplaceAllString(strings.ReplaceAll(html.String(), "><", ">\n<"), "${1}HASH") + "\n"
			golden := filepath.Join("testdata", name+".golden.html")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%s differs (%v): go test ./dashboard -update", golden, err)
			}
		})
	}
}

// What strangers chose as their name, and operators wrote as their reason, is text and nothing
// else.
func TestAuditPageShowsHostileTextAsText(t *testing.T) {
	var asked AuditQuery
	page := new(Sources).Audit(func(_ context.Context, q AuditQuery) (AuditEntries, error) {
		asked = q
		return AuditEntries{Entries: auditEntries(), Next: "1-2o"}, nil
	}, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", AuditPath+"?who=ann&since=1h&action=%3Cscript%3E&before=9-9o", nil))
	doc, err := goquery.NewDocumentFromReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Find("script, [onload], [style]").Length() > 0 {
		t.Error("something in the page could run")
	}
	if got := doc.Find("tbody th").Eq(1).Text(); got != hostile {
		t.Errorf("the name is %q, want %q", got, hostile)
	}
	if asked.Who != "ann" || asked.Before != "9-9o" || time.Since(asked.Since) < time.Hour {
		t.Errorf("asked for %+v", asked)
	}
	older, _ := doc.Find("a[rel=next]").Attr("href")
	if want := AuditPath + "?action=%3Cscript%3E&before=1-2o&since=1h&who=ann"; older != want {
		t.Errorf("older entries at %s, want %s", older, want)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") {
		t.Errorf("policy %q", csp)
	}
}

func TestAuditPageSaysWhyThereIsNothing(t *testing.T) {
	page := new(Sources).Audit(func(context.Context, AuditQuery) (AuditEntries, error) {
		return AuditEntries{}, errors.New("Redis is away")
	}, slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", AuditPath, nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "Redis is away") || strings.Contains(w.Body.String(), "Nothing was changed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
