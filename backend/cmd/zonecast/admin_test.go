package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// With ADMIN_LISTEN, what is the operators' and monitoring's is not at the public address, by no
// method, and answers as what there is not; at the other one everything is.
func TestWhatIsInternalIsOnlyAtTheAdminAddress(t *testing.T) {
	s := serving(t, "--admin-listen=127.0.0.1:0", "--operator-password="+operatorPassword)
	ask := func(base, method, path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, http.NoBody)
		testkit.Must(t, err)
		r.SetBasicAuth("operator", operatorPassword)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		answer.Body.Close()
		return answer.StatusCode, answer.Header.Get("Allow")
	}
	internal := map[string]bool{"/": true, "/ui": true, "/screen": true, "/metrics": true, "/health/websocket/metrics": true,
		"/ui/login": true, "/ui/logout": true, "/ui/login/oidc": true, "/ui/login/oidc/callback": true}
	for _, r := range s.access.Routes() {
		switch rule, _ := s.access.Rule(r.Method, r.Path); rule {
		case access.Viewer, access.Operator, access.Admin, access.WarehouseViewer, access.WarehouseOperator, access.WarehouseAdmin:
			internal[r.Path] = true
		}
	}
	for _, want := range []string{"/ui/*", "/ui/audit", "/debug/pprof/*", "/api/v1/audit", "/api/v1/connections/:id", "/api/v1/revocations", "/screen/"} {
		if !internal[want] {
			t.Errorf("%s is not internal", want)
		}
	}
	fill := strings.NewReplacer(":warehouse", "w", ":zone", "a", ":id", "c-1", ":event", "E", "*", "x")
	for _, r := range s.access.Routes() {
		path := fill.Replace(r.Path)
		if internal[r.Path] {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
				if status, allow := ask(s.url(), method, path); status != http.StatusNotFound || allow != "" {
					t.Errorf("%s %s at the public address: %d (Allow: %s)", method, path, status, allow)
				}
			}
		} else if r.Method == http.MethodGet && r.Path != "/sse" && r.Path != "/poll" {
			if status, _ := ask(s.url(), r.Method, path); status == http.StatusNotFound && !strings.HasSuffix(r.Path, "*") {
				t.Errorf("%s is not at the public address", path)
			}
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/ui/": 200, "/ui/audit": 200, "/metrics": 200, "/api/v1/connections": 200,
		"/health/websocket/metrics": 200, "/screen/": 200, "/screen/w/a": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200,
		"/debug/pprof/cmdline": 404, "/poll?warehouse=w&wait=0": 200} {
		if status, _ := ask(s.adminURL(), http.MethodGet, path); status != want {
			t.Errorf("%s at the admin address: %d, want %d", path, status, want)
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/screen/w/a": 200, "/poll?warehouse=w&wait=0": 200,
		"/ui/%61udit": 404, "/%75i/": 404, "/metrics/": 404} {
		if status, _ := ask(s.url(), http.MethodGet, path); status != want {
			t.Errorf("%s at the public address: %d, want %d", path, status, want)
		}
	}
	for _, path := range []string{"/ui/", "/debug/pprof/", "/debug/pprof/heap", "/api/v1/audit"} {
		if got := stranger(t, s.adminURL(), http.MethodGet, path); got != http.StatusUnauthorized {
			t.Errorf("%s answers a stranger at the admin address %d", path, got)
		}
	}
	if got := stranger(t, serving(t).url(), http.MethodGet, "/debug/pprof/"); got != http.StatusNotFound {
		t.Errorf("without ADMIN_LISTEN there are profiles: %d", got)
	}
}

// Who fills the public address leaves the operators theirs, and each address has the names of its
// own.
func TestTheAdminAddressHasBoundsAndNamesOfItsOwn(t *testing.T) {
	s := serving(t, "--admin-listen=127.0.0.1:0", "--max-connections=10", "--max-tcp-connections-per-address=10")
	for range 10 {
		s.knock(t, "")
	}
	testkit.Eventually(t, "the public address is full", func() bool {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err == nil {
			defer c.Close()
			testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
			_, err = c.Read(make([]byte, 1))
		}
		return err != nil
	})
	if got := stranger(t, s.adminURL(), http.MethodGet, "/metrics"); got != http.StatusOK {
		t.Errorf("operators are locked out: %d", got)
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.adminURL()+"/ui/", nil)
	testkit.Must(t, err)
	r.Host = "rebound.example"
	answer, err := http.DefaultTransport.RoundTrip(r)
	testkit.Must(t, err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a rebound name: %s", answer.Status)
	}
	u, err := url.Parse(s.adminURL())
	testkit.Must(t, err)
	if u.Host == s.listener.Addr().String() {
		t.Error("both addresses are one")
	}
}
