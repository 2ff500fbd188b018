package lameduck_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/lameduck"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

type server struct {
	*lameduck.Server
	address string
	served  *atomic.Int64
}

func serve(t *testing.T, h http.HandlerFunc) server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	s := server{address: listener.Addr().String(), served: new(atomic.Int64)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	web := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.served.Add(1)
		h(w, r)
	})}
	s.Server = lameduck.New(web)
	var running sync.WaitGroup
	s.Listen(listener)
	running.Go(func() { _ = web.Serve(listener) })
	t.Cleanup(func() { _ = web.Close(); running.Wait() })
	return s
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }

// A conn is a client's connection that stays as it is.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address string) conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	return conn{c, bufio.NewReader(c)}
}

func (c conn) post() (*http.Response, error) {
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	return answer, err
}

// A request on a connection that was kept open is answered as long as its client may be about to
// send it, and each answer ends its connection.
func TestARequestOnAKeptConnectionIsAnswered(t *testing.T) {
	s := serve(t, ok)
	var kept []conn
	for range 10 {
		c := dial(t, s.address)
		if answer, err := c.post(); err != nil || answer.Close {
			t.Fatalf("before: %+v, %v", answer, err)
		}
		kept = append(kept, c)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	for i, c := range kept {
		time.Sleep(50 * time.Millisecond) // at different times after the end began
		answer, err := c.post()
		if err != nil || !answer.Close {
			t.Errorf("request %d meanwhile: %+v, %v; want an answer with Connection: close", i, answer, err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Clients that have no connection yet, and connect while the server ends, are either answered or
// never heard: none sends a request that is lost.
func TestNoNewConnectionIsDroppedUnanswered(t *testing.T) {
	for range 5 {
		s := serve(t, ok)
		ctx, stop := context.WithCancel(t.Context())
		var sent, answered, lost atomic.Int64
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for ctx.Err() == nil {
					c, err := (&net.Dialer{Timeout: 50 * time.Millisecond}).DialContext(ctx, "tcp", s.address)
					if err != nil { // not connected: a proxy tries another instance
						time.Sleep(time.Millisecond)
						continue
					}
					sent.Add(1)
					if _, err := (conn{c, bufio.NewReader(c)}).post(); err != nil {
						lost.Add(1)
					} else {
						answered.Add(1)
					}
					c.Close()
				}
			})
		}
		testkit.Eventually(t, "requests", func() bool { return answered.Load() > 50 })
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
		clients.Wait()
		if lost.Load() > 0 {
			t.Errorf("%d of %d requests were sent and not answered", lost.Load(), sent.Load())
		}
	}
}

// What is under way is answered, as far as there is time.
func TestWhatIsUnderWayIsAnswered(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release; ok(w, r) })
	asking := func() chan error {
		answered := make(chan error, 1)
		c, before := dial(t, s.address), s.served.Load()
		go func() { _, err := c.post(); answered <- err }()
		testkit.Eventually(t, "it is under way", func() bool { return s.served.Load() > before })
		return answered
	}
	first := asking()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	time.AfterFunc(200*time.Millisecond, func() { close(release) })
	if err := errors.Join(<-first, <-ended); err != nil {
		t.Error(err)
	}

	stuck := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s = stuck
	second := asking()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || <-second == nil {
		t.Errorf("without time: %v, want that it is over, and the request cut off", err)
	}
}

// A client over HTTP/2 is told to use another connection (GOAWAY), and loses nothing.
func TestHTTP2ClientsAreToldToGo(t *testing.T) {
	s := serve(t, ok)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	var dials atomic.Int64
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	post := func() {
		t.Helper()
		answer, err := (&http.Client{Transport: transport}).Post("http://"+s.address, "text/plain", strings.NewReader("x"))
		testkit.Must(t, err)
		answer.Body.Close()
		if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusOK {
			t.Errorf("%s %s", answer.Proto, answer.Status)
		}
	}
	post()
	post()
	if dials.Load() != 1 {
		t.Fatalf("%d connections for two requests", dials.Load())
	}
	s.Leave()
	post()
	testkit.Eventually(t, "another connection is used", func() bool { post(); return dials.Load() > 1 })
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who has sent the beginning of a request holds nothing up, and makes no mistake of the end.
func TestHalfARequestHoldsNothingUp(t *testing.T) {
	s := serve(t, ok)
	half := dial(t, s.address)
	_, err := io.WriteString(half, "GET / HTTP/1.1\r\n")
	testkit.Must(t, err)
	if _, err := dial(t, s.address).post(); err != nil { // by then the server has read what came before
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("ended with %v", err)
	}
}
