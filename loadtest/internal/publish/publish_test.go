package publish

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/problem"
)

func TestPath(t *testing.T) {
	for _, tt := range []struct {
		give wire.Room
		want string
	}{
		{wire.Room{Warehouse: "w1"}, "/api/v1/warehouses/w1/broadcast"},
		{wire.Room{Warehouse: "w1", Zone: "a"}, "/api/v1/warehouses/w1/zones/a/broadcast"},
	} {
		if got := Path(tt.give); got != tt.want {
			t.Errorf("Path(%v) = %s, want %s", tt.give, got, tt.want)
		}
	}
}

// Instances take turns, and each gets exactly the request that the API describes.
func TestPublishTakesTurns(t *testing.T) {
	var mu sync.Mutex
	var got []string
	instance := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, strings.Join([]string{name, r.Method, r.URL.Path, r.Header.Get("Content-Type"),
				r.Header.Get("Authorization"), string(body)}, " "))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	c := New(Options{
		Bases: []string{instance("first"), instance("second")}, Room: wire.Room{Warehouse: "w1", Zone: "a"}, Event: "LOADTEST",
		Key: "k0", Connections: 1,
	})
	defer c.Close()
	for i, data := range []string{`{"n": 0}`, `1`, `null`} {
		if err := c.Publish(t.Context(), i, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	const request = " POST /api/v1/warehouses/w1/zones/a/broadcast application/json Bearer k0 "
	want := []string{
		"first" + request + `{"event":"LOADTEST","data":{"n": 0}}`,
		"second" + request + `{"event":"LOADTEST","data":1}`,
		"first" + request + `{"event":"LOADTEST","data":null}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("requests\n got %q\nwant %q", got, want)
	}
}

func TestPublishRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		code int
		want string
	}{
		{"refused", 503, "the server answered HTTP 503 Service Unavailable: the broker is away"},
		{"a redirect is no success", 302, "the server answered HTTP 302 Found: the broker is away"},
		{"nor is another kind of success", 202, "the server answered HTTP 202 Accepted: the broker is away"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, `{"detail":"the broker is away"}`)
			}))
			defer s.Close()
			c := New(Options{Bases: []string{s.URL}, Room: wire.Room{Warehouse: "w1"}, Event: "LOADTEST"})
			defer c.Close()
			err := c.Publish(t.Context(), 0, []byte("1"))
			var status *problem.Status
			if !errors.As(err, &status) || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPublishToNobody(t *testing.T) {
	c := New(Options{Bases: []string{"http://127.0.0.1:1"}, Room: wire.Room{Warehouse: "w1"}, Event: "LOADTEST"})
	err := c.Publish(t.Context(), 0, []byte("1"))
	if !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "Post") {
		t.Errorf("error %v", err)
	}
}
