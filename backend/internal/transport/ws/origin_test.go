package ws_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/internal/transport/transporttest"
)

// A browser lets a page open a WebSocket to any host: the server has to look at the page's origin.
func TestPagesOfOtherOriginsAreKeptOutUnlessNamed(t *testing.T) {
	const mine = "https://wall.example"
	tests := []struct {
		name    string
		allowed []string
		origin  string
		site    string // Sec-Fetch-Site
		proto   string // X-Forwarded-Proto, from a trusted proxy if proxied
		proxied bool
		want    int
	}{
		{name: "another host when none is named", origin: "https://elsewhere.example", want: 403},
		{name: "another port of this machine", origin: "http://127.0.0.1:1", want: 403},
		{name: "a page of the server when none is named", origin: "same", want: 101},
		{name: "a file", origin: "null", want: 403},
		{name: "any when all are let in", allowed: []string{"*"}, origin: "https://elsewhere.example", want: 101},
		{name: "a program", want: 101},
		{name: "a program beside a list", allowed: []string{mine}, want: 101},
		{name: "a page of the list", allowed: []string{mine}, origin: mine, want: 101},
		{name: "a page of the server itself", allowed: []string{mine}, origin: "same", want: 101},
		{name: "any other", allowed: []string{mine}, origin: "https://elsewhere.example", want: 403},
		{name: "one that looks like it", allowed: []string{mine}, origin: mine + ".evil.example", want: 403},
		{name: "a page of this host over TLS", origin: "https same", want: 403},
		{name: "a page of this host over TLS, as a proxy says that nobody trusts", origin: "https same", proto: "https", want: 403},
		{name: "a page of this host over TLS, as a trusted proxy says", origin: "https same", proto: "https", proxied: true, want: 101},
		{name: "a page over TLS, as a proxy says that names WebSocket's scheme", origin: "https same", proto: "wss", proxied: true, want: 101},
		{name: "a page over TLS, as a chain of proxies says", origin: "https same", proto: "HTTPS, http", proxied: true, want: 101},
		{name: "a page over TLS, as a proxy says that nobody understands", origin: "https same", proto: "spdy", proxied: true, want: 403},
		{name: "an http page beside TLS at a trusted proxy", origin: "same", proto: "https", proxied: true, want: 403},
		{name: "another site without origin", site: "cross-site", want: 403},
		{name: "another site without origin when all are let in", allowed: []string{"*"}, site: "cross-site", want: 101},
		{name: "this site without origin", site: "same-origin", want: 101},
		{name: "a name of a pattern", allowed: []string{"https://*.example"}, origin: "https://a.wall.example", want: 101},
		{name: "the end of a pattern alone", allowed: []string{"https://*.wall.example"}, origin: "https://wall.example", want: 403},
		{name: "a name that only ends like a pattern", allowed: []string{"https://*.wall.example"}, origin: "https://evilwall.example", want: 403},
		{name: "another scheme than the pattern's", allowed: []string{"https://*.example"}, origin: "http://wall.example", want: 403},
		{name: "another port than the pattern's", allowed: []string{"https://*.example"}, origin: "https://wall.example:8443", want: 403},
	}
	_, loopback, err := net.ParseCIDR("127.0.0.0/8")
	testkit.Must(t, err)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var proxies []*net.IPNet
			if tt.proxied {
				proxies = append(proxies, loopback)
			}
			s := start(t, options{Options: transporttest.Options{Origins: tt.allowed, Proxies: proxies}})
			header := http.Header{}
			switch tt.origin {
			case "":
			case "same":
				header.Set("Origin", "http://"+s.address)
			case "https same":
				header.Set("Origin", "https://"+s.address)
			default:
				header.Set("Origin", tt.origin)
			}
			header.Set("Sec-Fetch-Site", tt.site)
			header.Set("X-Forwarded-Proto", tt.proto)
			conn, answer, _ := websocket.DefaultDialer.Dial("ws://"+s.address+"/ws", header)
			if conn != nil {
				conn.Close()
			}
			if answer == nil || answer.StatusCode != tt.want {
				t.Errorf("answered %+v, want %d", answer, tt.want)
			}
			if n := s.Counter("zonecast_connections_refused_total", "reason=forbidden"); (n == 1) != (tt.want == 403) {
				t.Errorf("%v refusals are counted", n)
			}
		})
	}
}
