// Package conformance holds any server to the contract of docs/protocol.md: over WebSocket,
// Server-Sent Events and long polling, as a client would see it.
//
//	zonecast conformance ── Run ──▶ one check per promise and transport ──▶ session ──▶ the server
//	                    ◀── Result, one line each ──┘            follower: the counting of offsets
//
// It is a client of its own, written from docs/protocol.md alone: it shares no code with the
// server, so that the two can't be wrong together. Both are held to the golden frames of package
// wire, which are data. Checks publish to zones of their own of one warehouse, a few small events
// each, and leave nothing behind but those.
package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options of [Run]. URL is needed.
type Options struct {
	// URL is where the server is, like http://127.0.0.1:3001.
	URL string
	// Token is a client's; Key is a publisher's, and may be empty where the token may publish. Both
	// are empty for a server that needs none. They must permit the warehouse, with retain.
	Token, Key string
	// Warehouse is published to (default: one with a random name).
	Warehouse string
	// Timeout bounds each check (default 15 s).
	Timeout time.Duration
	// Only is a part of the promises to check, as results name them (default: all).
	Only string
}

// The transports, as results name them.
const (
	WebSocket = "websocket"
	SSE       = "sse"
	Poll      = "poll"
	HTTP      = "http" // no connection: requests alone
)

// A Result is how one promise was kept over one transport.
type Result struct {
	Transport string `json:"transport"`
	Promise   string `json:"promise"`
	Kept      bool   `json:"kept"`
	// Violation says what was expected and what came; empty when the promise was kept.
	Violation string `json:"violation,omitempty"`
}

// A Report is all results, in the order of the checks.
type Report struct {
	URL     string   `json:"url"`
	Node    string   `json:"node"`
	Kept    int      `json:"kept"`
	Broken  int      `json:"broken"`
	Results []Result `json:"results"`
}

// Run makes all checks, and tells each result as it comes. The error says that the checks could not
// be made: what answers at the URL is not Zonecast, or needs a token.
func Run(ctx context.Context, o Options, tell func(Result)) (*Report, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("the URL is %q: write it like http://127.0.0.1:3001", o.URL)
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Warehouse == "" {
		o.Warehouse = "conformance-" + strings.ToLower(rand.Text()[:8])
	}
	s := &server{Options: o, base: strings.TrimSuffix(o.URL, "/"), run: strings.ToLower(rand.Text()[:6]),
		http: &http.Client{Timeout: o.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if !slices.ContainsFunc(checks(), func(c check) bool { return strings.Contains(c.promise, o.Only) }) {
		return nil, fmt.Errorf("no promise has the words %q: leave them out to see all promises", o.Only)
	}
	node, err := s.recognize(ctx)
	if err != nil {
		return nil, err
	}
	report := &Report{URL: s.base, Node: node, Results: []Result{}}
	for i, c := range checks() {
		if c.needsToken && o.Token == "" || !strings.Contains(c.promise, o.Only) {
			continue
		}
		for _, transport := range c.over {
			if ctx.Err() != nil {
				return report, ctx.Err()
			}
			one := Result{Transport: transport, Promise: c.promise, Kept: true}
			if err := s.hold(ctx, i, c, transport); err != nil {
				one.Kept, one.Violation = false, err.Error()
				report.Broken++
			} else {
				report.Kept++
			}
			report.Results = append(report.Results, one)
			tell(one)
		}
	}
	return report, nil
}

// hold makes one check, in a zone of its own.
func (s *server) hold(ctx context.Context, number int, c check, transport string) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	r := &run{server: s, ctx: ctx, transport: transport, zone: fmt.Sprintf("%s-%d-%s", s.run, number, transport)}
	r.room = "zone:" + s.Warehouse + ":" + r.zone
	defer r.closeAll()
	err := c.hold(r)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("nothing more came within %v: %w", s.Timeout, err)
	}
	return err
}

// A server is what is checked.
type server struct {
	Options
	base string
	run  string // part of the zones' names, so that a second run finds them empty
	http *http.Client
}

// A run is one check of one transport.
type run struct {
	*server
	ctx        context.Context
	transport  string
	zone, room string
	open       []session
}

func (r *run) closeAll() {
	for _, s := range r.open {
		s.close()
	}
}

// An answer is that of a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is what an answer other than 200 says (RFC 9457).
type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
}

func (a *answer) problem() (problem, error) {
	var p problem
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if kind != "application/problem+json" {
		return p, fmt.Errorf("the answer is %d %s, want application/problem+json", a.status, a.header.Get("Content-Type"))
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		return p, fmt.Errorf("the problem is not JSON: %w", err)
	}
	return p, nil
}

// do sends a request with the token or the key.
func (s *server) do(ctx context.Context, method, path, secret, body string, headers ...string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := s.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, strings.SplitN(path, "?", 2)[0], withoutURL(err))
	}
	defer response.Body.Close()
	p, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", method, strings.SplitN(path, "?", 2)[0], err)
	}
	return &answer{response.StatusCode, response.Header, p}, nil
}

// withoutURL leaves out the address, which may hold a token.
func withoutURL(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// recognize finds out whether this is Zonecast, and which instance.
func (s *server) recognize(ctx context.Context) (node string, err error) {
	path := "/poll?wait=0&room=" + url.QueryEscape("zone:"+s.Warehouse+":"+s.run)
	a, err := s.do(ctx, http.MethodGet, path, s.Token, "")
	if err != nil {
		return "", fmt.Errorf("%s does not answer as an HTTP server: %w", s.base, err)
	}
	var first struct {
		Cursor   *string `json:"cursor"`
		Messages *[]any  `json:"messages"`
		Node     string  `json:"node"`
	}
	if a.status == http.StatusOK && json.Unmarshal(a.body, &first) == nil && first.Cursor != nil && first.Messages != nil {
		return first.Node, nil
	}
	if p, err := a.problem(); err == nil && (p.Code == "unauthenticated" || p.Code == "forbidden") {
		return "", fmt.Errorf("%s refuses (%s): give --token, one that permits to join and publish to the warehouse %s with retain; "+
			"--warehouse names another", s.base, p.Detail, s.Warehouse)
	}
	return "", fmt.Errorf(`%s is not a Zonecast server: GET /poll was expected to answer 200 with {"cursor":…,"messages":[…],"node":…}, `+
		"and answered %d %s %.80q", s.base, a.status, a.header.Get("Content-Type"), a.body)
}

// publisher is what publishes over HTTP.
func (s *server) publisher() string {
	if s.Key != "" {
		return s.Key
	}
	return s.Token
}

// publish publishes to a zone, or to the warehouse's room without one, and returns the offset.
func (r *run) publish(zone, body string, headers ...string) (offset, error) {
	path := "/api/v1/warehouses/" + r.Warehouse + "/broadcast"
	room := "warehouse:" + r.Warehouse
	if zone != "" {
		path = "/api/v1/warehouses/" + r.Warehouse + "/zones/" + zone + "/broadcast"
		room = "zone:" + r.Warehouse + ":" + zone
	}
	a, err := r.do(r.ctx, http.MethodPost, path, r.publisher(), body, headers...)
	if err != nil {
		return offset{}, err
	}
	var at struct{ Room, Offset string }
	if err := json.Unmarshal(a.body, &at); err != nil || a.status != http.StatusOK || at.Room != room {
		return offset{}, fmt.Errorf(`publish was answered with %d %.200s, want 200 with {"room":%q,"offset":…}`, a.status, a.body, room)
	}
	return parseOffset(at.Offset)
}

// numbered is the body of a publication whose data tells it apart.
func numbered(n int) string { return fmt.Sprintf(`{"event":"E","data":{"n":%d}}`, n) }

// publishNumbered publishes the numbers from first to last to the check's zone.
func (r *run) publishNumbered(first, last int) (at offset, err error) {
	for n := first; n <= last && err == nil; n++ {
		at, err = r.publish(r.zone, numbered(n))
	}
	return at, err
}
