package e2e_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// The repository's nginx.conf and nginx-tls.conf, in front of two instances.
func TestNginxServes(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Root: repository, Binary: binary(), Instances: 2, Redis: true, Nginx: true, TLS: true})
	t.Run("a client in 128 rooms that comes back over SSE", func(t *testing.T) { manyRoomsComeBack(t, s) })
	t.Run("HTTP/2 over TLS", func(t *testing.T) { tlsIsSpoken(t, s) })
	t.Run("polls that succeed are not logged", func(t *testing.T) { pollsAreNotLogged(t, s) })
	t.Run("pages while an instance is frozen", func(t *testing.T) { frozenCostsLittle(t, s) })
	t.Run("requests that are none", func(t *testing.T) { badRequestsAreToldWhy(t, s) })
	t.Run("nobody there", func(t *testing.T) { nobodyThere(t, s) })
}

func manyRoomsComeBack(t *testing.T, s *stack.Stack) {
	var query strings.Builder
	for n := range 127 { // and the room of the zone's warehouse
		fmt.Fprintf(&query, "&room=zone:warehouse-with-a-long-name:%s-%d", strings.Repeat("zone", 10), n)
	}
	address := s.Nginx.URL + "/sse?warehouse=w" + query.String()
	id := ""
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		testkit.Must(t, err)
		if id != "" {
			r.Header.Set("Last-Event-ID", id)
		}
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		if answer.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(answer.Body)
			t.Fatalf("with an id of %d bytes: %s: %s", len(id), answer.Status, text)
		}
		lines := bufio.NewReaderSize(answer.Body, 1<<20)
		for id = ""; id == ""; {
			line, err := lines.ReadString('\n')
			testkit.Must(t, err)
			if text, found := strings.CutPrefix(line, "id:"); found {
				id = strings.TrimSpace(text)
			}
		}
		cancel()
		answer.Body.Close()
	}
	if len(id) < 8<<10 {
		t.Errorf("the cursor has %d bytes: the test wants a long one", len(id))
	}
}

// badRequestsAreToldWhy: what nginx itself refuses is said as the instances say it.
func badRequestsAreToldWhy(t *testing.T, s *stack.Stack) {
	long := strings.Repeat("x", 50<<10)
	for request, want := range map[string]string{
		"hello\r\n\r\n": "400 This is no request of HTTP",
		"GET /livez HTTP/1.1\r\nHost: w\r\nno header\r\n\r\n":            "400 This is no request of HTTP",
		"GET /livez?" + long + " HTTP/1.1\r\nHost: w\r\n\r\n":            "431 The path or a header has more than 48 KiB",
		"GET /livez HTTP/1.1\r\nHost: w\r\nCookie: " + long + "\r\n\r\n": "431 The path or a header has more than 48 KiB",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.Nginx.URL, "http://"))
		testkit.Must(t, err)
		defer c.Close()
		testkit.Must(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(c, request)
		testkit.Must(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		testkit.Must(t, err)
		text, err := io.ReadAll(answer.Body)
		testkit.Must(t, err)
		status, detail, _ := strings.Cut(want, " ")
		if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(answer.Status, status) || kind != "application/problem+json" || !strings.Contains(string(text), detail) {
			t.Errorf("%.40q: %s %s %s, want %s", request, answer.Status, kind, text, want)
		}
	}
}

func tlsIsSpoken(t *testing.T, s *stack.Stack) {
	ca, err := os.ReadFile(s.NginxCA)
	testkit.Must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	through := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer through.CloseIdleConnections()
	client := &http.Client{Transport: through, Timeout: patience}
	answer, err := client.Post(s.NginxTLS+zonePath, "application/json", strings.NewReader(body(1)))
	testkit.Must(t, err)
	answer.Body.Close()
	if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusOK {
		t.Errorf("a publish: %s %s", answer.Proto, answer.Status)
	}
	stream, err := client.Get(s.NginxTLS + "/sse?warehouse=warehouse-1&zone=zone-a")
	testkit.Must(t, err)
	defer stream.Body.Close()
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || stream.ProtoMajor != 2 {
		t.Errorf("a stream: %s %s, %q, %v", stream.Proto, stream.Status, line, err)
	}
	if _, err := tls.Dial("tcp", strings.TrimPrefix(s.NginxTLS, "https://"), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func pollsAreNotLogged(t *testing.T, s *stack.Stack) {
	for range 20 {
		if answer := get(t, s.Nginx.URL+"/poll?warehouse=w&wait=0"); answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
	}
	get(t, s.Nginx.URL+"/poll?room=none")
	log := filepath.Join(s.Dir(), "nginx", "access.log")
	testkit.Eventually(t, "the poll that is refused is logged", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), `"GET /poll HTTP/1.1" 400`)
	})
	text, err := os.ReadFile(log)
	testkit.Must(t, err)
	if n := strings.Count(string(text), `"GET /poll HTTP/1.1" 200`); n > 5 {
		t.Errorf("%d of 20 polls are logged", n)
	}
}

// A page, and what the API reads, is fetched from another instance when one does not answer,
// within seconds.
func frozenCostsLittle(t *testing.T, s *stack.Stack) {
	pid := s.Instances[0].PID()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { testkit.Must(t, syscall.Kill(pid, syscall.SIGCONT)) }()
	for _, path := range []string{"/ui/", "/api/v1/warehouses/w/zones"} {
		for range 6 {
			began := time.Now()
			answer := get(t, s.Nginx.URL+path)
			if took := time.Since(began); answer.StatusCode != http.StatusOK || took > 20*time.Second {
				t.Errorf("%s: %s after %v, want the answer of the other instance within seconds", path, answer.Status, took)
			}
		}
	}
}

// One address has so many connections and requests and no more, and is told so: the limits of
// nginx.conf, made small.
func TestNginxBoundsEachAddress(t *testing.T) {
	const connections, burst = 5, 50
	s := stacktest.Start(t, stack.Options{Root: withLimits(t, connections, burst), Binary: binary(), Instances: 1, Nginx: true})
	var streams []*http.Response
	for range connections {
		streams = append(streams, request(t, s.Nginx.URL+"/sse?warehouse=w", "text/event-stream"))
	}
	for _, answer := range streams {
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("one of %d connections: %s", connections, answer.Status)
		}
	}
	wantTooMany(t, "one connection more", request(t, s.Nginx.URL+"/livez", "*/*"), "application/problem+json")
	wantTooMany(t, "one connection more, of a browser", request(t, s.Nginx.URL+"/ui/", "text/html,*/*;q=0.8"), "text/html")
	streams[0].Body.Close()
	testkit.Eventually(t, "a connection that ended makes room", func() bool {
		return request(t, s.Nginx.URL+"/livez", "*/*").StatusCode == http.StatusOK
	})
	for _, answer := range streams {
		answer.Body.Close()
	}

	for n := range 20 * burst {
		if answer := request(t, s.Nginx.URL+"/livez", "*/*"); answer.StatusCode != http.StatusOK {
			wantTooMany(t, fmt.Sprint("request ", n), answer, "application/problem+json")
			return
		}
	}
	t.Errorf("%d requests at once were all answered, want %d and one a second", 20*burst, burst)
}

// withLimits returns a folder like the repository's, where nginx.conf gives one address fewer
// connections, and requests: one a second after a burst.
func withLimits(t *testing.T, connections, burst int) (root string) {
	t.Helper()
	root = t.TempDir()
	testkit.Must(t, os.Symlink(filepath.Join(repository, "deploy"), filepath.Join(root, "deploy")))
	text, err := os.ReadFile(filepath.Join(repository, "nginx.conf"))
	testkit.Must(t, err)
	edited := string(text)
	for was, is := range map[string]string{
		"limit_conn addresses 24000;": fmt.Sprintf("limit_conn addresses %d;", connections),
		"rate=5000r/s;":               "rate=1r/s;",
		"burst=10000 nodelay;":        fmt.Sprintf("burst=%d nodelay;", burst),
	} {
		if strings.Count(edited, was) != 1 {
			t.Fatalf("nginx.conf has no line with %q", was)
		}
		edited = strings.Replace(edited, was, is, 1)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(root, "nginx.conf"), []byte(edited), 0o600))
	return root
}

// request returns the head of the answer to one request, over a connection of its own, which stays
// until the test ends or the body is closed.
func request(t *testing.T, url, accept string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	testkit.Must(t, err)
	r.Header.Set("Accept", accept)
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	testkit.Must(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func wantTooMany(t *testing.T, what string, answer *http.Response, contentType string) {
	t.Helper()
	answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusTooManyRequests || got != contentType ||
		answer.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s as %s, want 429 as %s with Retry-After", what, answer.Status, got, contentType)
	}
}

// When nobody answers, programs are told in JSON and people on a page.
func nobodyThere(t *testing.T, s *stack.Stack) {
	for _, i := range s.Instances {
		testkit.Must(t, i.Kill())
	}
	for accept, want := range map[string]string{"*/*": "application/problem+json", "text/html,application/xhtml+xml,*/*;q=0.8": "text/html"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Nginx.URL+"/ui/", nil)
		testkit.Must(t, err)
		r.Header.Set("Accept", accept)
		answer, err := http.DefaultClient.Do(r)
		testkit.Must(t, err)
		answer.Body.Close()
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusBadGateway || got != want || answer.Header.Get("Retry-After") == "" {
			t.Errorf("to %s: %s, %s; want 502 as %s", accept, answer.Status, got, want)
		}
	}
}
