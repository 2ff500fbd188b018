package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/config"
)

// The client is the first from the right that is no trusted proxy, with or without a port; what
// strangers add to the left of it counts for nothing.
func TestClientAddressBehindProxies(t *testing.T) {
	for _, tt := range []struct {
		trusted []string
		direct  string
		header  []string
		want    string
	}{
		{nil, "10.0.0.1:5", []string{"1.2.3.4"}, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", nil, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "192.0.2.9:5", []string{"1.2.3.4"}, "192.0.2.9"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"1.2.3.4"}, "1.2.3.4"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"1.2.3.4:567"}, "1.2.3.4"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"[2001:db8::1]:8"}, "2001:db8::1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{[]string{"10.0.0.0/8"}, "[::ffff:10.0.0.1]:5", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"6.6.6.6, 1.2.3.4, 10.0.0.2:80"}, "1.2.3.4"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"1.2.3.4, unknown"}, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"1.2.3.4, 10.0.0.2, <script>, 10.0.0.3"}, "10.0.0.3"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"[1.2.3.4"}, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"1.2.3.4:99999"}, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{""}, "10.0.0.1"},
		{[]string{"10.0.0.0/8"}, "10.0.0.1:5", []string{"10.0.0.7"}, "10.0.0.7"},
		{[]string{"fe80::/10"}, "[fe80::1%eth0]:5", []string{"1.2.3.4"}, "1.2.3.4"},
	} {
		a := newClientAddresses(&config.Config{TrustedProxies: tt.trusted}, slog.New(slog.DiscardHandler))
		r, _ := http.NewRequest(http.MethodGet, "/ws", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.direct, tt.header
		if got := a.extractor()(r); got != tt.want {
			t.Errorf("%s with %q, trusting %v: %s, want %s", tt.direct, tt.header, tt.trusted, got, tt.want)
		}
	}
}

// Clients among the trusted proxies are noticed by what they don't send, once; probes are not.
func TestClientsAmongTrustedProxiesAreWarnedAbout(t *testing.T) {
	var log bytes.Buffer
	a := newClientAddresses(&config.Config{TrustedProxies: []string{"10.0.0.0/8"}}, slog.New(slog.NewTextHandler(&log, nil)))
	ask := func(path string) {
		r, _ := http.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = "10.0.0.1:5"
		a.of(r)
	}
	for range 10 * suspicious {
		ask("/readyz")
	}
	if log.Len() > 0 {
		t.Errorf("probes are warned about: %s", &log)
	}
	for range 10 * suspicious {
		ask("/ws")
	}
	if n := strings.Count(log.String(), "TRUSTED_PROXIES"); n != 1 || !strings.Contains(log.String(), "address=10.0.0.1") {
		t.Errorf("warned %d times: %s", n, &log)
	}
}
