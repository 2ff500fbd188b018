//go:build linux

package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
)

// A server with a certificate of one's own, behind a proxy that wants a header, is measured over
// each transport; without --ca or --header it is not reached.
func TestRunsThroughTLSWithHeaders(t *testing.T) {
	s := fake.New(fake.Faults{})
	defer s.Close()
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var bare atomic.Int64
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Site") != "hall 7" {
			bare.Add(1)
			http.Error(w, "no X-Site", http.StatusForbidden)
			return
		}
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, r)
	}))
	defer proxy.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	through := "wss" + strings.TrimPrefix(proxy.URL, "https") + "/ws"
	for _, transport := range []string{"websocket", "sse", "poll"} {
		code, stdout, stderr := runAt(t, through, "--transport="+transport, "--ca="+ca, "--header=X-Site: hall 7", "--connections=5")
		if code != exitGood || bare.Load() != 0 {
			t.Errorf("%s: exit code %d, %d requests without the header: %s%s", transport, code, bare.Load(), stdout, stderr)
		}
	}
	for _, tt := range []struct{ give, want string }{
		{"--header=X-Site: hall 7", "certificate"},
		{"--ca=" + ca, "403"},
	} {
		if code, stdout, stderr := runAt(t, through, tt.give); code != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("with %s alone: exit code %d, want %q in %s%s", tt.give, code, tt.want, stdout, stderr)
		}
	}
}
