package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// act sends a request as an operator with a reason, and returns the status and the body.
func (s *server) act(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
	testkit.Must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Reason", "for the test")
	r.SetBasicAuth(operator.DefaultName, operatorPassword)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	testkit.Must(t, err)
	defer response.Body.Close()
	p, err := io.ReadAll(response.Body)
	testkit.Must(t, err)
	return response, string(p)
}

// recorded returns the entries of an action, the last ones first.
func (s *server) recorded(t *testing.T, action string) []audit.Entry {
	t.Helper()
	response, body := s.act(t, http.MethodGet, "/api/v1/audit?limit=1000&action="+strings.ReplaceAll(action, " ", "%20"), "")
	var page audit.Page
	if err := json.Unmarshal([]byte(body), &page); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s", response.Status, err, body)
	}
	return page.Entries
}

// Each route by which an operator changes something, those that are added later too, leaves an
// entry with the operator, the reason and the address.
func TestEveryChangeByAnOperatorIsRecorded(t *testing.T) {
	s := serving(t, "--operator-password="+operatorPassword)
	known := map[string]string{
		"DELETE /api/v1/connections": audit.Disconnect, "DELETE /api/v1/connections/:id": audit.Disconnect,
		"POST /api/v1/revocations": audit.Revoke, "DELETE /api/v1/revocations/:id": audit.Lift,
		"DELETE /api/v1/warehouses/:warehouse": audit.DeleteRoom, "DELETE /api/v1/warehouses/:warehouse/zones/:zone": audit.DeleteRoom,
		"POST /api/v1/rebalance": audit.Rebalance, "POST /ui/rebalance": audit.Rebalance, "POST /ui/dismiss": audit.Dismiss,
		"POST /ui/disconnect": audit.Disconnect, "POST /ui/screens": audit.Screen, "POST /api/v1/screens/:id": audit.Screen,
		"POST /api/v1/pairings/:code": audit.Pair, "POST /ui/screens/pair": audit.Pair,
		"POST /ui/drain": audit.Drain, "POST /api/v1/instances/:id/drain": audit.Drain, "DELETE /api/v1/instances/:id/drain": audit.EndDrain,
		"POST /ui/test": audit.SendTest, "POST /ui/retained": audit.DeleteRetained,
	}
	for _, r := range s.access.Routes() {
		rule, _ := s.access.Rule(r.Method, r.Path)
		operators := []access.Rule{access.Operator, access.Admin, access.WarehouseOperator, access.WarehouseAdmin}
		if !slices.Contains(operators, rule) || slices.Contains(access.Reading, r.Method) {
			continue
		}
		action, named := known[r.Method+" "+r.Path]
		if !named {
			action = r.Method + " " + r.Path
		}
		before := len(s.recorded(t, action))
		path := strings.NewReplacer(":warehouse", "w", ":zone", "a", ":id", "c-1", ":code", "BCDF-GHJK", "*", "x").Replace(r.Path)
		answer, _ := s.act(t, r.Method, path+"?userId=anna", `{"user":"anna"}`)
		all := s.recorded(t, action)
		if len(all) != before+1 {
			t.Errorf("%s %s: %d entries, want %d", r.Method, r.Path, len(all), before+1)
			continue
		}
		e := all[0]
		if e.Who != operator.DefaultName || e.Reason != "for the test" || e.Address != "127.0.0.1" || e.Node != s.config.NodeName || e.Target == "" || e.RequestID == "" {
			t.Errorf("%s %s: %+v", r.Method, r.Path, e)
		}
		if want := answer.StatusCode < 400; (e.Result == audit.Done) != want || !want && e.Detail == "" {
			t.Errorf("%s %s answers %s, recorded as %s (%s)", r.Method, r.Path, answer.Status, e.Result, e.Detail)
		}
	}
}

// The list is the same at each instance: what was done, refused, and tried by strangers.
func TestEveryInstanceListsWhatAnyOfThemRecorded(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	file := filepath.Join(t.TempDir(), "audit.log")
	flags := []string{"--auth-token-secret=" + tokenSecret, "--operator-password=" + operatorPassword, "--publish-keys=0123456789abcdef",
		"--redis-url=" + redis.URL, "--cluster-secret=" + strings.Repeat("c", 32)}
	a := serving(t, append(flags, "--node-name=a", "--audit-log="+file)...)
	b := serving(t, append(flags, "--node-name=b")...)
	awaitCluster(t, b, 2)

	client, _ := b.connectWith(t, tokenFor(t, "anna"))
	a.act(t, http.MethodDelete, "/api/v1/connections?userId=anna&ban=true", "")
	closed(client)
	a.act(t, http.MethodPost, "/api/v1/revocations", `{"user":"anna","reason":"left <b>us</b>"}`)
	published := func(s *server, method, path, key string) int {
		t.Helper()
		answer, _ := s.act(t, method, path, `{"event":"E","data":1,"retain":true}`, "Authorization", "Bearer "+key)
		return answer.StatusCode
	}
	const secret = "not a key but secret all the same"
	for range 3 {
		published(b, http.MethodPost, "/api/v1/warehouses/w/broadcast", secret)
	}
	if got := published(b, http.MethodPost, "/api/v1/warehouses/w/broadcast", "0123456789abcdef"); got != http.StatusOK {
		t.Fatalf("published: %d", got)
	}
	published(b, http.MethodDelete, "/api/v1/warehouses/w/retained/E", "0123456789abcdef")
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url()+"/ui/", nil)
		testkit.Must(t, err)
		r.SetBasicAuth("mallory", secret)
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		answer.Body.Close()
	}
	want := map[string]func(audit.Entry) bool{
		audit.Ban: func(e audit.Entry) bool {
			return e.Who == "operator" && e.Node == "a" && e.Result == audit.Done && strings.Contains(e.Detail, "1 disconnected") &&
				strings.Contains(e.Target, "userId=anna")
		},
		audit.Revoke: func(e audit.Entry) bool { return e.Reason == "left <b>us</b>" && e.Target == "user anna" },
		audit.PublishKey: func(e audit.Entry) bool {
			return e.Node == "b" && e.Result == audit.Refused && e.Address == "127.0.0.1"
		},
		audit.DeleteRetained: func(e audit.Entry) bool {
			return strings.HasPrefix(e.Who, "key PUBLISH_KEYS-") && e.Result == audit.Done
		},
	}
	for action, matches := range want {
		testkit.Eventually(t, action+" is listed at both instances", func() bool {
			for _, s := range []*server{a, b} {
				if all := s.recorded(t, action); len(all) != 1 || !matches(all[0]) {
					return false
				}
			}
			return true
		})
	}
	testkit.Eventually(t, "both logins are listed", func() bool {
		all := b.recorded(t, audit.Login)
		return slices.ContainsFunc(all, func(e audit.Entry) bool { return e.Who == "mallory" && e.Result == audit.Refused }) &&
			slices.ContainsFunc(all, func(e audit.Entry) bool { return e.Who == "operator" && e.Result == audit.Done && e.Node == "a" })
	})

	response, lines := a.act(t, http.MethodGet, "/api/v1/audit?limit=2&who=operator", "", "Accept", "application/x-ndjson")
	if response.Header.Get("Content-Type") != "application/x-ndjson" || strings.Count(lines, "\n") != 2 {
		t.Errorf("as lines: %v %q", response.Header, lines)
	}
	next := strings.TrimSuffix(strings.TrimPrefix(response.Header.Get("Link"), "<"), `>; rel="next"`)
	if _, more := a.act(t, http.MethodGet, next, "", "Accept", "application/x-ndjson"); more == lines || more == "" {
		t.Errorf("the next page at %s: %q", next, more)
	}
	for _, query := range []string{"limit=0", "limit=1001", "since=yesterday", "before=x"} {
		if answer, body := a.act(t, http.MethodGet, "/api/v1/audit?"+query, ""); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", query, answer.Status, body)
		}
	}

	p, err := os.ReadFile(file)
	testkit.Must(t, err)
	_, all := a.act(t, http.MethodGet, "/api/v1/audit", "")
	for _, s := range []string{secret, operatorPassword, tokenSecret, "0123456789abcdef", tokenFor(t, "anna")} {
		if strings.Contains(string(p)+all, s) {
			t.Errorf("%s is in the audit log", s)
		}
	}
	if n := a.scrape(t)[`zonecast_audit_entries_total{action="ban",result="done"}`]; n != 1 {
		t.Errorf("counted %v times", n)
	}
}

// While the file can't be written nothing is changed, and it is said why.
func TestWhatCantBeRecordedIsNotDone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logs")
	testkit.Must(t, os.Mkdir(folder, 0o700))
	s := serving(t, "--auth-token-secret="+tokenSecret, "--operator-password="+operatorPassword, "--audit-log="+filepath.Join(folder, "audit.log"))
	client, _ := s.connectWith(t, tokenFor(t, "anna"))
	testkit.Must(t, os.Rename(folder, folder+".away"))
	for path, body := range map[string]string{"/api/v1/revocations": `{"user":"anna"}`} {
		if answer, said := s.act(t, http.MethodPost, path, body); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(said, "AUDIT_LOG") {
			t.Errorf("answered %s %s", answer.Status, said)
		}
	}
	if answer, said := s.act(t, http.MethodDelete, "/api/v1/connections?userId=anna", ""); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s %s", answer.Status, said)
	}
	if n := s.scrape(t)[`zonecast_audit_failures_total{sink="file"}`]; n == 0 {
		t.Error("not counted")
	}
	testkit.Must(t, os.Rename(folder+".away", folder))
	if answer, said := s.act(t, http.MethodDelete, "/api/v1/connections?userId=anna", ""); answer.StatusCode != http.StatusOK || !strings.Contains(said, `"disconnected":1`) {
		t.Errorf("after it can be written again: %s %s", answer.Status, said)
	}
	closed(client)
}

// Who is no admin does not read the audit log, by no spelling of its path.
func TestTheAuditLogIsForAdmins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operators")
	testkit.Must(t, os.WriteFile(file, []byte("ann:$2a$10$dVKoA7h2CuegnFJuTTMYWuDZzGx3ywF8y2wPwm3HS2r/1Rv36FjSm:operator\n"), 0o600))
	s := serving(t, "--operators-file="+file)
	for _, path := range []string{"/api/v1/audit", "/ui/audit", "/ui/%61udit", "/ui/audit/", "/ui//audit"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
		testkit.Must(t, err)
		r.SetBasicAuth("ann", "ann's password")
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusForbidden, http.StatusNotFound, http.StatusTemporaryRedirect: // to the first of them
		default:
			t.Errorf("%s answers an operator %s", path, answer.Status)
		}
	}
}
