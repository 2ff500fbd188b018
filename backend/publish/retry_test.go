//go:build go1.26

package publish

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

var message = Message{Warehouse: "w1", Zone: "a", Event: "E", Data: 1}

// noJitter makes every wait exactly what the server asks for.
func noJitter(attempts int) Option {
	return WithRetry(Retry{Attempts: attempts, Within: time.Minute})
}

func TestRetries(t *testing.T) {
	tests := []struct {
		name   string
		script []fault
	}{
		{"connection refused", []fault{refused, refused}},
		{"answer lost", []fault{lostAnswer, lostAnswer}},
		{"answer broken off", []fault{brokenAnswer}},
		{"never answered", []fault{silence}},
		{"unavailable", []fault{problem(http.StatusServiceUnavailable)}},
		{"rate limited", []fault{problem(http.StatusTooManyRequests)}},
		{"proxy without an instance", []fault{answers(http.StatusBadGateway, "text/html", ""),
			answers(http.StatusGatewayTimeout, "text/html", "")}},
		{"one after the other", []fault{refused, problem(http.StatusServiceUnavailable), silence, lostAnswer}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newFlaky(t, nil, tt.script...)
				got, err := c.Publish(t.Context(), message)
				must(t, err)
				if got.Offset.N != 1 || len(f.server.accepted) != 1 {
					t.Errorf("published %d times, at %v", len(f.server.accepted), got.Offset)
				}
				if want := len(tt.script) + 1; len(f.calls) != want {
					t.Errorf("sent %d times, want %d", len(f.calls), want)
				}
				for _, r := range f.server.requests {
					if r.header.Get("Idempotency-Key") != f.server.accepted[0].Key {
						t.Errorf("another attempt came with another idempotency key")
					}
					if r.body != f.server.requests[0].body {
						t.Errorf("another attempt came with another body: %s", r.body)
					}
				}
			})
		})
	}
}

// By default a publication outlives an absence of the server that is a little shorter than half a
// minute, and is published once.
func TestByDefaultAnAbsenceOfHalfAMinuteIsBridged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(27 * time.Second)
		away := func(server http.RoundTripper, r *http.Request) (*http.Response, error) {
			if time.Now().Before(back) {
				return refused(server, r)
			}
			return server.RoundTrip(r)
		}
		script := make([]fault, 1000)
		for i := range script {
			script[i] = away
		}
		c, f := newFlaky(t, nil, script...)
		_, err := c.Publish(t.Context(), message)
		must(t, err)
		if len(f.server.accepted) != 1 || len(f.calls) > 200 {
			t.Errorf("published %d times, in %d attempts", len(f.server.accepted), len(f.calls))
		}
	})
}

func TestWaitsAsLongAsTheServerAsks(t *testing.T) {
	tests := []struct {
		name   string
		header string
		want   time.Duration
	}{
		{"seconds", "7", 7 * time.Second},
		// Synctest's clock starts at that midnight.
		{"date", "Sat, 01 Jan 2000 00:00:09 GMT", 9 * time.Second},
		{"date in the past", "Fri, 31 Dec 1999 23:59:00 GMT", 0},
		{"nonsense", "soon", 0},
		{"negative", "-3", 0},
		{"nothing", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newFlaky(t, []Option{noJitter(2)}, problem(http.StatusServiceUnavailable, "Retry-After", tt.header))
				_, err := c.Publish(t.Context(), message)
				must(t, err)
				if got := f.calls[1].Sub(f.calls[0]); got != tt.want {
					t.Errorf("waited %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestGivesUp(t *testing.T) {
	overloaded := problem(http.StatusTooManyRequests, "Retry-After", "20")
	tests := []struct {
		name   string
		retry  Retry
		script []fault
		calls  int
		took   time.Duration
		want   string
	}{
		{"after the attempts", Retry{Attempts: 3, Within: time.Minute}, []fault{refused, refused, refused}, 3, 0,
			"gave up after 3 attempts"},
		{"at once when told so", Retry{Attempts: 1, Within: time.Minute}, []fault{refused}, 1, 0, "connection refused"},
		{"before a wait that takes too long", Retry{Attempts: 9, Within: 30 * time.Second}, []fault{overloaded, overloaded},
			2, 20 * time.Second, "gave up after 2 attempts"},
		{"when the server asks for a day", Retry{Attempts: 9, Within: time.Hour},
			[]fault{problem(http.StatusServiceUnavailable, "Retry-After", "2147483647")}, 1, 0, "503"},
		{"when nobody answers", Retry{Attempts: 9, Within: 12 * time.Second}, []fault{silence, silence, silence}, 3,
			12 * time.Second, "gave up after 3 attempts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newFlaky(t, []Option{WithRetry(tt.retry), WithTimeout(5 * time.Second)}, tt.script...)
				start := time.Now()
				err := c.BroadcastToZone("w1", "a", "E", 1)
				wantText(t, err, tt.want)
				if took := time.Since(start); took != tt.took || len(f.calls) != tt.calls {
					t.Errorf("sent %d times in %v, want %d in %v", len(f.calls), took, tt.calls, tt.took)
				}
			})
		})
	}
}

func TestTheLastErrorStaysReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newFlaky(t, []Option{noJitter(2)}, refused, problem(http.StatusServiceUnavailable, "Retry-After", "4"))
		_, err := c.Publish(t.Context(), message)
		got, ok := errors.AsType[*Error](err)
		if !ok || got.Status != 503 || got.RetryAfter != 4*time.Second || !got.Temporary() {
			t.Errorf("got %+v in %v", got, err)
		}
		wantText(t, err, "publish E to zone:w1:a: gave up after 2 attempts: the server answered 503 Service Unavailable")
	})
}

func TestTheContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFlaky(t, []Option{noJitter(9)}, problem(http.StatusServiceUnavailable, "Retry-After", "10"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		_, err := c.Publish(ctx, message)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("returned after %v, want 3 s", took)
		}
		if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want both the server's and the context's error", err)
		}
		if len(f.calls) != 1 {
			t.Errorf("sent %d times, want once", len(f.calls))
		}
	})
}

func TestTheContextEndsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newFlaky(t, nil, silence)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := c.Publish(ctx, message); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(f.calls) != 1 {
			t.Errorf("sent %d times, want once", len(f.calls))
		}
	})
}

func TestBackoffGrowsToItsCapWithFullJitter(t *testing.T) {
	r := Retry{Attempts: 99, Base: 100 * time.Millisecond, Cap: time.Second, Within: time.Hour}
	tests := []struct {
		n    int
		want time.Duration // the bound
	}{
		{1, 100 * time.Millisecond}, {2, 200 * time.Millisecond}, {3, 400 * time.Millisecond},
		{4, 800 * time.Millisecond}, {5, time.Second}, {98, time.Second},
	}
	for _, tt := range tests {
		lowest, highest := tt.want, time.Duration(0)
		for range 1000 {
			d := r.wait(tt.n, 0)
			lowest, highest = min(lowest, d), max(highest, d)
		}
		// Of 1000 even draws none falls into the lowest or highest tenth once in 10⁴⁵ runs.
		if highest >= tt.want || highest < tt.want*9/10 || lowest > tt.want/10 {
			t.Errorf("attempt %d waited between %v and %v, want between 0 and %v", tt.n, lowest, highest, tt.want)
		}
		if d := r.wait(tt.n, time.Minute); d < time.Minute || d >= time.Minute+tt.want {
			t.Errorf("attempt %d waited %v beside a Retry-After of a minute", tt.n, d)
		}
	}
}
