package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
	"github.com/zonecast/zonecast/backend/wire"
)

// Each route of the server declares who may call it, and answers a stranger so, whatever is set.
func TestEveryRouteAnswersAsItsAccessRuleSays(t *testing.T) {
	const (
		token    = "--auth-token-secret=0123456789abcdef0123456789abcdef"
		keys     = "--publish-keys=0123456789abcdef"
		password = "--operator-password=correct horse"
	)
	folder := t.TempDir()
	operatorsFile(t, filepath.Join(folder, "operators"), "ann:admin")
	publicKey, _, _ := testkit.NewAuthority(t).IssueFiles(t, folder)
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(application.Close)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) }))
	t.Cleanup(issuer.Close)
	login := httptest.NewUnstartedServer(nil)
	provider(t, login, new(users))
	code, line, mistakes := tool("token", "key", "--name=wms", "--warehouse=*")
	if code != 0 {
		t.Fatal(mistakes)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(folder, "keys"), []byte(line), 0o600))
	modes := []struct {
		name                               string
		give                               []string
		client, publisher, operator, watch int // what a stranger gets; 0 for being let in
	}{
		{"nothing set", nil, 0, 0, 0, 0},
		{"token secret", []string{token}, 401, 401, 403, 0},
		{"keys", []string{keys}, 0, 401, 403, 0},
		{"operator", []string{password}, 0, 0, 401, 0},
		{"operators of a file", []string{"--operators-file=" + filepath.Join(folder, "operators")}, 0, 0, 401, 0},
		{"an application that decides", []string{"--auth-url=" + application.URL}, 401, 401, 403, 0},
		{"a file of keys", []string{"--publish-keys-file=" + filepath.Join(folder, "keys")}, 0, 401, 403, 0},
		{"keys at a URL", []string{"--auth-jwks-url=" + issuer.URL}, 401, 401, 403, 0},
		{"an OpenID provider", withProvider(login), 0, 0, 401, 0},
		{"public keys", []string{"--auth-public-key-file=" + publicKey}, 401, 401, 403, 0},
		{"rooms for operators", []string{password, "--health-rooms=operators"}, 0, 0, 401, 0},
		{"monitoring for operators", []string{password, "--metrics-auth"}, 0, 0, 401, 401},
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
				if rule == access.Form || r.Path == operator.CallbackPath {
					continue // which refuse by themselves: TestPagesOfOtherSitesChangeNothing, TestAnswersOfAnotherSignInAreRefused
				}
				if r.Path == "/ws" { // which tells it over the connection
					if let := s.letsIn(t); let != (mode.client == 0) {
						t.Errorf("a stranger is let in over WebSocket: %v", let)
					}
					continue
				}
				path := filled(r.Path)
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

// letsIn reports whether a stranger is let in over WebSocket.
func (s *server) letsIn(t *testing.T) bool {
	t.Helper()
	c, _, err := s.dial()
	testkit.Must(t, err)
	defer c.Close()
	var f struct{ Event string }
	testkit.Must(t, c.ReadJSON(&f))
	return f.Event == wire.EventConnected
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

// Browsers send HTTP Basic and cookies along by themselves, so what changes something has to come
// from here: every route that there is.
func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	s, _ := guarded(t, []string{"ann:admin"})
	session := s.browser(t).signIn("ann")
	logins := map[string]func(*http.Request){
		"HTTP Basic": func(r *http.Request) { r.SetBasicAuth("ann", "ann's password") },
		"a session":  func(r *http.Request) { r.AddCookie(session) },
	}
	changing := 0
	for _, route := range s.access.Routes() {
		if rule, _ := s.access.Rule(route.Method, route.Path); slices.Contains(access.Reading, route.Method) || rule == access.Client || rule == access.Public {
			continue
		}
		changing++
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			for login, logIn := range logins {
				r, err := http.NewRequestWithContext(t.Context(), route.Method, s.url()+filled(route.Path), http.NoBody)
				testkit.Must(t, err)
				logIn(r)
				r.Header.Set(header[0], header[1])
				answer, err := http.DefaultTransport.RoundTrip(r)
				testkit.Must(t, err)
				answer.Body.Close()
				if answer.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s with %s and %v: %s, want 403", route.Method, route.Path, login, header, answer.Status)
				}
			}
		}
	}
	if changing < 20 {
		t.Errorf("only %d routes change something", changing)
	}
}

// filled is the path of a route, with names where it has parameters.
func filled(path string) string {
	return strings.NewReplacer(":warehouse", "w", ":zone", "a", ":id", "c-1", ":code", "BCDF-GHJK", ":event", "E", "*", "w/a").Replace(path)
}

// Alerts and what is retained are no way around tokens.
func TestWrongTokensChangeNoAlertsAndDeleteNothing(t *testing.T) {
	s := serving(t, "--auth-token-secret="+transporttest.Secret)
	claims := jwt.MapClaims{"sub": "u", "warehouses": []string{"w"}, "publish": true, "retain": true, "acknowledge": true}
	good := transporttest.Token(t, claims)
	claims["exp"] = time.Now().Add(-time.Minute).Unix()
	for token, refused := range map[string]bool{good: false, transporttest.Token(t, claims): true} {
		for _, route := range s.access.Routes() {
			change := strings.Contains(route.Path, "/alerts/")
			if !change && !strings.HasSuffix(route.Path, "/alerts") && !strings.Contains(route.Path, "/retained/") {
				continue
			}
			ways := [][2]string{{"", "Bearer " + token}}
			if !strings.Contains(route.Path, "/retained/") { // for services, which have a header
				ways = append(ways, [2]string{"?token=" + token})
			}
			for _, way := range ways {
				r, err := http.NewRequestWithContext(t.Context(), route.Method, s.url()+filled(route.Path)+way[0], strings.NewReader(`{"id":"x"}`))
				testkit.Must(t, err)
				r.Header.Set("Authorization", way[1])
				r.Header.Set("Content-Type", "application/json")
				answer, err := http.DefaultTransport.RoundTrip(r)
				testkit.Must(t, err)
				answer.Body.Close()
				if (answer.StatusCode == http.StatusUnauthorized) != refused || answer.StatusCode == http.StatusForbidden {
					t.Errorf("%s %s, token in the address: %v: %s, want refused: %v", route.Method, route.Path, way[0] != "", answer.Status, refused)
				}
			}
		}
	}
}

// What a form of operators, or of who signs in, may cost is bounded, whatever its type: every
// route.
func TestFormsOfAnySizeAreRefused(t *testing.T) {
	s := serving(t, "--operator-password=a long password")
	padding := strings.Repeat("x", 100_000)
	for kind, form := range map[string]string{
		"application/x-www-form-urlencoded":   "reason=" + padding,
		"multipart/form-data; boundary=limit": "--limit\r\nContent-Disposition: form-data; name=\"reason\"\r\n\r\n" + padding + "\r\n--limit--\r\n",
	} {
		forms := 0
		for _, route := range s.access.Routes() {
			rule, _ := s.access.Rule(route.Method, route.Path)
			if route.Method != http.MethodPost || !strings.HasPrefix(route.Path, "/ui/") {
				continue
			}
			forms++
			r, err := http.NewRequestWithContext(t.Context(), route.Method, s.url()+filled(route.Path), strings.NewReader(form))
			testkit.Must(t, err)
			r.SetBasicAuth("operator", "a long password")
			r.Header.Set("Content-Type", kind)
			answer, err := http.DefaultTransport.RoundTrip(r)
			testkit.Must(t, err)
			answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s (%s), %s: %s, want 413", route.Method, route.Path, rule, kind, answer.Status)
			}
		}
		if forms < 8 {
			t.Errorf("only %d forms", forms)
		}
	}
}
