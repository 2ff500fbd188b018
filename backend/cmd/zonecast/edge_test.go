package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// knock sends the text on a connection of its own, which is open until the test ends.
func (s *server) knock(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
	_, err = io.WriteString(c, text)
	testkit.Must(t, err)
	return c
}

// Whatever the request: nobody waits for a body that never comes, or comes a byte at a time.
func TestARequestWhoseBodyNeverComesEnds(t *testing.T) {
	t.Parallel() // it only waits
	s := serving(t)
	var waiting sync.WaitGroup
	for _, request := range []string{"GET /livez", "POST /api/v1/broadcast", "POST /poll", "POST /sse", "PUT /nothing", "GET /assets/nothing"} {
		for _, length := range []string{"Content-Length: 1", "Transfer-Encoding: chunked"} {
			c := s.knock(t, request+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+length+"\r\n\r\n")
			waiting.Go(func() {
				if _, err := io.Copy(io.Discard, c); err != nil { // until the server ends the connection
					t.Errorf("%s with %s: %v", request, length, err)
				}
			})
		}
	}
	waiting.Wait()
}

// A body that came in leaves no deadline behind: neither for a poll that waits longer than a body
// may take, nor for the next request of its connection.
func TestABodyThatCameInTimeLeavesItsConnectionAlone(t *testing.T) {
	t.Parallel() // it only waits
	s := serving(t)
	var first struct{ Cursor string } // without a cursor a poll is answered at once
	_, text := s.ask(t, http.MethodGet, "/poll?warehouse=w")
	testkit.Must(t, json.Unmarshal(text, &first))
	const echo = `{"event":"echo","id":1}`
	began := time.Now()
	c := s.knock(t, fmt.Sprintf("POST /poll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"+
		"GET /poll?warehouse=w&wait=11000&cursor=%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", len(echo), echo, first.Cursor))
	testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience+20*time.Second)))
	answer, err := io.ReadAll(c)
	if n := strings.Count(string(answer), "HTTP/1.1 200 OK"); err != nil || n != 2 {
		t.Errorf("%d answers: %q %v", n, answer, err)
	}
	if waited := time.Since(began); waited < 11*time.Second {
		t.Errorf("the poll was answered after %v", waited)
	}
}

func TestConnectionsOverHTTPAreBounded(t *testing.T) {
	s := serving(t, "--max-connections=10", "--max-tcp-connections=20", "--max-tcp-connections-per-address=15")
	var held []net.Conn
	for range 15 {
		held = append(held, s.knock(t, ""))
	}
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err == nil { // else it was reset before
		defer c.Close()
		testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the sixteenth: %v, want a reset", err)
	}
	held[0].Close()
	testkit.Eventually(t, "there is room again, and the refusal is counted", func() bool {
		families, err := s.metrics.Registry.Gather()
		testkit.Must(t, err)
		return slices.ContainsFunc(families, func(f *dto.MetricFamily) bool {
			return f.GetName() == "zonecast_tcp_connections" && f.GetMetric()[0].GetGauge().GetValue() < 15
		})
	})
	if n := s.scrape(t)[`zonecast_connections_refused_total{reason="tcp_address_limit"}`]; n != 1 {
		t.Errorf("the refusal is counted %v times", n)
	}
}

// A client that asks for an answer, again and again, and reads nothing of it is given up.
func TestAnAnswerThatNobodyReadsHasADeadline(t *testing.T) {
	s := serving(t)
	w := &deadlines{ResponseWriter: nil, header: http.Header{}}
	r, err := http.NewRequest(http.MethodGet, "/livez", nil)
	testkit.Must(t, err)
	s.http.Handler.ServeHTTP(w, r)
	if in := time.Until(w.write); in <= 0 || in > answerTimeout {
		t.Errorf("the deadline of the answer is in %v, want up to %v", in, answerTimeout)
	}
}

// deadlines is an answer that knows when it has to be written.
type deadlines struct {
	http.ResponseWriter
	header http.Header
	write  time.Time
}

func (d *deadlines) Header() http.Header                { return d.header }
func (d *deadlines) WriteHeader(int)                    {}
func (d *deadlines) Write(p []byte) (int, error)        { return len(p), nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }
