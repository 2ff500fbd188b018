//go:build go1.26

package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// zonecast is the publish API as the contract describes it, keeping everything in memory.
type zonecast struct {
	// refuse, if set, may refuse a message before it is published.
	refuse func(accepted) *wire.Error

	mu       sync.Mutex
	requests []request
	accepted []accepted
	offsets  map[string]string // by room and idempotency key
	last     map[string]int    // by room
}

// request is what arrived over HTTP, as it was.
type request struct {
	at     time.Time
	path   string
	header http.Header
	body   string
}

// accepted is a message that was published.
type accepted struct {
	Warehouse string          `json:"warehouse"`
	Zone      string          `json:"zone"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Retain    bool            `json:"retain"`
	Key       string          `json:"idempotencyKey"`
}

func (z *zonecast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.requests = append(z.requests, request{time.Now(), r.URL.Path, r.Header.Clone(), string(body)})
	mux := http.NewServeMux()
	single := func(w http.ResponseWriter, r *http.Request) {
		var m accepted
		if err := json.Unmarshal(body, &m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		m.Warehouse, m.Zone, m.Key = r.PathValue("warehouse"), r.PathValue("zone"), r.Header.Get("Idempotency-Key")
		json.NewEncoder(w).Encode(z.publish(m))
	}
	mux.HandleFunc("POST /api/v1/warehouses/{warehouse}/broadcast", single)
	mux.HandleFunc("POST /api/v1/warehouses/{warehouse}/zones/{zone}/broadcast", single)
	mux.HandleFunc("POST /api/v1/broadcast", func(w http.ResponseWriter, r *http.Request) {
		var batch struct{ Messages []accepted }
		if err := json.Unmarshal(body, &batch); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var res struct {
			Results []any `json:"results"`
		}
		for _, m := range batch.Messages {
			if z.refuse != nil {
				if err := z.refuse(m); err != nil {
					res.Results = append(res.Results, map[string]any{"error": err})
					continue
				}
			}
			res.Results = append(res.Results, z.publish(m))
		}
		json.NewEncoder(w).Encode(res)
	})
	mux.ServeHTTP(w, r)
}

// publish needs z.mu.
func (z *zonecast) publish(m accepted) wire.Position {
	room, _ := wire.NewRoom(m.Warehouse, m.Zone)
	name := room.String()
	offset, again := z.offsets[name+" "+m.Key]
	if !again {
		if z.offsets == nil {
			z.offsets, z.last = map[string]string{}, map[string]int{}
		}
		z.last[name]++
		offset = fmt.Sprintf("t0-%d", z.last[name])
		z.offsets[name+" "+m.Key] = offset
		z.accepted = append(z.accepted, m)
	}
	return wire.Position{Room: name, Offset: offset}
}

// A fault is what happens to one request instead of, or before, an answer by the server.
type fault func(server http.RoundTripper, r *http.Request) (*http.Response, error)

// refused: nobody listens at the address.
func refused(http.RoundTripper, *http.Request) (*http.Response, error) {
	return nil, errors.New("connect: connection refused")
}

// lostAnswer: the server does its work, and the connection breaks before the answer arrives.
func lostAnswer(server http.RoundTripper, r *http.Request) (*http.Response, error) {
	if _, err := server.RoundTrip(r); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// brokenAnswer: the connection breaks in the middle of the answer.
func brokenAnswer(server http.RoundTripper, r *http.Request) (*http.Response, error) {
	res, err := server.RoundTrip(r)
	if err == nil {
		res.Body = io.NopCloser(io.MultiReader(io.LimitReader(res.Body, 5), brokenReader{}))
	}
	return res, err
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// silence: the request is never answered.
func silence(_ http.RoundTripper, r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// healthy: no fault.
func healthy(server http.RoundTripper, r *http.Request) (*http.Response, error) {
	return server.RoundTrip(r)
}

// answers makes a fault that gives the answer of a server in trouble, or of something else than
// Zonecast.
func answers(status int, contentType, body string, headers ...string) fault {
	return func(http.RoundTripper, *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Type", contentType)
		for i := 0; i < len(headers); i += 2 {
			rec.Header().Set(headers[i], headers[i+1])
		}
		rec.WriteHeader(status)
		rec.WriteString(body)
		return rec.Result(), nil
	}
}

// problem makes a fault that answers with problem details as of RFC 9457.
func problem(status int, headers ...string) fault {
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":"Try something else.","code":"unavailable"}`,
		http.StatusText(status), status)
	return answers(status, "application/problem+json", body, headers...)
}

// flaky carries each request to the server in this process, through the next fault of its script;
// after the script all is well.
type flaky struct {
	server *zonecast
	script []fault

	mu    sync.Mutex
	calls []time.Time
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	next := fault(healthy)
	if n := len(f.calls); n < len(f.script) {
		next = f.script[n]
	}
	f.calls = append(f.calls, time.Now())
	f.mu.Unlock()
	return next(inProcess{f.server}, r)
}

type inProcess struct{ h http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	p.h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// newFlaky returns a client whose requests meet the script, and the transport and server behind it.
func newFlaky(t *testing.T, opts []Option, script ...fault) (*Client, *flaky) {
	t.Helper()
	f := &flaky{server: &zonecast{}, script: script}
	c, err := New("http://zonecast.test", append([]Option{WithHTTPClient(&http.Client{Transport: f})}, opts...)...)
	must(t, err)
	return c, f
}

// overHTTP returns a client of a server that really listens.
func overHTTP(t *testing.T, opts ...Option) (*Client, *zonecast) {
	t.Helper()
	z := &zonecast{}
	srv := httptest.NewServer(z)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL, opts...)
	must(t, err)
	t.Cleanup(c.http.CloseIdleConnections)
	return c, z
}

func wantText(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one that says %q", err, want)
	}
}

// must ends the test with err unless it is nil. The tests of this module need nothing but it.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
