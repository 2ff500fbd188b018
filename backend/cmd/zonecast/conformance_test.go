package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/conformance"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// conform runs the command against a server, and returns its exit code and what it wrote.
func conform(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(append([]string{"conformance"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// The server keeps what docs/protocol.md promises, to a client that was written from it.
func TestTheServerConforms(t *testing.T) {
	secret := strings.Repeat("x", 32)
	token := func(t *testing.T) string {
		var out, errs bytes.Buffer
		if code := run([]string{"token", "new", "--auth-token-secret", secret, "--user", "judge", "--warehouse", "judged", "--publish", "--retain"}, &out, &errs); code != 0 {
			t.Fatalf("token: %s", errs.String())
		}
		return strings.TrimSpace(out.String())
	}
	for _, tt := range []struct {
		name  string
		serve func(t *testing.T) (*server, []string)
	}{
		{"memory", func(t *testing.T) (*server, []string) { return serving(t), nil }},
		{"Redis", func(t *testing.T) (*server, []string) {
			return serving(t, "--redis-url="+stacktest.Redis(t, stack.Single).RedisURL), nil
		}},
		{"with tokens", func(t *testing.T) (*server, []string) {
			return serving(t, "--auth-token-secret="+secret), []string{"--token", token(t), "--warehouse", "judged"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, args := tt.serve(t)
			code, stdout, stderr := conform(append(args, "--url", s.url(), "--timeout", "60s")...)
			if code != 0 || !strings.Contains(stdout, "keeps all") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestConformanceReportsAsJSON(t *testing.T) {
	s := serving(t)
	code, stdout, stderr := conform("--url", s.url(), "--json", "--timeout", "60s")
	var report conformance.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if report.Kept != len(report.Results) || report.Kept < 50 || report.Broken != 0 || report.Node == "" || report.URL != s.url() {
		t.Errorf("the report is %+v", report)
	}
}

func TestConformanceRefusesWhatIsNotZonecast(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>hello</html>")
	}))
	defer page.Close()
	guarded := serving(t, "--auth-token-secret="+strings.Repeat("x", 32))
	for _, tt := range []struct{ name, url, want string }{
		{"a page", page.URL, `is not a Zonecast server: GET /poll was expected to answer 200 with {"cursor":…,"messages":[…],"node":…}, ` +
			`and answered 200 text/html "<html>hello</html>"`},
		{"nobody", "http://127.0.0.1:1", "does not answer"},
		{"no URL", "nonsense", "write it like http://127.0.0.1:3001"},
		{"without the token that it needs", guarded.url(), "give --token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := conform("--url", tt.url)
			if code != 2 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q, %q; want 2 and one sentence with %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

// A bad server stands between the suite and a server that keeps the protocol, and breaks it: spoil
// makes of each frame of a connection what the client gets instead.
type badServer struct {
	good  string
	spoil func() func(frame string) []string // made for each connection
	close func(code int) int                 // changes close codes; nil for none
	proxy *httputil.ReverseProxy
}

func startBad(t *testing.T, good string, spoil func() func(string) []string, close func(int) int) string {
	to, err := url.Parse(good)
	testkit.Must(t, err)
	b := &badServer{good: good, spoil: spoil, close: close, proxy: httputil.NewSingleHostReverseProxy(to)}
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	return s.URL
}

func (b *badServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ws" && websocket.IsWebSocketUpgrade(r):
		b.webSocket(w, r)
	case r.URL.Path == "/sse" && r.Method == http.MethodGet:
		b.stream(w, r)
	case r.URL.Path == "/poll" && r.Method == http.MethodGet:
		b.poll(w, r)
	default:
		b.proxy.ServeHTTP(w, r)
	}
}

func (b *badServer) webSocket(w http.ResponseWriter, r *http.Request) {
	dialer := websocket.Dialer{Subprotocols: websocket.Subprotocols(r)}
	back, answer, err := dialer.DialContext(r.Context(), "ws"+strings.TrimPrefix(b.good, "http")+r.URL.RequestURI(), nil)
	if err != nil {
		if answer == nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
		return
	}
	defer back.Close()
	upgrader := websocket.Upgrader{Subprotocols: []string{"zonecast"}}
	front, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer front.Close()
	go func() {
		defer back.Close()
		for {
			kind, text, err := front.ReadMessage()
			if err != nil || back.WriteMessage(kind, text) != nil {
				return
			}
		}
	}()
	spoil := b.spoil()
	for {
		_, text, err := back.ReadMessage()
		if end, ok := err.(*websocket.CloseError); ok && end.Code < 5000 && end.Code != websocket.CloseAbnormalClosure {
			code := end.Code
			if b.close != nil {
				code = b.close(code)
			}
			_ = front.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, end.Text), time.Now().Add(time.Second))
		}
		if err != nil {
			return
		}
		for _, f := range spoil(string(text)) {
			if front.WriteMessage(websocket.TextMessage, []byte(f)) != nil {
				return
			}
		}
	}
}

// ask hands a GET on.
func (b *badServer) ask(w http.ResponseWriter, r *http.Request) *http.Response {
	request, err := http.NewRequestWithContext(r.Context(), r.Method, b.good+r.URL.RequestURI(), nil)
	if err == nil {
		request.Header = r.Header.Clone()
		request.Header.Del("Accept-Encoding")
		var answer *http.Response
		if answer, err = http.DefaultClient.Do(request); err == nil {
			for name, values := range answer.Header {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(answer.StatusCode)
			return answer
		}
	}
	w.WriteHeader(http.StatusBadGateway)
	return nil
}

func (b *badServer) stream(w http.ResponseWriter, r *http.Request) {
	answer := b.ask(w, r)
	if answer == nil {
		return
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	spoil := b.spoil()
	event := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			fmt.Fprint(w, event+line)
			return
		}
		if event += line; line != "\n" {
			continue
		}
		if before, data, ok := strings.Cut(event, "data: "); ok && !strings.Contains(before, "event: ") {
			frame, rest, _ := strings.Cut(data, "\n")
			for _, f := range spoil(frame) {
				fmt.Fprint(w, before+"data: "+f+"\n"+rest)
			}
		} else {
			fmt.Fprint(w, event)
		}
		w.(http.Flusher).Flush()
		event = ""
	}
}

func (b *badServer) poll(w http.ResponseWriter, r *http.Request) {
	answer := b.ask(w, r)
	if answer == nil {
		return
	}
	defer answer.Body.Close()
	var fields map[string]json.RawMessage
	var frames []json.RawMessage
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(text, &fields) != nil || json.Unmarshal(fields["messages"], &frames) != nil {
		_, _ = w.Write(text)
		return
	}
	spoil := b.spoil()
	all := []string{}
	for _, f := range frames {
		all = append(all, spoil(string(f))...)
	}
	fmt.Fprintf(w, `{"cursor":%s,"node":%s,"serverTime":%s,"messages":[%s]}`, fields["cursor"], fields["node"], fields["serverTime"], strings.Join(all, ","))
}

// Each way to break the protocol is named, over each transport that has it.
func TestConformanceNamesEachViolation(t *testing.T) {
	good := serving(t).url()
	everywhere := []string{"websocket", "sse", "poll"}
	socket := []string{"websocket"}
	published := func(f string) bool { return strings.Contains(f, `"room":"zone:`) && strings.Contains(f, `"time":`) }
	replace := func(old, with string) func() func(string) []string {
		pattern := regexp.MustCompile(old)
		return func() func(string) []string {
			return func(f string) []string { return []string{pattern.ReplaceAllString(f, with)} }
		}
	}
	drop := func(which func(f string, seen int) bool) func() func(string) []string {
		return func() func(string) []string {
			seen := 0
			return func(f string) []string {
				if published(f) {
					seen++
				}
				if which(f, seen) {
					return nil
				}
				return []string{f}
			}
		}
	}
	clean := replace("^$", "")
	for _, tt := range []struct {
		name    string
		over    []string
		spoil   func() func(string) []string
		close   func(int) int
		promise string // one of those that are found broken
		says    string
	}{
		{"an event is lost", everywhere, drop(func(f string, seen int) bool { return published(f) && seen == 2 }), nil,
			"events come in order, counted by one, byte for byte", "or a gap between"},
		{"an event comes twice", everywhere, func() func(string) []string {
			return func(f string) []string {
				if published(f) {
					return []string{f, f}
				}
				return []string{f}
			}
		}, nil, "events come in order, counted by one, byte for byte", "twice, or out of order"},
		{"offsets skip", everywhere, replace(`("time":.*)?"offset":"([a-z0-9]+)-2","time"`, `$1"offset":"$2-3","time"`), nil,
			"events come in order, counted by one, byte for byte", "or a gap between"},
		{"data is written anew", everywhere, replace(`\{ "a" : 1\.0,"b":\[1 ,2\] \}`, `{"a":1,"b":[1,2]}`), nil,
			"events come in order, counted by one, byte for byte", "byte for byte"},
		{"a gap is not told", everywhere, drop(func(f string, _ int) bool { return strings.HasPrefix(f, `{"event":"gap"`) }), nil,
			"an offset of another epoch is answered with a gap and all that is kept", "or a gap between"},
		{"a gap is too narrow", everywhere, replace(`^(\{"event":"gap".*"from":")conformance0-5`, `${1}conformance0-6`), nil,
			"an offset of another epoch is answered with a gap and all that is kept", "this client stands at conformance0-5"},
		{"retained events are counted", everywhere, replace(`"retained":true,`, ``), nil,
			"retained events come first to who joins, outside the counting", "twice, or out of order"},
		{"no retained events", everywhere, drop(func(f string, _ int) bool { return strings.Contains(f, `"retained":true`) }), nil,
			"retained events come first to who joins, outside the counting", `want STATE "kept"`},
		{"the events of another room", everywhere, replace(`("event":"E","room":"zone:[^"]*)"`, `${1}other"`), nil,
			"a room's events go to its members alone", "which was not joined"},
		{"another frame instead of connected", []string{"websocket", "sse"}, replace(`^\{"event":"connected"`, `{"event":"hello"`), nil,
			"events come in order, counted by one, byte for byte", "want connected"},
		{"acks with another id", socket, replace(`^(\{"event":"ack","id":)[0-9-]+`, `${1}99`), nil,
			"echo comes back byte for byte, with its id", "want an ack with the id"},
		{"errors without their code", socket, replace(`"code":"[a-z_]+"`, `"code":"internal"`), nil,
			"a frame that is wrong is answered with its code and id", "want an error with the code bad_frame"},
		{"another close code", socket, clean, func(int) int { return 1000 },
			"the eleventh frame in a row that is not the protocol ends with 4400", "want the close code 4400"},
		{"an ack behind what was missed", socket, func() func(string) []string {
			held := ""
			return func(f string) []string {
				switch {
				case strings.HasPrefix(f, `{"event":"ack","id":3`):
					held = f
					return nil
				case held != "" && published(f):
					f, held = f+"\x00"+held, ""
					return strings.Split(f, "\x00")
				}
				return []string{f}
			}
		}, nil, "subscribe is acknowledged before anything of its room, then comes what was missed", "came before the ack"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := map[string]string{}
			report, err := conformance.Run(t.Context(), conformance.Options{URL: startBad(t, good, tt.spoil, tt.close), Timeout: 5 * time.Second},
				func(r conformance.Result) {
					if !r.Kept && r.Promise == tt.promise {
						found[r.Transport] = r.Violation
					}
				})
			testkit.Must(t, err)
			for _, transport := range tt.over {
				if !strings.Contains(found[transport], tt.says) {
					t.Errorf("over %s the violation of %q is %q, want it to say %q", transport, tt.promise, found[transport], tt.says)
				}
			}
			if report.Broken == 0 || report.Kept == 0 {
				t.Errorf("%d are broken and %d kept", report.Broken, report.Kept)
			}
		})
	}
	t.Run("a proxy that changes nothing is no violation", func(t *testing.T) {
		t.Parallel()
		var mu sync.Mutex
		_, err := conformance.Run(t.Context(), conformance.Options{URL: startBad(t, good, clean, nil), Timeout: 60 * time.Second},
			func(r conformance.Result) {
				mu.Lock()
				defer mu.Unlock()
				if !r.Kept {
					t.Errorf("%+v", r)
				}
			})
		testkit.Must(t, err)
	})
}
