package example

import (
	"crypto/tls"
	"net/http/httptest"
	"testing"
)

func TestOrigin(t *testing.T) {
	tests := []struct {
		name, host, proto string
		tls               bool
		want              string
	}{
		{"plain", "127.0.0.1:3001", "", false, "http://127.0.0.1:3001"},
		{"IPv6", "[::1]:3001", "", false, "http://[::1]:3001"},
		{"TLS", "zonecast.example", "", true, "https://zonecast.example"},
		{"TLS ends at a proxy", "zonecast.example", "https", false, "https://zonecast.example"},
		{"a proxy that says nonsense", "zonecast.example", "javascript", false, "http://zonecast.example"},
		{"a host that would run in a shell", "a;rm -rf $HOME", "", false, "http://localhost"},
		{"no host", "", "", false, "http://localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/ui/", nil)
			r.Host = tt.host
			r.Header.Set("X-Forwarded-Proto", tt.proto)
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := Origin(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestBroadcast(t *testing.T) {
	got := Broadcast("http://localhost:3001", "w1", "a", `{"event":"X"}`, false)
	want := "curl http://localhost:3001/api/v1/warehouses/w1/zones/a/broadcast \\\n" +
		"  -H 'Content-Type: application/json' \\\n" +
		`  -d '{"event":"X"}'`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
