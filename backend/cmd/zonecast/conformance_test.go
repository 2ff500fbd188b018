package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
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

// judgeToken is one that permits all that the checks do, in the warehouse judged.
func judgeToken(t *testing.T, secret string) string {
	var out, errs bytes.Buffer
	if code := run([]string{"token", "new", "--auth-token-secret", secret, "--user", "judge", "--warehouse", "judged", "--publish", "--retain"}, &out, &errs); code != 0 {
		t.Fatalf("token: %s", errs.String())
	}
	return strings.TrimSpace(out.String())
}

// The server keeps what docs/protocol.md promises, to a client that was written from it.
func TestTheServerConforms(t *testing.T) {
	secret := strings.Repeat("x", 32)
	for _, tt := range []struct {
		name  string
		serve func(t *testing.T) (*server, []string)
	}{
		{"memory", func(t *testing.T) (*server, []string) { return serving(t), nil }},
		{"Redis", func(t *testing.T) (*server, []string) {
			return serving(t, "--redis-url="+stacktest.Redis(t, stack.Single).RedisURL), nil
		}},
		{"with tokens", func(t *testing.T) (*server, []string) {
			return serving(t, "--auth-token-secret="+secret), []string{"--token", judgeToken(t, secret), "--warehouse", "judged"}
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
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, text, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, text) != nil {
				return
			}
		}
	}))
	defer echo.Close()
	encrypted := httptest.NewUnstartedServer(page.Config.Handler)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes
	encrypted.StartTLS()
	defer encrypted.Close()
	guarded := serving(t, "--auth-token-secret="+strings.Repeat("x", 32))
	for _, tt := range []struct{ name, url, want string }{
		{"a page", page.URL, `is not a Zonecast server: GET /poll was expected to answer 200 with {"cursor":…,"messages":[…],"node":…}, ` +
			`and answered 200 text/html "<html>hello</html>"`},
		{"a closed port", "http://127.0.0.1:1", "does not answer as an HTTP server: GET /poll: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"words that no promise has", guarded.url() + "\x00--only=perpetual motion", "no promise has the words \"perpetual motion\""},
		{"a server of TLS, without it", strings.Replace(encrypted.URL, "https", "http", 1), "is not a Zonecast server: GET /poll was expected to answer 200 with " +
			`{"cursor":…,"messages":[…],"node":…}, and answered 400  "Client sent an HTTP request to an HTTPS server.`},
		{"a server of TLS that nobody vouches for", encrypted.URL, "does not answer as an HTTP server: GET /poll: tls: failed to verify certificate"},
		{"TLS, with a server without it", strings.Replace(page.URL, "http", "https", 1), "GET /poll: http: server gave HTTP response to HTTPS client"},
		{"another WebSocket server", echo.URL, "is not a Zonecast server: GET /poll was expected to answer 200"},
		{"Redis", "http://" + miniredis.RunT(t).Addr(), "does not answer as an HTTP server: GET /poll: "},
		{"no URL", "nonsense", "write it like http://127.0.0.1:3001"},
		{"without the token that it needs", guarded.url(), "give --token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := conform(append([]string{"--url"}, strings.Split(tt.url, "\x00")...)...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %q, %q; want 2 and one sentence with %q", code, stdout, stderr, tt.want)
			}
		})
	}
}

// Each promise of the suite is broken by a server that does it on purpose, over each transport that
// it is made for, and the suite names it with what was expected.
func TestConformanceNamesEachViolation(t *testing.T) {
	secret := strings.Repeat("x", 32)
	good, guarded := serving(t).url(), serving(t, "--auth-token-secret="+secret).url()
	token := judgeToken(t, secret)
	all, twoWay, socket := []string{"websocket", "sse", "poll"}, []string{"websocket", "sse"}, []string{"websocket"}
	oneWay, stream, poll, requests := []string{"sse", "poll"}, []string{"sse"}, []string{"poll"}, []string{"http"}
	published := func(f string) bool { return strings.Contains(f, `"room":"zone:`) && strings.Contains(f, `"time":`) }
	replace := func(old, with string) violation {
		pattern := regexp.MustCompile(old)
		return violation{frames: func() func(string) []string {
			return func(f string) []string { return []string{pattern.ReplaceAllString(f, with)} }
		}}
	}
	drop := func(which func(f string, seen int) bool) violation {
		return violation{frames: func() func(string) []string {
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
		}}
	}
	dropOffset := func(n string) violation {
		return drop(func(f string, _ int) bool { return published(f) && strings.Contains(f, "-"+n+`","time"`) })
	}
	answer := func(method, path, old, with string) violation {
		pattern := regexp.MustCompile(old)
		return violation{answer: func(r *http.Request, a *httpAnswer) {
			if r.Method == method && strings.Contains(r.URL.Path, path) {
				a.body = pattern.ReplaceAllString(a.body, with)
			}
		}}
	}
	status := func(path string, was, is int) violation {
		return violation{answer: func(r *http.Request, a *httpAnswer) {
			if strings.Contains(r.URL.Path, path) && a.status == was {
				a.status = is
			}
		}}
	}
	both := func(a, b violation) violation { return violation{frames: a.frames, answer: b.answer} }
	sent := func(old, with string) violation {
		pattern := regexp.MustCompile(old)
		return violation{sent: func(f string) string { return pattern.ReplaceAllString(f, with) }}
	}
	closesWith := func(code int) violation { return violation{close: func(int) int { return code }} }
	const inOrder, retainedFirst = "events come in order, counted by one, byte for byte", "retained events come first to who joins, outside the counting"
	broken := map[string]bool{}
	for _, tt := range []struct {
		name    string
		over    []string
		give    violation
		promise string // the one that is broken
		says    string
	}{
		{"publications are counted by two", requests, answer("POST", "/broadcast", `-2"`, `-3"`),
			"publish is answered with room and offset, counted by one", "want numbers 1 and 2 of one epoch"},
		{"a batch hides its mistakes", requests, answer("POST", "/broadcast", `invalid_room`, `internal`),
			"a batch is answered message by message", "want an error with invalid_room"},
		{"problems have no code", requests, answer("POST", "/broadcast", `"code":"[a-z_]+"`, `"code":""`),
			"a wrong publish is answered as a problem with its code", "want 400 with the code"},

		{"connected says where the room was", all, both(replace(`^(\{"event":"connected".*"offset":"[a-z0-9]+-)2"`, `${1}1"`), answer("GET", "/poll", `-2"`, `-1"`)),
			"a connection tells first where its rooms stand", "the last one that was published"},
		{"another frame instead of connected", twoWay, replace(`^\{"event":"connected"`, `{"event":"hello"`),
			"a connection tells first where its rooms stand", "want connected"},
		{"an event is lost", all, drop(func(f string, seen int) bool { return published(f) && seen == 2 }), inOrder, "or a gap between"},
		{"an event comes twice", all, violation{frames: func() func(string) []string {
			return func(f string) []string {
				if published(f) {
					return []string{f, f}
				}
				return []string{f}
			}
		}}, inOrder, "twice, or out of order"},
		{"offsets skip", all, replace(`("time":.*)?"offset":"([a-z0-9]+)-2","time"`, `$1"offset":"$2-3","time"`), inOrder, "or a gap between"},
		{"data is written anew", all, replace(`\{ "a" : 1\.0,"b":\[1 ,2\] \}`, `{"a":1,"b":[1,2]}`), inOrder, "byte for byte"},
		{"what was missed has a hole", all, dropOffset("2"), "who comes back gets what it missed, before anything newer", "or a gap between"},
		{"a cursor counts over its own transport only", all, dropOffset("1"), "a cursor goes on over another transport", "or a gap between"},
		{"a gap is not told", all, drop(func(f string, _ int) bool { return strings.HasPrefix(f, `{"event":"gap"`) }),
			"an offset of another epoch is answered with a gap and all that is kept", "or a gap between"},
		{"a gap is too narrow", all, replace(`^(\{"event":"gap".*"from":")conformance0-5`, `${1}conformance0-6`),
			"an offset of another epoch is answered with a gap and all that is kept", "this client stands at conformance0-5"},
		{"a gap leads nowhere", all, both(replace(`^(\{"event":"gap".*"to":"[a-z0-9]+-)2"`, `${1}1"`), answer("GET", "/poll", `-2"`, `-1"`)),
			"an offset ahead of the room is answered with a gap back", "gap"},
		{"retained events are counted", all, replace(`"retained":true,`, ``), retainedFirst, "twice, or out of order"},
		{"no retained events", all, drop(func(f string, _ int) bool { return strings.Contains(f, `"retained":true`) }), retainedFirst, "retained"},
		{"what is owed is forgotten", all, both(replace(`"event":"STATE"`, `"event":"OTHER"`), violation{}),
			"retained events that are owed are sent again, and then what was missed", "want STATE at"},
		{"the events of another room", all, replace(`("event":"E","room":"zone:[^"]*)"`, `${1}other"`),
			"a room's events go to its members alone", "which was not joined"},
		{"the zone is ignored", all, violation{request: func(r *http.Request) {
			if q := r.URL.Query(); q.Has("zone") {
				q.Del("zone")
				r.URL.RawQuery = q.Encode()
			}
		}}, "warehouse and zone in the query join both rooms", "the connection is not in zone:"},
		{"what is malformed is refused as something else", all, violation{answer: func(r *http.Request, a *httpAnswer) {
			if r.Method == http.MethodGet && a.status == http.StatusBadRequest {
				a.status = http.StatusTeapot
			}
		}}, "a malformed cursor or room is refused with 400", "want 400 invalid_room"},
		{"retained events lack their time", all, replace(`"time":[0-9]+,"retained"`, `"retained"`),
			"frames have the form of the golden frames", `has no "time", want it as in the golden frame {"event":"SHIFT_SNAPSHOT"`},
		{"golden frames are answered with another id", all, both(replace(`^(\{"event":"(?:ack|error)","id":)[0-9-]+`, `${1}99`), answer("POST", "/", `"id":[0-9]+`, `"id":99`)),
			"the golden frames of clients are answered", "want the id"},

		{"echo is written anew", all, both(replace(`\{ "a" : \[1\.0 ,`, `{"a":[1,`), answer("POST", "/", `\{ "a" : \[1\.0 ,`, `{"a":[1,`)),
			"echo comes back byte for byte, with its id", "came back as"},
		{"acks with another id", all, both(replace(`^(\{"event":"ack","id":)[0-9-]+`, `${1}99`), answer("POST", "/", `"id":-1`, `"id":99`)),
			"echo comes back byte for byte, with its id", "want an ack with the id"},
		{"acks with another offset", all, both(replace(`^(\{"event":"ack".*"offset":"[a-z0-9]+-)1"`, `${1}2"`), answer("POST", "/", `-1"`, `-2"`)),
			"publish is acknowledged with the offset that its event has", "want the event at"},
		{"idempotency keys are ignored", all, sent(`,"idempotencyKey":"once"`, ``),
			"a repeated idempotency key is answered with the first offset, and sent once", "the key was answered with"},
		{"a key may be of any message", all, sent(`,"idempotencyKey":"once"`, ``),
			"an idempotency key of another message is refused", "want an error with the code idempotency_conflict"},
		{"errors without their code", all, both(replace(`"code":"[a-z_]+"`, `"code":"internal"`), answer("POST", "/", `"code":"[a-z_]+"`, `"code":"internal"`)),
			"a frame that is wrong is answered with its code and id", "want an error with the code bad_frame"},

		{"an ack behind what was missed", socket, violation{frames: func() func(string) []string {
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
		}}, "subscribe is acknowledged before anything of its room, then comes what was missed", "came before the ack"},
		{"unsubscribe changes nothing", socket, sent(`"event":"unsubscribe","data":\{"warehouse":"(.*)","zone":"(.*)"\}`, `"event":"echo","data":{"room":"zone:$1:$2"}`),
			"after unsubscribe nothing of the room comes", "came after unsubscribe was acknowledged"},
		{"no subprotocol", socket, violation{plain: true}, "the subprotocol zonecast is answered", `the subprotocol is "", want zonecast`},
		{"what is no handshake is welcome", socket, status("/ws", http.StatusUpgradeRequired, http.StatusOK),
			"a handshake of another version is refused with 426", "was answered with 200, want 426"},
		{"another close code", socket, closesWith(1000),
			"the eleventh frame in a row that is not the protocol ends with 4400", "want the close code 4400"},
		{"another close code for what is too big", socket, closesWith(1000), "a frame over the limit ends with 1009", "want the close code 1009"},

		{"streams may be stored", stream, violation{header: func(h http.Header) { h.Del("Cache-Control") }},
			"the stream may not be stored or held back, and says when to come back", `Cache-Control is "", want no-store`},
		{"Last-Event-ID is ignored", stream, violation{request: func(r *http.Request) { r.Header.Del("Last-Event-ID") }},
			"Last-Event-ID counts more than the cursor in the query", "twice, or out of order"},
		{"a poll moves by itself", poll, answer("GET", "/poll", `-1"`, `-2"`), "wait=0 is answered at once, with the same cursor", "the answer has the cursor"},
		{"what was answered is gone", poll, violation{answer: func() func(*http.Request, *httpAnswer) {
			seen := map[string]bool{}
			var mu sync.Mutex
			return func(r *http.Request, a *httpAnswer) {
				mu.Lock()
				defer mu.Unlock()
				if q := r.URL.RawQuery; seen[q] {
					a.body = regexp.MustCompile(`"messages":\[.*\]`).ReplaceAllString(a.body, `"messages":[]`)
				} else {
					seen[q] = true
				}
			}
		}()}, "a poll whose answer was lost can be sent again", "want the same two events"},

		{"strangers are told something else", all, both(replace(`"code":"unauthenticated"`, `"code":"internal"`), status("/", http.StatusUnauthorized, http.StatusForbidden)),
			"without a token a connection ends with 4401, or is refused with 401", "unauthenticated"},
		{"rooms can be chosen by POST", oneWay, answer("POST", "/", `unknown_event`, `internal`), "rooms are not chosen by POST", "want an error with the code unknown_event"},
	} {
		broken[tt.promise] = true
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := conformance.Options{URL: startBad(t, good, tt.give), Timeout: 20 * time.Second, Only: tt.promise}
			if strings.HasPrefix(tt.promise, "without a token") {
				o.URL, o.Token, o.Warehouse = startBad(t, guarded, tt.give), token, "judged"
			}
			found := map[string]string{}
			_, err := conformance.Run(t.Context(), o, func(r conformance.Result) { found[r.Transport] = r.Violation })
			testkit.Must(t, err)
			for _, transport := range tt.over {
				if !strings.Contains(found[transport], tt.says) {
					t.Errorf("over %s the violation of %q is %q, want it to say %q", transport, tt.promise, found[transport], tt.says)
				}
			}
		})
	}
	t.Run("a proxy that changes nothing is no violation, and each promise has one", func(t *testing.T) {
		t.Parallel()
		o := conformance.Options{URL: startBad(t, guarded, violation{}), Token: token, Warehouse: "judged", Timeout: 60 * time.Second}
		_, err := conformance.Run(t.Context(), o, func(r conformance.Result) {
			if !r.Kept {
				t.Errorf("%+v", r)
			}
			if !broken[r.Promise] {
				t.Errorf("no bad server breaks %q", r.Promise)
			}
		})
		testkit.Must(t, err)
	})
}
