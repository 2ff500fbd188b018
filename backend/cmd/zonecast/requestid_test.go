package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Each answer of a route says how the log names the request, pages, redirects and refusals
// included: with the caller's own name for it, or with a new one where that can't stand in a log.
func TestEachAnswerNamesItsRequest(t *testing.T) {
	s := serving(t, "--operator-password="+operatorPassword)
	for _, path := range []string{"/", "/livez", "/nothing", "/ui/", "/ui/login", "/screen/w/a", "/assets/none.js", "/metrics", "/docs/",
		"/api/v1/connections", "/api/v1/warehouses/w/alerts", "/poll?room=none", "/sse?room=none", "/ws"} {
		for give, taken := range map[string]bool{"order-7/scan:3": true, "": false, "<script>": false, strings.Repeat("x", 129): false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, http.NoBody)
			testkit.Must(t, err)
			r.Header.Set("X-Request-Id", give)
			answer, err := http.DefaultTransport.RoundTrip(r)
			testkit.Must(t, err)
			answer.Body.Close()
			if got := answer.Header.Get("X-Request-Id"); got == "" || (got == give) != taken {
				t.Errorf("%s, named %q: the answer has %q", path, give, got)
			}
		}
	}
}
