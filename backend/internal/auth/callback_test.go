package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An application decides who may connect.
type application struct {
	*httptest.Server
	asked atomic.Int64

	mu     sync.Mutex
	latest map[string]any
	status int
	answer string
}

func newApplication(t testing.TB) *application {
	a := &application{status: 200, answer: `{"sub":"u","warehouses":{"w1":["a"]}}`}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := json.NewDecoder(r.Body).Decode(&a.latest); err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.answer))
	}))
	t.Cleanup(a.Close)
	return a
}

func TestAnApplicationDecides(t *testing.T) {
	a := newApplication(t)
	var failed atomic.Int64
	g := auth.New(auth.Options{Callback: auth.CallbackOptions{URL: a.URL, OnResult: func(result string) {
		if result == "failed" {
			failed.Add(1)
		}
	}}})
	for i, c := range []struct {
		name, answer string
		status       int
		want         wire.ErrorCode
	}{
		{"yes", `{"sub":"u","warehouses":{"w1":["a"]}}`, 200, ""},
		{"not this token", ``, 401, wire.CodeUnauthenticated},
		{"not this user", ``, 403, wire.CodeForbidden},
		{"broken", ``, 500, wire.CodeUnavailable},
		{"a redirect", ``, 307, wire.CodeUnavailable},
		{"no JSON", `yes`, 200, wire.CodeUnavailable},
		{"claims of another type", `{"warehouses":"w1"}`, 200, wire.CodeUnavailable},
		{"too long", `{"x":"` + strings.Repeat("x", 70<<10) + `"}`, 200, wire.CodeUnavailable},
		{"expired", `{"exp":1}`, 200, wire.CodeUnauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.mu.Lock()
			a.status, a.answer = c.status, c.answer
			a.mu.Unlock()
			before := failed.Load()
			r := httptest.NewRequest("GET", "/ws?token=t"+c.name[:1]+strings.Repeat("i", i), nil)
			r.Header.Set("User-Agent", "scanner")
			r.Header.Set("Cookie", "session=secret")
			who, err := g.Client(r, auth.Visit{Address: "10.0.0.7", Rooms: []wire.Room{room(t, "w1", "a")}})
			if code(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err == nil && (who.User != "u" || who.MayJoin(room(t, "w1", "a")) != nil || who.MayJoin(room(t, "w1", "")) == nil) {
				t.Errorf("got %s", who.Permissions())
			}
			if want := c.want == wire.CodeUnavailable; failed.Load() > before != want {
				t.Errorf("counted as failed: %v", !want)
			}
			if strings.Contains(fmtError(err), a.URL) {
				t.Errorf("the client is told the address: %v", err)
			}
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, _ := json.Marshal(a.latest)
	for _, want := range []string{`"address":"10.0.0.7"`, `"rooms":["zone:w1:a"]`, `"userAgent":"scanner"`, `"token":"te`} {
		if !strings.Contains(string(p), want) {
			t.Errorf("the application was told %s, want %s in it", p, want)
		}
	}
	if strings.Contains(string(p), "secret") {
		t.Errorf("the application was told a cookie: %s", p)
	}
}

func fmtError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDecisionsAreRememberedForAWhile(t *testing.T) {
	a := newApplication(t)
	g := auth.New(auth.Options{Callback: auth.CallbackOptions{URL: a.URL, CacheFor: time.Hour}})
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			if _, err := g.Token("one", ""); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	if n := a.asked.Load(); n != 1 {
		t.Errorf("asked %d times for one token", n)
	}
	_, err := g.Token("two", "")
	testkit.Must(t, err)
	if n := a.asked.Load(); n != 2 {
		t.Errorf("asked %d times for two tokens", n)
	}
}

// Without an answer nobody is let in, nor waits for long.
func TestAnApplicationThatDoesNotAnswerLetsNobodyIn(t *testing.T) {
	release := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer stuck.Close()
	defer close(release)
	g := auth.New(auth.Options{Callback: auth.CallbackOptions{URL: stuck.URL, Timeout: 200 * time.Millisecond}})
	var clients sync.WaitGroup
	for n := range 200 {
		clients.Go(func() {
			_, err := g.Token(strings.Repeat("t", n+1), fmt.Sprint("192.0.2.", n))
			if code(err) != wire.CodeUnavailable || wire.AsError(err).RetryAfter == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
	clients.Wait()
}

// The application gets 64 questions at once, however many ask; the others wait for their turn.
func TestTheApplicationIsNotOverrun(t *testing.T) {
	release := make(chan struct{})
	var now, most atomic.Int64
	var counting sync.Mutex
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		counting.Lock()
		most.Store(max(most.Load(), now.Add(1)))
		counting.Unlock()
		<-release
		now.Add(-1)
		_, _ = w.Write([]byte(`{"sub":"u"}`))
	}))
	defer busy.Close()
	g := auth.New(auth.Options{Callback: auth.CallbackOptions{URL: busy.URL, Timeout: testkit.Patience}})
	var clients sync.WaitGroup
	for n := range 200 {
		clients.Go(func() {
			if _, err := g.Token(strings.Repeat("t", n+1), fmt.Sprint("192.0.2.", n)); err != nil {
				t.Error(err)
			}
		})
	}
	testkit.Eventually(t, "64 questions are open", func() bool { return now.Load() == 64 })
	close(release)
	clients.Wait()
	if most.Load() != 64 {
		t.Errorf("%d questions were open at once", most.Load())
	}
}

// A stranger who asks for one thing after another from one address takes a quarter of the
// application's time at most, and displaces no decision that let somebody in.
func TestAFloodFromOneAddressKeepsNobodyElseOut(t *testing.T) {
	release := make(chan struct{})
	var flooding atomic.Int64
	a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Address, UserAgent string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		if asked.Address == "192.0.2.66" {
			flooding.Add(1)
			<-release
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"sub":"u"}`))
	}))
	defer a.Close()
	g := auth.New(auth.Options{Callback: auth.CallbackOptions{URL: a.URL, Timeout: testkit.Patience}})
	// A connect, a publish and a renewal.
	ask := func(n int, address string) (err error) {
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		r.Header.Set("Authorization", fmt.Sprint("Bearer ", n))
		switch n % 3 {
		case 0:
			_, err = g.Client(r, auth.Visit{Address: address})
		case 1:
			_, err = g.Service(r, auth.Visit{Address: address})
		default:
			_, err = g.Token(fmt.Sprint(n), address)
		}
		return err
	}
	var flood sync.WaitGroup
	for n := range 200 {
		flood.Go(func() { _ = ask(n, "192.0.2.66") })
	}
	testkit.Eventually(t, "the flood has what it gets", func() bool { return flooding.Load() == 16 })
	for n := range 50 {
		if err := ask(n, "192.0.2.1"); err != nil {
			t.Fatalf("an honest client got %v", err)
		}
	}
	if n := flooding.Load(); n != 16 {
		t.Errorf("%d questions of one address were open at once", n)
	}
	close(release)
	flood.Wait()
}
