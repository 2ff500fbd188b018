package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A request whose end or whose headers two programs could read differently is refused, and what
// stands in it is no request of its own.
func TestRequestsThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	s := serving(t)
	const body = `{"event":"SMUGGLED","data":1}`
	smuggled := fmt.Sprintf("POST /api/v1/warehouses/w/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body)
	for _, path := range []string{"/sse", "/poll", "/api/v1/broadcast", "/ws"} {
		for _, framing := range []string{
			"Content-Length: 0\r\nContent-Length: 5",
			"Content-Length: 0, 5",
			"Content-Length: +0",
			"Content-Length: 0x0",
			"Content-Length: -1",
			"Content-Length : 0",
			"Transfer-Encoding: chunked, identity",
			"Transfer-Encoding: xchunked",
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
			"Transfer-Encoding : chunked",
			"X: a\r\n\tContent-Length: 5\r\nContent-Length: 0\r\nContent-Length: 1",
			"X: a\x00b",
			"X\x0b: a",
			"Host: other",
		} {
			c := s.knock(t, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+framing+"\r\n\r\n"+smuggled)
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || answer.StatusCode != http.StatusBadRequest && answer.StatusCode != http.StatusNotImplemented {
				t.Errorf("%s with %q: %v %v, want 400 or 501", path, framing, answer, err)
			}
			_, _ = io.Copy(io.Discard, c) // until the server ends the connection
		}
	}
	if n := s.scrape(t)[`zonecast_publishes_total{result="ok",via="http"}`]; n != 0 {
		t.Errorf("%v smuggled messages were published", n)
	}
	s.ask(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", body)
	if n := s.scrape(t)[`zonecast_publishes_total{result="ok",via="http"}`]; n != 1 {
		t.Errorf("an honest message is counted %v times: this test looks at the wrong metric", n)
	}
}

// No path leads out of what is served, nor past the login.
func TestPathsLeadNowhereElse(t *testing.T) {
	s := serving(t, "--operator-password=correct horse", "--publish-keys=0123456789abcdef")
	for _, path := range []string{
		"/assets/../../../../../../etc/passwd", "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
		"/assets/..%5c..%5cetc%5cpasswd", "/assets/....//....//etc/passwd", "/assets/%00", "/assets//etc/passwd", "/assets/",
		"/assets/../ui/", "/assets/..%2fui%2f", "/livez/../ui/", "/livez/..;/ui/", "//ui/", "/./ui/", "/%75i/", "/ui/..%2fui/", "/screen/../ui/",
		"/screen/..%2f..%2fetc/passwd", "/api/v1/warehouses/../connections", "//api/v1/connections", "/api/v1/./connections",
		"/api/v1/%63onnections", "/api/v1/connections/", "/api/v1/connections/../connections", "/sse/../api/v1/connections",
	} {
		c := s.knock(t, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		testkit.Must(t, err)
		text, err := io.ReadAll(answer.Body)
		testkit.Must(t, err)
		if answer.StatusCode == http.StatusOK || strings.Contains(string(text), "root:") {
			t.Errorf("%s: %s %.80q", path, answer.Status, text)
		}
	}
}

// Where a client comes from is not for it to say: limits by address hold whatever it writes into
// the headers of proxies, over every transport.
func TestForgedForwardingHeadersBuyNothing(t *testing.T) {
	s := serving(t, "--address-rate-limit-tokens=5", "--address-rate-limit-refill=0.001", "--max-connections-per-address=1")
	forged := func(n int) http.Header {
		address := fmt.Sprintf("198.51.100.%d", n)
		return http.Header{"X-Forwarded-For": {address}, "X-Real-Ip": {address}, "Forwarded": {"for=" + address}, "True-Client-Ip": {address},
			"Cf-Connecting-Ip": {address}, "Content-Type": {"application/json"}}
	}
	socket := "ws" + strings.TrimPrefix(s.url(), "http") + "/ws"
	c, _, err := websocket.DefaultDialer.Dial(socket, forged(0))
	testkit.Must(t, err)
	defer c.Close()
	for n := range 3 {
		_, answer, err := websocket.DefaultDialer.Dial(socket, forged(n))
		if err == nil || answer.StatusCode != http.StatusTooManyRequests {
			t.Errorf("WebSocket %d with a forged address: %v %v, want 429", n, answer, err)
		}
	}
	for n, way := range []struct{ method, path, body string }{
		{http.MethodGet, "/sse?warehouse=w", ""},
		{http.MethodGet, "/poll?warehouse=w&wait=0", ""},
		{http.MethodPost, "/sse", `{"event":"echo","id":1}`},
		{http.MethodPost, "/poll", `{"event":"echo","id":1}`},
		{http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E","data":1}`},
		{http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E","data":1}]}`},
	} {
		last := 0
		for k := range 7 {
			r, err := http.NewRequestWithContext(t.Context(), way.method, s.url()+way.path, strings.NewReader(way.body))
			testkit.Must(t, err)
			r.Header = forged(10*n + k)
			answer, err := http.DefaultTransport.RoundTrip(r)
			testkit.Must(t, err)
			answer.Body.Close()
			last = answer.StatusCode
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("%s %s is answered %d after seven requests with forged addresses, want 429", way.method, way.path, last)
		}
	}
}

// Whatever a client calls itself: no page shows it as markup, and JSON is no page.
func TestNamesOfUsersAreNoMarkup(t *testing.T) {
	s := serving(t)
	const name = `<script>alert(1)</script>"'`
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w&zone=a&userId=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27", nil)
	testkit.Must(t, err)
	defer c.Close()
	s.ask(t, http.MethodPost, "/api/v1/warehouses/w/zones/a/broadcast", `{"event":"E","data":{"title":"<script>alert(2)</script>"},"retain":true}`)
	testkit.Eventually(t, "the client is listed, as text", func() bool {
		answer, text := s.ask(t, http.MethodGet, "/api/v1/connections")
		return strings.Contains(string(text), "alert(1)") && strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json")
	})
	for _, path := range []string{"/ui/", "/screen/", "/screen/w/a", "/api/v1/connections", "/health/websocket/metrics", "/metrics", "/readyz"} {
		answer, text := s.ask(t, http.MethodGet, path)
		if strings.Contains(string(text), name) || strings.Contains(string(text), "<script>alert") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has the markup of a name: %v", path, answer.Header)
		}
	}
}
