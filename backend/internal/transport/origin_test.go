package transport_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/logging"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport"
)

// page returns a request of a page of this origin to this host.
func page(origin, host string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "/ws", nil)
	r.Host, r.RemoteAddr = host, "127.0.0.1:5"
	r.Header.Set("Origin", origin)
	r.Header.Set("X-Forwarded-Proto", "https")
	return r
}

// Browsers leave the port of the scheme out of origins; settings and proxies may have it.
func TestDefaultPortsOfOriginsMakeNoDifference(t *testing.T) {
	_, loopback, err := net.ParseCIDR("127.0.0.0/8")
	testkit.Must(t, err)
	for _, c := range []struct {
		name, allowed, origin, host string
		want                        bool
	}{
		{"in the setting", "https://wall.example:443", "https://wall.example", "push.example", true},
		{"in a pattern", "https://*.example:443", "https://wall.example", "push.example", true},
		{"in Host", "", "https://push.example", "push.example:443", true},
		{"of another scheme", "https://wall.example:80", "https://wall.example", "push.example", false},
		{"another port", "https://wall.example:8443", "https://wall.example", "push.example", false},
	} {
		g := transport.NewGate(transport.Options{Origins: []string{c.allowed}, Proxies: []*net.IPNet{loopback}})
		if err := g.CheckOrigin(page(c.origin, c.host)); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Whoever sets up a page of another origin finds in the log what to set, and a page that tries for
// ever, or a stranger who makes origins up, fills no disk.
func TestARefusedOriginIsLoggedOnceWithTheSettingThatAdmitsIt(t *testing.T) {
	file := new(logFile)
	g := transport.NewGate(transport.Options{Log: logging.New(file, "json", nil)})
	for range 3 {
		for i := range 200 {
			if g.CheckOrigin(page(fmt.Sprintf("https://wall-%d.example", i), "push.example")) == nil {
				t.Fatal("a page of another origin is let in")
			}
		}
	}
	const message = "a web page of another origin was refused: if it is yours, add its origin to ALLOWED_ORIGINS"
	lines := file.lines(t, message)
	if len(lines) != 100 || lines[0]["origin"] != "https://wall-0.example" || lines[99]["origin"] != "https://wall-99.example" {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
}

// A page of another site that hides which it is gets nothing and sends nothing, over any transport.
func TestPagesOfOtherSitesAreRefusedOverEveryTransport(t *testing.T) {
	s := startAll(t, auth.Options{})
	for _, tt := range []struct{ method, path string }{
		{http.MethodGet, "/ws"}, {http.MethodGet, "/sse?warehouse=w"}, {http.MethodGet, "/poll?warehouse=w&timeout=1"},
		{http.MethodPost, "/sse"}, {http.MethodPost, "/poll"}, {http.MethodPost, "/api/v1/broadcast"},
	} {
		for site, refused := range map[string]bool{"cross-site": true, "same-origin": false, "none": false} {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL+tt.path, strings.NewReader(`{"event":"ping"}`))
			testkit.Must(t, err)
			r.Header.Set("Content-Type", "text/plain") // as a form of a page may
			r.Header.Set("Sec-Fetch-Site", site)
			r.Close = true // a stream that is left closes its connection
			answer, err := http.DefaultTransport.RoundTrip(r)
			testkit.Must(t, err)
			answer.Body.Close()
			if (answer.StatusCode == http.StatusForbidden) != refused {
				t.Errorf("%s %s from %s: %s, want refused: %v", tt.method, tt.path, site, answer.Status, refused)
			}
		}
	}
}
