package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Below a path, a browser is told only addresses below it: in pages, redirects and cookies. It is
// the same whether the setting or the proxy tells it.
func TestEverythingWorksBelowAPath(t *testing.T) {
	for name, tt := range map[string]struct {
		flags  []string
		header string
		asked  string // what the proxy puts before a path
	}{
		"BASE_PATH, taken off":            {[]string{"--base-path=/apps/push"}, "", ""},
		"BASE_PATH, passed on":            {[]string{"--base-path=/apps/push/"}, "", "/apps/push"},
		"X-Forwarded-Prefix, taken off":   {[]string{"--trusted-proxies=127.0.0.0/8"}, "/apps/push", ""},
		"X-Forwarded-Prefix with a slash": {[]string{"--trusted-proxies=127.0.0.0/8"}, "/apps/push/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, append(tt.flags, "--operator-password=correct horse")...)
			ask := func(path string, header ...string) (*http.Response, string) {
				r, err := http.NewRequest(http.MethodGet, s.url()+tt.asked+path, nil)
				testkit.Must(t, err)
				if tt.header != "" {
					r.Header.Set("X-Forwarded-Prefix", tt.header)
				}
				for i := 0; i < len(header); i += 2 {
					r.Header.Set(header[i], header[i+1])
				}
				answer, err := http.DefaultTransport.RoundTrip(r)
				testkit.Must(t, err)
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				testkit.Must(t, err)
				return answer, string(body)
			}
			for path, want := range map[string]string{"/": "/apps/push/ui/", "/ui": "/apps/push/ui/", "/screen": "/apps/push/screen/",
				"/ui/audit?who=a": "/apps/push/ui/login?next=%2Fui%2Faudit%3Fwho%3Da"} {
				if answer, _ := ask(path, "Accept", "text/html"); answer.Header.Get("Location") != want {
					t.Errorf("%s leads to %q, want %q", path, answer.Header.Get("Location"), want)
				}
			}
			addresses := regexp.MustCompile(`(?:href|src|action|hx-get|hx-sse:connect)="([^"#]*)"`)
			login := []string{"Authorization", "Basic b3BlcmF0b3I6Y29ycmVjdCBob3JzZQ=="}
			for _, path := range []string{"/ui/", "/ui/audit", "/ui/login", "/screen/", "/screen/w/z", "/screen/w/z/lost"} {
				answer, page := ask(path, login...)
				found := addresses.FindAllStringSubmatch(page, -1)
				if len(found) == 0 && path != "/ui/login" {
					t.Errorf("%s answers %d with no address in it", path, answer.StatusCode)
				}
				for _, a := range found {
					if !strings.HasPrefix(a[1], "/apps/push/") {
						t.Errorf("%s names %s", path, a[1])
					}
					if rest, ok := strings.CutPrefix(a[1], "/apps/push"); ok && strings.HasPrefix(rest, "/assets/") {
						if asset, _ := ask(rest); asset.StatusCode != http.StatusOK {
							t.Errorf("%s names %s, which is answered %d", path, a[1], asset.StatusCode)
						}
					}
				}
			}
			if answer, _ := ask("/readyz"); answer.StatusCode != http.StatusOK {
				t.Errorf("readyz: %d", answer.StatusCode)
			}
		})
	}
}

// Nobody but a trusted proxy says where the server is shown, and what is no path is logged once.
func TestOnlyTrustedProxiesNameThePath(t *testing.T) {
	for _, tt := range []struct{ trusted, direct, header, want string }{
		{"10.0.0.0/8", "10.0.0.1:5", "/push", "/push"},
		{"10.0.0.0/8", "10.0.0.1:5", "/", ""},
		{"10.0.0.0/8", "192.0.2.1:5", "/push", ""},
		{"", "10.0.0.1:5", "/push", ""},
		{"10.0.0.0/8", "10.0.0.1:5", "//evil.example", ""},
		{"10.0.0.0/8", "10.0.0.1:5", "https://evil.example", ""},
		{"10.0.0.0/8", "10.0.0.1:5", `/a"onload="b`, ""},
		{"10.0.0.0/8", "10.0.0.1:5", "/../ui", ""},
	} {
		c := &config.Config{}
		if tt.trusted != "" {
			c.TrustedProxies = []string{tt.trusted}
		}
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.direct
		r.Header.Set("X-Forwarded-Prefix", tt.header)
		if got := newClientAddresses(c, slog.New(slog.DiscardHandler)).prefixOf(r); got != tt.want {
			t.Errorf("%q of %s: %q, want %q", tt.header, tt.direct, got, tt.want)
		}
	}
}

// A path in a header that a proxy passes on from a stranger does not lead past the proxy's rules.
func TestAForgedPrefixLeadsToNoOtherPath(t *testing.T) {
	s := serving(t, "--trusted-proxies=127.0.0.0/8")
	for path, want := range map[string]int{"/x/metrics": http.StatusNotFound, "/x/livez": http.StatusNotFound, "/livez": http.StatusOK} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
		testkit.Must(t, err)
		r.Header.Set("X-Forwarded-Prefix", "/x")
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
}

func TestATrustedProxysUnreadableHeaderIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	a := newClientAddresses(&config.Config{TrustedProxies: []string{"10.0.0.0/8"}}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		r, _ := http.NewRequest(http.MethodGet, "/ws", nil)
		r.RemoteAddr = "10.0.0.1:5"
		r.Header.Set("X-Forwarded-For", "unknown")
		r.Header.Set("X-Forwarded-Prefix", "push")
		a.of(r)
		a.prefixOf(r)
	}
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Prefix"} {
		if got := strings.Count(log.String(), "header="+header); got != 1 {
			t.Errorf("%s is logged %d times, want once:\n%s", header, got, log.String())
		}
	}
}
