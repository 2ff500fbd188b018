//go:build go1.26

package publish

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		url  string
		opts []Option
		want string
	}{
		{"no scheme", "127.0.0.1:3001", nil, "can't be read"},
		{"host taken for a scheme", "localhost:3001", nil, "write it with http://"},
		{"another scheme", "ws://localhost:3001", nil, "write it with http://"},
		{"empty", "", nil, "write it with http://"},
		{"user name", "http://user:pw@localhost", nil, "pass the key with WithAPIKey"},
		{"query", "http://localhost/?token=1", nil, "has a query"},
		{"key with a line break", "http://localhost", []Option{WithAPIKey("a\nb")}, "the API key holds spaces"},
		{"no http client", "http://localhost", []Option{WithHTTPClient(nil)}, "is nil"},
		{"no timeout", "http://localhost", []Option{WithTimeout(0)}, "must be more than 0"},
		{"no attempts", "http://localhost", []Option{WithRetry(Retry{Within: time.Second})}, "needs Attempts ≥ 1"},
		{"cap below base", "http://localhost",
			[]Option{WithRetry(Retry{Attempts: 1, Base: 2, Cap: 1, Within: time.Second})}, "Base ≤ Cap"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(tt.url, tt.opts...)
			wantText(t, err, tt.want)
			if c != nil {
				t.Error("got a client beside the error")
			}
		})
	}
}

func TestNewNamesEverythingThatIsWrong(t *testing.T) {
	_, err := New("localhost", WithTimeout(-1), WithAPIKey("a b"))
	wantText(t, err, "the server's URL")
	wantText(t, err, "the timeout")
	wantText(t, err, "the API key")
}

func TestNewKeepsSecretsOutOfErrors(t *testing.T) {
	for _, url := range []string{"http://user:hunter2@localhost", "ftp://user:hunter2@localhost", "http://user:hunter2@[::1"} {
		if _, err := New(url, WithAPIKey("hunter2 ")); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q) said %v", url, err)
		}
	}
}

func TestBaseURLMayHaveAPath(t *testing.T) {
	z := &zonecast{}
	srv := httptest.NewServer(http.StripPrefix("/zonecast", z))
	defer srv.Close()
	c, err := New(srv.URL + "/zonecast/")
	must(t, err)
	must(t, c.BroadcastToWarehouse("w1", "ALERT", nil))
	if got, want := z.requests[0].path, "/api/v1/warehouses/w1/broadcast"; got != want {
		t.Errorf("posted to %s, want %s", got, want)
	}
}
