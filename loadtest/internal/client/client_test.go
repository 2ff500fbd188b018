//go:build linux

package client

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

type journal struct {
	events    []string
	responses []string
	closed    []error
}

func (j *journal) Event(_ *Conn, e *protocol.Event, _ uint64) {
	j.events = append(j.events, fmt.Sprintf("%d %s-%d %s", e.Kind, e.Epoch, e.N, e.Data))
}
func (j *journal) Response(_ *Conn, r *http1.Response, _ uint64) {
	j.responses = append(j.responses, fmt.Sprintf("%d %s", r.Status, r.Body))
}
func (j *journal) Closed(_ *Conn, why error, _ uint64) { j.closed = append(j.closed, why) }

func openLoop(t *testing.T, speech protocol.Codec) *Loop {
	t.Helper()
	l, err := Open(Options{Protocol: speech})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func targetOf(t *testing.T, address, path string) *Target {
	t.Helper()
	return &Target{Addr: netip.MustParseAddrPort(address), Host: "example", Path: path}
}

func dial(t *testing.T, l *Loop, mode Mode, to *Target, handler Handler) *Conn {
	t.Helper()
	c, err := l.Dial(mode, to, protocol.Subscription{Room: room}, handler)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stepUntil(t *testing.T, l *Loop, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if err := l.Step(5 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// serveText answers whoever connects with the same bytes, a few at a time, and closes.
func serveText(t *testing.T, text string, step int) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				for p := []byte(text); len(p) > 0; p = p[min(step, len(p)):] {
					if _, err := conn.Write(p[:min(step, len(p))]); err != nil {
						return
					}
					time.Sleep(100 * time.Microsecond)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

const room = "zone:warehouse-1:zone-a"

func frameOf(n int) string {
	return fmt.Sprintf(`{"event":"LOADTEST","room":"%s","offset":"e1-%d","time":1,"data":{"n":%d}}`, room, n, n)
}

// However the bytes of a stream come, the same events are told.
func TestStreamInPieces(t *testing.T) {
	body := "data: " + `{"event":"connected","data":{"rooms":[{"room":"` + room + `","offset":"e1-0"}]}}` + "\nid: x\n\n: a comment\n\n" +
		"data: " + frameOf(1) + "\n\nevent: heartbeat\ndata: " + `{"event":"heartbeat","data":{}}` + "\n\ndata: " + frameOf(2) + "\n\n" +
		"event: close\ndata: " + `{"code":4408,"reason":"too slow"}` + "\n\n"
	var chunks bytes.Buffer
	for p := []byte(body); len(p) > 0; p = p[min(37, len(p)):] {
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", min(37, len(p)), p[:min(37, len(p))])
	}
	text := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n"
	for _, step := range []int{1, 7, 64, len(text)} {
		l, j := openLoop(t, protocol.Zonecast{}), &journal{}
		dial(t, l, Stream, targetOf(t, serveText(t, text, step), "/sse"), j)
		stepUntil(t, l, func() bool { return len(j.closed) > 0 })
		want := []string{fmt.Sprintf("%d e1-0 ", protocol.Ready), fmt.Sprintf(`%d e1-1 {"n":1}`, protocol.Delivery), fmt.Sprintf(`%d e1-2 {"n":2}`, protocol.Delivery)}
		if strings.Join(j.events, "|") != strings.Join(want, "|") {
			t.Errorf("%d bytes at a time: %q, want %q", step, j.events, want)
		}
		var closed *CloseError
		if !errors.As(j.closed[0], &closed) || closed.Code != int(wire.CloseSlowConsumer) || closed.Reason != "too slow" {
			t.Errorf("%d bytes at a time: ended with %v", step, j.closed[0])
		}
	}
}

func TestAnswersThatAreNotHopedFor(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode Mode
		give string
		want string
	}{
		{"a stream that is refused", Stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "HTTP 403"},
		{"a stream that is none", Stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", "not an event stream"},
		{"a poll that is refused", Polling, "HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n", "HTTP 429"},
		{"a poll without a cursor", Polling, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no cursor"},
		{"a handshake that is refused", WebSocket, "HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfull\r\n0\r\n\r\n", "HTTP 503 Service Unavailable: full"},
		{"a handshake of another key", WebSocket, "HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: x\r\n\r\n", "another handshake"},
		{"no HTTP at all", WebSocket, "SSH-2.0-OpenSSH_9.9\r\n\r\n", "not an HTTP/1.1 response"},
		{"nothing", WebSocket, "", "unexpected EOF"},
		{"half an answer", Polling, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{", "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, j := openLoop(t, protocol.Zonecast{}), &journal{}
			dial(t, l, tt.mode, targetOf(t, serveText(t, tt.give, 5), "/x"), j)
			stepUntil(t, l, func() bool { return len(j.closed) > 0 })
			if j.closed[0] == nil || !strings.Contains(j.closed[0].Error(), tt.want) || len(j.events) > 0 {
				t.Errorf("ended with %v after %q, want %q", j.closed[0], j.events, tt.want)
			}
		})
	}
}

func TestRequestsOneAfterTheOther(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.URL.Path, r.Header.Get("Authorization"), body)
	}))
	defer server.Close()
	l, j := openLoop(t, protocol.Zonecast{}), &journal{}
	target := targetOf(t, server.Listener.Addr().String(), "/")
	target.Token = "k"
	c := dial(t, l, Requests, target, j)
	stepUntil(t, l, c.Open)
	for _, path := range []string{"/one", "/two"} {
		l.Request(c, &http1.Request{Method: "POST", Target: path, Body: []byte("hi")})
		n := len(j.responses)
		stepUntil(t, l, func() bool { return len(j.responses) > n })
	}
	if strings.Join(j.responses, "|") != "200 /one Bearer k hi|200 /two Bearer k hi" {
		t.Errorf("%q", j.responses)
	}
	if _, idle := c.Idle(); !idle {
		t.Error("a connection that was answered is busy")
	}
}

// A server that wants TLS is reached through a bridge; one whose certificate is nobody's is not.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the certificate that is refused
	server.StartTLS()
	defer server.Close()
	l, j := openLoop(t, protocol.Zonecast{}), &journal{}
	target := targetOf(t, server.Listener.Addr().String(), "/ws")
	target.TLS = "example.com"
	dial(t, l, WebSocket, target, j)
	stepUntil(t, l, func() bool { return len(j.closed) == 1 })
	var unknown *tls.CertificateVerificationError
	if !errors.As(j.closed[0], &unknown) {
		t.Errorf("a certificate that nobody vouches for: %v", j.closed[0])
	}
	trusting, err := Open(Options{Protocol: protocol.Zonecast{}, Roots: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	defer trusting.Close()
	dial(t, trusting, WebSocket, target, j)
	stepUntil(t, trusting, func() bool { return len(j.closed) == 2 })
	var status *failure.Status
	if !errors.As(j.closed[1], &status) || status.Code != 404 {
		t.Errorf("ended with %v, want the server's answer", j.closed[1])
	}
}

// The ways to end a connection: as the protocol says, without a word, and not at all.
func TestEnds(t *testing.T) {
	s := fake.New(fake.Faults{})
	defer s.Close()
	l, j := openLoop(t, protocol.Zonecast{}), &journal{}
	var conns []*Conn
	for range 4 {
		conns = append(conns, dial(t, l, WebSocket, targetOf(t, s.Listener.Addr().String(), "/ws"), j))
	}
	stepUntil(t, l, func() bool { return len(j.events) == 4 })
	l.CloseGracefully(conns[0])
	l.Reset(conns[1])
	l.Abandon(conns[2])
	l.Abort(conns[3], ErrTimeout)
	stepUntil(t, l, func() bool { return conns[0].state == closed })
	if len(j.closed) != 1 || !errors.Is(j.closed[0], ErrTimeout) || conns[1].state != closed || conns[2].state != open {
		t.Errorf("told of %v; states %d %d", j.closed, conns[1].state, conns[2].state)
	}
}

func TestTimersComeInTheirOrder(t *testing.T) {
	l := openLoop(t, protocol.Zonecast{})
	var got []int
	now := Now()
	l.At(now+3, func(uint64) { got = append(got, 3) })
	l.At(now+1, func(uint64) {
		got = append(got, 1)
		l.At(now+2, func(uint64) { got = append(got, 2) })
	})
	stopped := l.At(now+1, func(uint64) { got = append(got, 9) })
	stopped.Stop()
	stopped.Stop()
	(*Timer)(nil).Stop()
	stepUntil(t, l, func() bool { return len(got) == 3 })
	if fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("%v", got)
	}
}

func TestWhoShouldReconnect(t *testing.T) {
	for _, tt := range []struct {
		give error
		want bool
	}{
		{io.ErrUnexpectedEOF, true},
		{errors.New("connection reset"), true},
		{&CloseError{Code: 1000}, true},
		{&CloseError{Code: 1011}, true},
		{&CloseError{Code: int(wire.CloseRestart)}, true},
		{&CloseError{Code: int(wire.CloseSlowConsumer)}, true},
		{&CloseError{Code: int(wire.CloseTooBig)}, true},
		{&CloseError{Code: int(wire.CloseForbidden)}, false},
	} {
		if got := ShouldReconnect(tt.give); got != tt.want {
			t.Errorf("ShouldReconnect(%v) = %v, want %v", tt.give, got, tt.want)
		}
	}
}
