package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// servingTLS starts a server with a certificate of an authority.
func servingTLS(t *testing.T, flags ...string) (*server, *testkit.Authority) {
	t.Helper()
	a := testkit.NewAuthority(t)
	cert, key, ca := a.IssueFiles(t, t.TempDir())
	for i := range flags {
		flags[i] = strings.Replace(flags[i], "CA_FILE", ca, 1)
	}
	return serving(t, append(flags, "--tls-cert-file="+cert, "--tls-key-file="+key)...), a
}

// httpsClient speaks one version of HTTP over TLS.
func httpsClient(config *tls.Config, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), Protocols: protocols}}
}

// A recorder keeps what came over a connection, as it was on the network.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.Write(p[:n])
	return n, err
}

// A follower checks that it is told each message of a room once and in order.
type follower struct {
	name string
	read func() (json.RawMessage, error) // the next frame
}

func (f follower) follow(messages int) error {
	for next := 1; next <= messages; {
		frame, err := f.read()
		if err != nil {
			return fmt.Errorf("%s after %d messages: %w", f.name, next-1, err)
		}
		var m struct{ Event, Offset string }
		if err := json.Unmarshal(frame, &m); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if m.Event != "E" {
			continue
		}
		_, n, _ := strings.Cut(m.Offset, "-")
		if got, _ := strconv.Atoi(n); got != next {
			return fmt.Errorf("%s was told message %s, want %d", f.name, m.Offset, next)
		}
		next++
	}
	return nil
}

// Each transport delivers every message in order over TLS, while publishers flood the room, and
// nothing goes past TLS.
func TestEveryTransportDeliversOverTLSUnderLoad(t *testing.T) {
	s, a := servingTLS(t, "--max-queued-bytes=16777216")
	config := a.Client(t, false)
	var followers []follower
	var recorded []*recorder
	for i := range 6 {
		dialer := &websocket.Dialer{EnableCompression: i%2 == 0, TLSClientConfig: config,
			NetDial: func(network, address string) (net.Conn, error) {
				c, err := net.Dial(network, address)
				if err != nil {
					return nil, err
				}
				recorded = append(recorded, &recorder{Conn: c})
				return recorded[len(recorded)-1], nil
			}}
		c, _, err := dialer.Dial("wss"+strings.TrimPrefix(s.url(), "https")+"/ws?warehouse=w", nil)
		testkit.Must(t, err)
		defer c.Close()
		_, _, err = c.ReadMessage() // connected
		testkit.Must(t, err)
		followers = append(followers, follower{fmt.Sprint("websocket ", i), func() (json.RawMessage, error) {
			_, p, err := c.ReadMessage()
			return p, err
		}})
	}
	for _, http2 := range []bool{false, true} {
		client := httpsClient(config, http2)
		defer client.CloseIdleConnections()
		for i := range 4 {
			r, err := client.Get(s.url() + "/sse?warehouse=w")
			testkit.Must(t, err)
			defer r.Body.Close()
			if (r.ProtoMajor == 2) != http2 {
				t.Errorf("spoken is %s", r.Proto)
			}
			lines := bufio.NewReaderSize(r.Body, 64<<10)
			data := func() (json.RawMessage, error) {
				for {
					line, err := lines.ReadBytes('\n')
					if data, ok := bytes.CutPrefix(line, []byte("data:")); ok || err != nil {
						return data, err
					}
				}
			}
			_, err = data() // connected
			testkit.Must(t, err)
			followers = append(followers, follower{fmt.Sprint("sse ", r.Proto, " ", i), data})
		}
		cursor, waiting := "", []json.RawMessage(nil)
		page := func(wait string) error {
			r, err := client.Get(s.url() + "/poll?warehouse=w&wait=" + wait + "&cursor=" + cursor)
			if err != nil {
				return err
			}
			defer r.Body.Close()
			var answer struct {
				Cursor   string
				Messages []json.RawMessage
			}
			err = json.NewDecoder(r.Body).Decode(&answer)
			cursor, waiting = answer.Cursor, answer.Messages
			return err
		}
		testkit.Must(t, page("0")) // it is in the room
		followers = append(followers, follower{fmt.Sprint("poll, HTTP/2 ", http2), func() (frame json.RawMessage, err error) {
			for len(waiting) == 0 && err == nil {
				err = page("10000")
			}
			if err == nil {
				frame, waiting = waiting[0], waiting[1:]
			}
			return frame, err
		}})
	}
	const publishers, each, marker = 4, 100, "unmistakable-plain-text"
	var all sync.WaitGroup
	for _, f := range followers {
		all.Go(func() {
			if err := f.follow(publishers * each); err != nil {
				t.Error(err)
			}
		})
	}
	client := httpsClient(config, true)
	defer client.CloseIdleConnections()
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				body := fmt.Sprintf(`{"event":"E","data":%q}`, marker+strings.Repeat("x", (p*each+i)*37%8000))
				testkit.Succeeds(t, "publish", func() error {
					r, err := client.Post(s.url()+"/api/v1/warehouses/w/broadcast", "application/json", strings.NewReader(body))
					if err != nil {
						return err
					}
					r.Body.Close()
					if r.StatusCode != http.StatusOK {
						return errors.New(r.Status)
					}
					return nil
				})
			}
		})
	}
	all.Wait()
	for i, r := range recorded {
		r.mu.Lock()
		if r.got.Len() == 0 || bytes.Contains(r.got.Bytes(), []byte(marker)) || bytes.Contains(r.got.Bytes(), []byte(`"event"`)) {
			t.Errorf("websocket %d: of %d bytes some are plain text", i, r.got.Len())
		}
		r.mu.Unlock()
	}
}

// Who never finishes the handshake, or sends nothing after it, is gone within seconds; the
// handshake is counted.
func TestAHandshakeThatNeverEndsEnds(t *testing.T) {
	t.Parallel() // it only waits
	s, a := servingTLS(t)
	var waiting sync.WaitGroup
	begun := time.Now()
	ends := func(name string, c net.Conn) {
		waiting.Go(func() {
			testkit.Must(t, c.SetDeadline(time.Now().Add(testkit.Patience)))
			_, err := io.Copy(io.Discard, c)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() || time.Since(begun) > 30*time.Second {
				t.Errorf("%s: still there after %v (%v)", name, time.Since(begun), err)
			}
		})
	}
	for name, hello := range map[string]string{"says nothing": "", "begins": "\x16\x03\x01\x02\x00\x01", "speaks HTTP": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		ends(name, s.knock(t, hello))
	}
	slow := s.knock(t, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	ends("a byte at a time", slow)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				_, _ = slow.Write([]byte{0})
			}
		}
	}()
	through, err := tls.Dial("tcp", s.listener.Addr().String(), a.Client(t, false))
	testkit.Must(t, err)
	defer through.Close()
	ends("says nothing after the handshake", through)
	waiting.Wait()
	close(stop)
	testkit.Eventually(t, "nothing is left, and the four are counted", func() bool {
		return s.edges[0].Open() == 0 && counterOf(t, s, "zonecast_connections_refused_total", "tls_handshake") == 4
	})
}

// counterOf reads a counter without a connection to the server.
func counterOf(t *testing.T, s *server, name, reason string) (value float64) {
	t.Helper()
	families, err := s.metrics.Registry.Gather()
	testkit.Must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == reason {
				value = m.GetCounter().GetValue()
			}
		}
	}
	return value
}

func TestVersionsBefore12AreRefused(t *testing.T) {
	s, a := servingTLS(t)
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := a.Client(t, false)
		config.MaxVersion = version
		c, err := tls.Dial("tcp", s.listener.Addr().String(), config)
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// Client certificates are asked for where clients are, over every transport, and not where
// operators are.
func TestClientsNeedACertificateWhereItIsRequired(t *testing.T) {
	s, a := servingTLS(t, "--tls-client-ca-file=CA_FILE", "--admin-listen=127.0.0.1:0")
	optional, b := servingTLS(t, "--tls-client-ca-file=CA_FILE", "--tls-client-auth=optional")
	stranger := testkit.NewAuthority(t)
	for _, tt := range []struct {
		name   string
		url    string
		config *tls.Config
		want   bool
	}{
		{"none", s.url(), a.Client(t, false), false},
		{"its own", s.url(), a.Client(t, true), true},
		{"none, where it is optional", optional.url(), b.Client(t, false), true},
		{"its own, where it is optional", optional.url(), b.Client(t, true), true},
		{"none, where operators are", s.adminURL(), a.Client(t, false), true},
	} {
		for _, http2 := range []bool{false, true} {
			client := httpsClient(tt.config, http2)
			for _, path := range []string{"/livez", "/poll?warehouse=w&wait=0", "/sse?warehouse=w"} {
				r, err := client.Get(tt.url + path)
				if (err == nil) != tt.want {
					t.Errorf("%s: %s: %v", tt.name, path, err)
				}
				if err == nil {
					r.Body.Close()
				}
			}
			client.CloseIdleConnections()
		}
		dialer := &websocket.Dialer{TLSClientConfig: tt.config.Clone()}
		c, _, err := dialer.Dial("wss"+strings.TrimPrefix(tt.url, "https")+"/ws?warehouse=w", nil)
		if (err == nil) != tt.want {
			t.Errorf("%s: websocket: %v", tt.name, err)
		}
		if err == nil {
			c.Close()
		}
	}
	cert, key, _ := a.IssueFiles(t, t.TempDir())
	if code, _, complaint := tool("health", "--insecure", "--url="+s.url()+"/readyz"); code == 0 {
		t.Error("the health command was let in without a certificate")
	} else if code, _, complaint = tool("health", "--insecure", "--url="+s.url()+"/readyz", "--cert-file="+cert, "--key-file="+key); code != 0 {
		t.Errorf("the health command with a certificate: %s", complaint)
	}
	forged := b.Client(t, false)
	forged.Certificates = stranger.Client(t, true).Certificates
	forged.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &forged.Certificates[0], nil }
	if r, err := httpsClient(forged, false).Get(optional.url() + "/livez"); err == nil {
		r.Body.Close()
		t.Error("a certificate of a stranger was taken where it is optional")
	}
}

// The bounds of connections hold over TLS: by address, and of what waits for one that does not
// read.
func TestBoundsHoldOverTLS(t *testing.T) {
	t.Parallel() // it waits
	s, a := servingTLS(t, "--max-connections=10", "--max-tcp-connections-per-address=3", "--slow-after=50ms", "--max-queued-bytes=262144")
	dialer := &websocket.Dialer{TLSClientConfig: a.Client(t, false)}
	dial := func() (*websocket.Conn, error) {
		c, _, err := dialer.Dial("wss"+strings.TrimPrefix(s.url(), "https")+"/ws?warehouse=w", nil)
		return c, err
	}
	reads, err := dial()
	testkit.Must(t, err)
	defer reads.Close()
	frozen, err := dial()
	testkit.Must(t, err)
	defer frozen.Close()
	held := s.knock(t, "")
	if _, err := dial(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("one too many: %v, want a reset", err)
	}
	held.Close()
	testkit.Eventually(t, "there is room again", func() bool { return s.edges[0].Open() == 2 })

	got := make(chan int, 1)
	go func() {
		n := 0
		for {
			_, p, err := reads.ReadMessage()
			if err != nil || bytes.Contains(p, []byte(`"event":"END"`)) {
				got <- n
				return
			}
			if bytes.Contains(p, []byte(`"event":"E"`)) {
				n++
			}
		}
	}()
	client := httpsClient(a.Client(t, false), true)
	defer client.CloseIdleConnections()
	publish := func(event string) int {
		t.Helper()
		r, err := client.Post(s.url()+"/api/v1/warehouses/w/broadcast", "application/json",
			strings.NewReader(fmt.Sprintf(`{"event":%q,"data":%q}`, event, strings.Repeat("x", 60_000))))
		testkit.Must(t, err)
		r.Body.Close()
		return r.StatusCode
	}
	published := 0
	testkit.Eventually(t, "who does not read is closed as a slow consumer", func() bool {
		if publish("E") == http.StatusOK {
			published++
		}
		return closedWith(t, s, wire.CloseSlowConsumer) == 1
	})
	testkit.Eventually(t, "the last one is published", func() bool { return publish("END") == http.StatusOK })
	if n := <-got; n != published {
		t.Errorf("who reads was told %d messages of %d", n, published)
	}
	testkit.Eventually(t, "nothing is left of who does not read", func() bool { return s.edges[0].Open() <= 2 })
}

func closedWith(t *testing.T, s *server, code wire.CloseCode) (n float64) {
	t.Helper()
	families, err := s.metrics.Registry.Gather()
	testkit.Must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "zonecast_connections_closed_total" && m.GetLabel()[0].GetValue() == code.String() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
