//go:build go1.26

package subscribe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const room = "zone:w:a"

// A script is what a server answers, one entry for each connection, the last one from then on.
type script []func(w http.ResponseWriter, r *http.Request)

// served is a fake of the server, reached without a network, so that its time is that of the test.
type served struct {
	script script

	mu       sync.Mutex
	requests []*http.Request
	at       []time.Time
}

func (s *served) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	answer := s.script[min(len(s.requests), len(s.script)-1)]
	s.requests, s.at = append(s.requests, r), append(s.at, time.Now())
	s.mu.Unlock()
	in, out := io.Pipe()
	recorder := &pipeWriter{header: http.Header{}, out: out, begun: make(chan struct{}), status: http.StatusOK}
	go func() {
		answer(recorder, r)
		recorder.begin()
		out.Close()
	}()
	select {
	case <-recorder.begun:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	context.AfterFunc(r.Context(), func() { in.CloseWithError(context.Cause(r.Context())) })
	return &http.Response{StatusCode: recorder.status, Header: recorder.header, Body: in, Request: r}, nil
}

type pipeWriter struct {
	header http.Header
	status int
	out    *io.PipeWriter
	once   sync.Once
	begun  chan struct{}
}

func (w *pipeWriter) Header() http.Header { return w.header }
func (w *pipeWriter) begin()              { w.once.Do(func() { close(w.begun) }) }
func (w *pipeWriter) WriteHeader(status int) {
	w.status = status
	w.begin()
}
func (w *pipeWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.out.Write(p)
}

// stream answers with these events, and ends.
func stream(events ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range events {
			fmt.Fprint(w, e)
		}
	}
}

// hold is a stream that stays open, in silence.
func hold(events ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		stream(events...)(w, r)
		w.(*pipeWriter).begin()
		<-r.Context().Done()
	}
}

func refuse(status int, code, retryAfter string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":%q,"detail":"do it otherwise"}`, code)
	}
}

func connected(offset string) string {
	return `data: {"event":"connected","data":{"connectionId":"c","rooms":[{"room":"zone:w:a","offset":"` + offset + `"}],"heartbeat":30000}}` + "\n\n"
}

func message(offset string) string {
	return `id: x` + "\n" + `data: {"event":"E","room":"zone:w:a","offset":"` + offset + `","time":5,"data":{"n":` + "\n" + `data: 1}}` + "\n\n"
}

func subscription(t *testing.T, s *served, opts ...Option) *Subscription {
	t.Helper()
	sub, err := New("http://zonecast.test", []string{room}, append([]Option{WithHTTPClient(&http.Client{Transport: s})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// collect runs the loop until it has so many events, and returns what each was.
func collect(t *testing.T, sub *Subscription, n int) (got []string, err error) {
	t.Helper()
	for e, err := range sub.Events(t.Context()) {
		if err != nil {
			return got, err
		}
		switch {
		case e.Kind == Gap:
			got = append(got, fmt.Sprintf("gap %v–%v", e.From, e.To))
		case e.Kind == Conflated:
			got = append(got, fmt.Sprintf("conflated %v–%v", e.From, e.To))
		case e.Retained:
			got = append(got, "retained "+e.Offset.String())
		default:
			got = append(got, e.Offset.String())
		}
		if len(got) == n {
			break
		}
	}
	return got, nil
}

func equal(t *testing.T, got []string, want string) {
	t.Helper()
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

// A connection that breaks before all retained events have come leaves none of them out: the next
// one, of this process or another, asks for them again.
func TestRetainedEventsThatAConnectionStillOwedComeOnTheNext(t *testing.T) {
	const joined = `data: {"event":"connected","data":{"rooms":[{"room":"zone:w:a","offset":"k-7","retained":2}]}}` + "\n\n"
	retained := strings.Replace(message("k-3"), `"data"`, `"retained":true,"data"`, 1)
	s := &served{script: script{
		stream(joined),
		stream(joined, retained),
		stream(joined, retained, strings.ReplaceAll(retained, "k-3", "k-5"), message("k-8")),
		stream(connected("k-8"), message("k-9"))}}
	synctest.Test(t, func(t *testing.T) {
		sub := subscription(t, s)
		got, err := collect(t, sub, 5)
		equal(t, got, "retained k-3, retained k-3, retained k-5, k-8, k-9")
		if err != nil {
			t.Error(err)
		}
		for i, want := range []string{"", "zone:w:a@k-7.retained", "zone:w:a@k-7.retained", "zone:w:a@k-8"} {
			if got := s.requests[i].Header.Get("Last-Event-ID"); got != want {
				t.Errorf("connection %d came with %q, want %q", i, got, want)
			}
		}
		if _, err := New("http://zonecast.test", []string{room}, WithCursor("zone:w:a@k-7.retained")); err != nil {
			t.Error(err)
		}
	})
}

// Each event once and in order, whatever comes twice or is cut off.
func TestTheLoopGetsEachEventOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{script: script{
			stream(connected("k-3"), `data: {"event":"E","room":"zone:w:a","offset":"k-1","time":1,"retained":true,"data":1}`+"\n\n",
				message("k-4"), message("k-5"), strings.TrimSuffix(message("k-6"), "\n\n")),
			stream(connected("k-9"), message("k-5"), message("k-6"), message("k-7")),
			hold(connected("k-9"), message("k-8")),
		}}
		sub := subscription(t, s)
		got, err := collect(t, sub, 6)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, "retained k-1, k-4, k-5, k-6, k-7, k-8")
		if got := sub.Cursor(); got != "zone:w:a@k-7" {
			t.Errorf("the loop stands at %s, though it was left at k-8", got)
		}
		if got := s.requests[0].URL.RawQuery; got != "room=zone%3Aw%3Aa" {
			t.Errorf("asked for %s", got)
		}
		for i, want := range []string{"", "zone:w:a@k-5", "zone:w:a@k-7"} {
			if got := s.requests[i].Header.Get("Last-Event-ID"); got != want {
				t.Errorf("connection %d resumes at %q, want %q", i, got, want)
			}
		}
	})
}

// The cursor is behind an event until it was handled, also behind one that follows a gap that the
// client finds itself.
func TestTheCursorStandsBeforeWhatWasNotHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscription(t, &served{script: script{hold(connected("k-3"), message("k-4"), message("k-9"))}})
		if got, err := collect(t, sub, 3); err != nil || sub.Cursor() != "zone:w:a@k-4" {
			t.Errorf("got %v, %v; the cursor is %s", got, err, sub.Cursor())
		}
	})
}

// What is lost is told, also by a server that forgets to.
func TestWhatIsLostIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{script: script{hold(connected("k-3"),
			`data: {"event":"gap","data":{"room":"zone:w:a","from":"k-3","to":"m-7"}}`+"\n\n", message("m-8"),
			`data: {"event":"conflated","data":{"room":"zone:w:a","from":"m-8","to":"m-9"}}`+"\n\n", message("m-10"),
			message("m-13"), message("z-2"),
			`data: {"event":"gap","data":{"room":"zone:w:a","from":"z-2","to":"z-0"}}`+"\n\n", message("z-1"))}}
		got, err := collect(t, subscription(t, s), 10)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, "gap k-3–m-7, m-8, conflated m-8–m-9, m-10, gap m-10–m-12, m-13, gap m-13–z-1, z-2, gap z-2–z-0, z-1")
	})
}

func TestARefusalForGoodEndsTheLoop(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		"forbidden":                    {refuse(403, "forbidden", ""), "the server answered 403 (forbidden): do it otherwise"},
		"a bad request":                {refuse(400, "invalid_room", ""), "the server answered 400 (invalid_room): do it otherwise"},
		"a string token":               {refuse(401, "unauthenticated", ""), "the server answered 401 (unauthenticated): do it otherwise"},
		"forbidden later":              {stream(connected("k-3"), "event: close\ndata: {\"code\":4403,\"reason\":\"no more\"}\n\n"), "the server ended the stream with 4403: no more"},
		"a newer one of the same user": {stream(connected("k-3"), "event: close\ndata: {\"code\":4409,\"reason\":\"newer\"}\n\n"), "the server ended the stream with 4409: newer"},
		"a token that is old":          {stream(connected("k-3"), "event: close\ndata: {\"code\":4401,\"reason\":\"expired\"}\n\n"), "the server ended the stream with 4401 (unauthenticated): expired"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := collect(t, subscription(t, &served{script: script{c.answer}}, WithToken("t")), 1)
				if refused := (*Error)(nil); !errors.As(err, &refused) || err.Error() != c.want {
					t.Errorf("the loop ended with %v, want %s", err, c.want)
				}
			})
		})
	}
}

// The client comes back after all that passes, when it is asked to and with a longer wait each
// time.
func TestTheClientComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{script: script{
			refuse(503, "unavailable", "7"),
			func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
			hold(connected("k-1"), message("k-2")),
		}}
		s.script[1] = refuse(404, "", "") // of a proxy: it has no code
		start := time.Now()
		got, err := collect(t, subscription(t, s), 1)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, "k-2")
		if at := s.at[1].Sub(start); at != 7*time.Second {
			t.Errorf("came back after %v, asked for 7 s", at)
		}
		if wait := s.at[2].Sub(s.at[1]); wait > 2*time.Second {
			t.Errorf("the second wait is %v", wait)
		}
	})
	t.Run("after drain, when it says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &served{script: script{
				stream(connected("k-1"), "retry: 1840\ndata: {\"event\":\"drain\",\"data\":{\"retryAfter\":1840}}\n\n", "event: close\ndata: {\"code\":1012,\"reason\":\"\"}\n\n"),
				hold(connected("k-1"), message("k-2")),
			}}
			if _, err := collect(t, subscription(t, s), 1); err != nil {
				t.Fatal(err)
			}
			if wait := s.at[1].Sub(s.at[0]); wait != 1840*time.Millisecond {
				t.Errorf("came back after %v", wait)
			}
		})
	})
	t.Run("after silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &served{script: script{hold(), hold(connected("k-1")), hold(connected("k-1"), message("k-2"))}}
			if _, err := collect(t, subscription(t, s, WithBackoff(1, 1)), 1); err != nil {
				t.Fatal(err)
			}
			for i, want := range []time.Duration{10 * time.Second, 60 * time.Second} {
				if wait := s.at[i+1].Sub(s.at[i]).Round(time.Second); wait != want {
					t.Errorf("connection %d was given up after %v of silence, want %v", i, wait, want)
				}
			}
		})
	})
}

// A loop that takes its time is no silence of the server.
func TestASlowLoopIsNotTakenForASilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{script: script{hold(connected("k-1"), message("k-2"), message("k-3"))}}
		n := 0
		for _, err := range subscription(t, s).Events(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if n++; n == 2 {
				break
			}
		}
		if len(s.requests) != 1 {
			t.Errorf("%d connections", len(s.requests))
		}
	})
}

// A function is asked for a token before each connection; the end comes when three in a row are
// refused.
func TestATokenFunctionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		token := WithTokenFunc(func(context.Context) (string, error) {
			if asked++; asked == 2 {
				return "", errors.New("the issuer is down")
			}
			return fmt.Sprint("token-", asked), nil
		})
		s := &served{script: script{
			stream(connected("k-1"), "event: close\ndata: {\"code\":4401,\"reason\":\"expired\"}\n\n"),
			hold(connected("k-1"), message("k-2")),
		}}
		if _, err := collect(t, subscription(t, s, token), 1); err != nil {
			t.Fatal(err)
		}
		if got := s.requests[1].Header.Get("Authorization"); got != "Bearer token-3" || asked != 3 {
			t.Errorf("came back with %q, asked %d times", got, asked)
		}
		s = &served{script: script{refuse(401, "unauthenticated", "")}}
		if _, err := collect(t, subscription(t, s, token), 1); err == nil || len(s.requests) != maxRefusals {
			t.Errorf("ended with %v after %d refusals", err, len(s.requests))
		}
	})
}

// A token function that hangs, or returns nothing, is a connection that failed and says why; one
// that knows that nobody is signed in any more ends the loop.
func TestATokenFunctionMayBeSlowOrSayThatItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		asked := 0
		token := WithTokenFunc(func(ctx context.Context) (string, error) {
			switch asked++; asked {
			case 1:
				<-ctx.Done()
				return "", ctx.Err()
			case 2:
				return "", nil
			case 3: // slow, and still no part of the time that the server has
				time.Sleep(connectTimeout - time.Second)
				return "token", nil
			}
			return "", &Error{Code: wire.CodeUnauthenticated, Detail: "signed out"}
		})
		late := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(connectTimeout - time.Second)
			stream(connected("k-1"), message("k-2"))(w, r)
		}
		s := &served{script: script{late}}
		got, err := collect(t, subscription(t, s, token, WithLog(slog.New(slog.NewTextHandler(&log, nil)))), 2)
		equal(t, got, "k-2")
		var refused *Error
		if !errors.As(err, &refused) || err.Error() != "refused (unauthenticated): signed out" || asked != 4 {
			t.Errorf("ended with %v after %d tokens", err, asked)
		}
		for _, want := range []string{"the token function failed: no token within 10s", "the token function failed: it returned none"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}

func TestTheLoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sub := subscription(t, &served{script: script{hold(connected("k-1"))}})
		for _, err := range sub.Events(ctx) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
		}
		if _, ok := http.DefaultTransport.(*http.Transport); !ok {
			t.Fatal()
		}
	})
}

func TestOneLoopAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscription(t, &served{script: script{hold(connected("k-1"), message("k-2"))}})
		for range sub.Events(t.Context()) {
			for _, err := range sub.Events(t.Context()) {
				if err == nil {
					t.Error("a second loop runs")
				}
			}
			break
		}
		if _, err := collect(t, sub, 1); err != nil {
			t.Errorf("a loop after it: %v", err)
		}
	})
}

func TestMistakesAreNamed(t *testing.T) {
	for want, call := range map[string]func() (*Subscription, error){
		"http://":          func() (*Subscription, error) { return New("ftp://x", []string{room}) },
		"no room is named": func() (*Subscription, error) { return New("http://x", nil) },
		"is not a room":    func() (*Subscription, error) { return New("http://x", []string{"nothing"}) },
		"Timeout": func() (*Subscription, error) {
			return New("http://x", []string{room}, WithHTTPClient(&http.Client{Timeout: 1}))
		},
		"base":                 func() (*Subscription, error) { return New("http://x", []string{room}, WithBackoff(0, 1)) },
		"the cursor's part":    func() (*Subscription, error) { return New("http://x", []string{room}, WithCursor("x")) },
		"the logger is nil":    func() (*Subscription, error) { return New("http://x", []string{room}, WithLog(nil)) },
		"without user, query ": func() (*Subscription, error) { return New("http://u:p@x", []string{room}) },
	} {
		if _, err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func TestACursorOfOtherRoomsIsLeftOut(t *testing.T) {
	sub, err := New("http://x", []string{room}, WithCursor("warehouse:w@k-1,zone:w:a@k-2"))
	if err != nil || sub.Cursor() != "zone:w:a@k-2" {
		t.Errorf("stands at %q, %v", sub.Cursor(), err)
	}
}

// Whatever a server or a proxy sends, the client neither panics nor keeps more than its bounds.
func FuzzReader(f *testing.F) {
	f.Add(connected("k-1") + message("k-2") + "event: close\ndata: {}\n\n")
	f.Add(": comment\n\nretry: 5\n\ndata\n\ndata: a\r\ndata: b\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		sub, err := New(server.URL, []string{room})
		if err != nil {
			t.Fatal(err)
		}
		events := newReader(strings.NewReader(text))
		for {
			name, data, err := events.next()
			if err != nil {
				return
			}
			if name == "close" {
				_ = closed(data)
			} else if frame, err := wire.DecodeServer(data); err == nil {
				_ = sub.pass(frame, func(Event, error) bool { return true })
			}
		}
	})
}
