package main

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/config"
)

// FuzzForwardedFor: whatever the headers say, a request has an address as its client; that of the
// connection unless it is a trusted proxy's, and then one that stands in the header. What a
// stranger puts before what the proxy adds changes nothing.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1:5", "1.2.3.4")
	f.Add("[::ffff:10.0.0.1]:5", "6.6.6.6, [2001:db8::1]:8, 10.0.0.2:80")
	f.Add("192.0.2.9:5", "unknown, ,[")
	f.Add("[fe80::1%eth0]:1", "::1%25")
	a := newClientAddresses(&config.Config{TrustedProxies: []string{"10.0.0.0/8"}}, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, direct, header string) {
		peer, err := netip.ParseAddrPort(direct)
		if err != nil {
			return // net/http has no other
		}
		r, _ := http.NewRequest(http.MethodGet, "/livez", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = direct, []string{header}
		got, err := netip.ParseAddr(a.of(r))
		if err != nil {
			t.Fatalf("%s with %q: %v", direct, header, err)
		}
		switch from := peer.Addr().WithZone("").Unmap(); {
		case !a.trusts(from):
			if got != from {
				t.Errorf("%s, which is no proxy, is taken for %s", direct, got)
			}
		case got != from && !strings.Contains(header, ":") && !strings.Contains(header, got.String()):
			t.Errorf("%s with %q is %s, which nobody said", direct, header, got)
		}
		r.Header["X-Forwarded-For"] = []string{header, "198.51.100.7"}
		if got := a.of(r); a.trusts(peer.Addr().WithZone("").Unmap()) && got != "198.51.100.7" {
			t.Errorf("after %q the proxy's own word became %s", header, got)
		}
	})
}
