package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/access"
)

// Each route of the server declares who may call it, and answers a stranger so, whatever is set.
func TestEveryRouteAnswersAsItsAccessRuleSays(t *testing.T) {
	const (
		token    = "--auth-token-secret=0123456789abcdef0123456789abcdef"
		keys     = "--publish-keys=0123456789abcdef"
		password = "--operator-password=correct horse"
	)
	modes := []struct {
		name                               string
		give                               []string
		client, publisher, operator, watch int // what a stranger gets; 0 for being let in
	}{
		{"nothing set", nil, 0, 0, 0, 0},
		{"token secret", []string{token}, 401, 401, 403, 0},
		{"keys", []string{keys}, 0, 401, 403, 0},
		{"operator", []string{password}, 0, 0, 401, 0},
		{"all", []string{token, keys, password, "--metrics-auth"}, 401, 401, 401, 401},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			s := serving(t, mode.give...)
			all := s.access.Routes()
			want := map[access.Rule]int{access.Client: mode.client, access.Publisher: mode.publisher,
				access.Viewer: mode.operator, access.Operator: mode.operator, access.Admin: mode.operator,
				access.WarehouseViewer: mode.operator, access.WarehouseOperator: mode.operator, access.WarehouseAdmin: mode.operator}
			if len(all) < 20 {
				t.Errorf("only %d routes", len(all))
			}
			for _, r := range all {
				rule, ok := s.access.Rule(r.Method, r.Path)
				if !ok {
					t.Errorf("%s %s has no access rule", r.Method, r.Path)
					continue
				}
				if r.Path == "/metrics" || r.Path == "/health/websocket/metrics" {
					if guarded := rule == access.Viewer; guarded != (mode.watch != 0) {
						t.Errorf("%s is %s", r.Path, rule)
					}
				}
				if r.Path == "/ws" || rule == access.Form {
					continue // these refuse by themselves: TestRefusalsAreToldAndCounted, TestPagesOfOtherSitesSignNobodyInOrOut
				}
				path := strings.NewReplacer(":warehouse", "w", ":zone", "a", ":id", "c-1", ":event", "E", "*", "w/a").Replace(r.Path)
				if rule == access.Client && r.Method == http.MethodGet {
					path += "?warehouse=w&zone=a&timeout=1"
				}
				got := stranger(t, s.url(), r.Method, path)
				if refused := want[rule]; refused != 0 && got != refused || refused == 0 && (got == 401 || got == 403) {
					t.Errorf("%s %s (%s) answers a stranger %d, want %d (0: let in)", r.Method, path, rule, got, refused)
				}
			}
		})
	}
}

func stranger(t *testing.T, url, method, path string) int {
	t.Helper()
	body := ""
	if method == http.MethodPost {
		body = `{"event":"E","data":1}`
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// A page whose name was made to point here reaches nothing, over no transport (DNS rebinding).
func TestAServerOnLoopbackRefusesOtherHosts(t *testing.T) {
	ask := func(s *server, method, path, host string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	s, named := serving(t), serving(t, "--allowed-hosts=push.example")
	for _, path := range []string{"/ws", "/sse", "/poll", "/ui/", "/screen/w/a", "/metrics", "/livez", "/api/v1/connections", "/nothing"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodOptions} {
			if a := ask(s, method, path, "rebound.example:3001"); a.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s %s: %s, want 421", method, path, a.Status)
			}
		}
	}
	for _, host := range []string{"localhost:1", "127.0.0.1", "[::1]:3001"} {
		if a := ask(s, http.MethodGet, "/livez", host); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", host, a.Status)
		}
	}
	if a := ask(named, http.MethodGet, "/livez", "push.example"); a.StatusCode != http.StatusOK {
		t.Errorf("the name in ALLOWED_HOSTS: %s", a.Status)
	}
}

func TestEveryAnswerForbidsGuessingAndEmbedding(t *testing.T) {
	s := serving(t)
	for _, path := range []string{"/", "/livez", "/api/v1/connections", "/metrics", "/ui/", "/screen/w/a", "/poll", "/sse?warehouse=%00", "/nothing"} {
		answer, _ := s.ask(t, http.MethodGet, path)
		if h := answer.Header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// Browsers send HTTP Basic along by themselves, so what changes something has to come from here.
func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	s := serving(t, "--operator-password=correct horse")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		for _, c := range [][2]string{{http.MethodDelete, "/api/v1/connections?warehouse=w"}, {http.MethodPost, "/api/v1/broadcast"}} {
			r := httptest.NewRequest(c[0], s.url()+c[1], http.NoBody)
			r.RequestURI = ""
			r.SetBasicAuth("operator", "correct horse")
			r.Header.Set(header[0], header[1])
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden {
				t.Errorf("%v with %v: %s, want 403", c, header, answer.Status)
			}
		}
	}
}
