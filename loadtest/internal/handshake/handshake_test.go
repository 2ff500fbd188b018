package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func key(t testing.TB, secret string) Key {
	t.Helper()
	k, err := ReadKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func welcome() error { return nil }

func testCertificate(t testing.TB) Certificate {
	t.Helper()
	p, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pipe returns both ends of a connection, which ends with the test, or after 20 seconds.
func pipe(t testing.TB) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{near, far} {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { _ = conn.Close() })
	}
	return near, far
}

func handshakeBoth(t testing.TB, near, far net.Conn, coordinator, worker Key, welcome func() error) (called, answered net.Conn, callErr, answerErr error) {
	t.Helper()
	var working sync.WaitGroup
	working.Go(func() {
		if answered, answerErr = Server(far, testCertificate(t), worker, welcome); answerErr != nil {
			_ = far.Close()
		}
	})
	if called, callErr = Client(near, coordinator); callErr != nil {
		_ = near.Close()
	}
	working.Wait()
	return called, answered, callErr, answerErr
}

func TestBothSidesProveTheirKeys(t *testing.T) {
	const one, other = "the first key of the two", "the second key of the two"
	for _, tt := range []struct {
		name                        string
		worker, coordinator         string
		welcome                     func() error
		wantWorker, wantCoordinator error
	}{
		{name: "the same key", worker: one, coordinator: one},
		{name: "no keys"},
		{name: "another key", worker: one, coordinator: other, wantWorker: ErrWrongKey, wantCoordinator: ErrWrongKey},
		{name: "the coordinator has none", worker: one, wantWorker: io.ErrUnexpectedEOF, wantCoordinator: ErrKeyRequired},
		{name: "the worker has none", coordinator: one, wantWorker: io.ErrUnexpectedEOF, wantCoordinator: ErrNoKey},
		{name: "busy", worker: one, coordinator: one, welcome: func() error { return ErrBusy }, wantWorker: ErrBusy, wantCoordinator: ErrBusy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.welcome == nil {
				tt.welcome = welcome
			}
			near, far := pipe(t)
			passed := &recorder{Conn: near}
			called, answered, callErr, answerErr := handshakeBoth(
				t, passed, far, key(t, tt.coordinator), key(t, tt.worker), tt.welcome)
			if !errors.Is(callErr, tt.wantCoordinator) || !errors.Is(answerErr, tt.wantWorker) {
				t.Fatalf("the coordinator: %v, want %v; the worker: %v, want %v", callErr, tt.wantCoordinator, answerErr, tt.wantWorker)
			}
			if callErr != nil {
				return
			}
			if _, err := io.WriteString(called, "an order\n"); err != nil {
				t.Fatal(err)
			}
			if words, err := readLine(answered); err != nil || strings.Join(words, " ") != "an order" {
				t.Errorf("%q, %v", words, err)
			}
			if text := passed.written.String(); strings.Contains(text, "an order") || strings.Contains(text, "zonecast") {
				t.Errorf("it can be read: %q", text)
			}
		})
	}
}

// A recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	written bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.written.Write(p)
	return r.Conn.Write(p)
}

// A line is a connection whose other side has sent all that it sends.
type line struct {
	io.Reader
	io.Writer
}

// answerTo lets a worker hear what a coordinator may say, and returns what follows its first line.
func answerTo(k Key, b binding, said string) (string, error) {
	var out bytes.Buffer
	err := serverHandshake(line{strings.NewReader(said), &out}, b, k, welcome)
	_, rest, _ := strings.Cut(out.String(), "\n")
	return rest, err
}

func TestAProofIsWorthNothingOnAnotherConnection(t *testing.T) {
	k := key(t, "the key of both of them")
	proof := coordinatorPrefix + " 3 " + k.proof(coordinatorPrefix, binding{1}) + "\n"
	if verdict, err := answerTo(k, binding{1}, proof); err != nil || !strings.HasPrefix(verdict, "yes ") {
		t.Fatalf("on its own: %q, %v", verdict, err)
	}
	if verdict, err := answerTo(k, binding{2}, proof); !errors.Is(err, ErrWrongKey) || verdict != "no key\n" {
		t.Errorf("on another: %q, %v", verdict, err)
	}
}

// A stranger who hands the worker's own lines back to it, or a made-up proof, learns nothing.
func TestNoProofIsMadeForAStranger(t *testing.T) {
	k := key(t, "the key of both of them")
	for name, say := range map[string]string{
		"no proof":           coordinatorPrefix + " 3 -\n",
		"an empty proof":     coordinatorPrefix + " 3 \n",
		"a made-up proof":    coordinatorPrefix + " 3 " + strings.Repeat("00", 32) + "\n",
		"the worker's proof": coordinatorPrefix + " 3 " + k.proof(workerPrefix, binding{}) + "\n",
		"an HTTP request":    "GET / HTTP/1.1\n",
		"another version":    coordinatorPrefix + " 1 -\n",
		"bytes":              "\x00\xff\x00\n",
		"a line too long":    strings.Repeat("x", 10*maxLine),
		"an order at once":   `{"Order":{"Do":"open"}}` + "\n",
		"the worker's line":  workerPrefix + " 3 key\n",
	} {
		t.Run(name, func(t *testing.T) {
			verdict, err := answerTo(k, binding{}, say)
			if err == nil || strings.Contains(verdict, "yes") {
				t.Errorf("%q, %v", verdict, err)
			}
		})
	}
}

// A false worker gets no further than the coordinator's proof, whose label is not the worker's.
func TestAFalseWorkerIsDetected(t *testing.T) {
	k := key(t, "the key of both of them")
	for name, verdict := range map[string]string{
		"no proof":                "yes -\n",
		"the coordinator's proof": "yes " + k.proof(coordinatorPrefix, binding{}) + "\n",
		"another connection's":    "yes " + k.proof(workerPrefix, binding{1}) + "\n",
		"an endless line":         strings.Repeat("y", 10*maxLine),
		"an unknown reason":       "no idea\n",
	} {
		t.Run(name, func(t *testing.T) {
			said := workerPrefix + " 3 key\n" + verdict
			if err := clientHandshake(line{strings.NewReader(said), io.Discard}, binding{}, k); !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrProtocol) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Who speaks TLS with both sides can pass on every word of theirs, and gets but a refusal.
func TestAManInTheMiddleIsDetected(t *testing.T) {
	k := key(t, "the key of both of them")
	near, nearer := pipe(t)
	farther, far := pipe(t)
	toCoordinator := tls.Server(nearer, testCertificate(t).config)
	toWorker := tls.Client(farther, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
	var passing sync.WaitGroup
	pass := func(to, from *tls.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}
	passing.Go(func() { pass(toCoordinator, toWorker) })
	passing.Go(func() { pass(toWorker, toCoordinator) })
	_, _, callErr, answerErr := handshakeBoth(t, near, far, k, k, welcome)
	passing.Wait()
	if !errors.Is(callErr, ErrWrongKey) || !errors.Is(answerErr, ErrWrongKey) {
		t.Errorf("the coordinator: %v, the worker: %v", callErr, answerErr)
	}
}

// Another TLS than that of today is none.
func TestOldTLSIsRefused(t *testing.T) {
	near, far := pipe(t)
	old := tls.Client(near, &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true})
	var calling sync.WaitGroup
	calling.Go(func() { _ = old.Handshake() })
	if _, err := Server(far, testCertificate(t), key(t, "the key of both of them"), welcome); !errors.Is(err, ErrProtocol) {
		t.Errorf("error %v", err)
	}
	_ = far.Close()
	calling.Wait()
}

func TestReadKey(t *testing.T) {
	const secret = "0123456789abcdef0123"
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	for _, tt := range []struct {
		name, give, want, says string
	}{
		{name: "none"},
		{name: "itself", give: secret, want: secret},
		{name: "in a file", give: file(secret + "\n"), want: secret},
		{name: "the longest in a file", give: file(strings.Repeat("k", MaxKey) + "\r\n"), want: strings.Repeat("k", MaxKey)},
		{name: "short", give: "hunter2", says: "7 characters: give a key of 16 to 1024"},
		{name: "long", give: strings.Repeat("k", MaxKey+1), says: "1025 characters"},
		{name: "spaces", give: "   ", says: "nothing but spaces"},
		{name: "an empty file", give: file("\n"), says: "is empty"},
		{name: "a file too long", give: file(strings.Repeat("k", 5000)), says: "give a key of"},
		{name: "no such file", give: "@" + filepath.Join(t.TempDir(), "none"), says: "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ReadKey(tt.give)
			if k.secret != tt.want || (err == nil) != (tt.says == "") {
				t.Fatalf("%d bytes, %v", len(k.secret), err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q gives the key away", err)
			}
		})
	}
}

func TestAKeyDoesNotPrint(t *testing.T) {
	k := key(t, "a key that nobody sees")
	type holder struct{ Key Key }
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{k, holder{k}, &holder{k}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "nobody") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
}

// FuzzStranger lets unauthenticated connections say anything to both sides, before TLS and within
// it: neither goes on without a proof, nor fails in another way.
func FuzzStranger(f *testing.F) {
	k := key(f, "the key of both of them")
	p := testCertificate(f)
	proof := strings.Repeat("0f", bindingSize)
	f.Add([]byte(coordinatorPrefix + " 3 " + proof + "\n"))
	f.Add([]byte(workerPrefix + " 3 key\nyes " + proof + "\n"))
	f.Add([]byte(workerPrefix + " 3 open\nno busy\n"))
	f.Add([]byte("\n\n   \n"))
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		heard := line{bytes.NewReader(said), io.Discard}
		if serverHandshake(heard, binding{}, k, welcome) == nil {
			t.Error("the worker goes on")
		}
		if _, err := Server(sink{Reader: bytes.NewReader(said)}, p, k, welcome); err == nil {
			t.Error("the worker goes on without TLS")
		}
		if clientHandshake(line{bytes.NewReader(said), io.Discard}, binding{}, k) == nil {
			t.Error("the coordinator goes on")
		}
		if _, err := Client(sink{Reader: bytes.NewReader(said)}, k); err == nil {
			t.Error("the coordinator goes on without TLS")
		}
	})
}

// deaf is a connection whose other end does not care what it is told.
type sink struct {
	net.Conn // nil: what is not below is not used
	io.Reader
}

func (d sink) Read(p []byte) (int, error)     { return d.Reader.Read(p) }
func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) Close() error                     { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

// FuzzTheLine changes, repeats and leaves out bytes of what goes to a worker, who must hear what
// was said, up to some place, and nothing else.
func FuzzTheLine(f *testing.F) {
	k := key(f, "the key of both of them")
	p := testCertificate(f)
	f.Add(uint16(3), byte(1), byte(0))
	f.Add(uint16(300), byte(0x80), byte(0))
	f.Add(uint16(600), byte(0), byte(1))
	f.Add(uint16(700), byte(0), byte(2))
	f.Add(uint16(1500), byte(0xff), byte(1))
	f.Fuzz(func(t *testing.T, at uint16, change, trick byte) {
		near, far := pipe(t)
		tampering := &tamperer{TCPConn: near.(*net.TCPConn), at: int(at) % 4096, change: change, trick: trick}
		const said = "the first order\nthe second order\nthe third order\n"
		heard := make(chan string, 1)
		go func() {
			var all []byte
			if conn, err := Server(far, p, k, welcome); err == nil {
				all, _ = io.ReadAll(conn)
			}
			_ = far.Close()
			heard <- string(all)
		}()
		if conn, err := Client(tampering, k); err == nil {
			tampering.met = true
			for _, one := range strings.SplitAfter(said, "\n") {
				_, _ = io.WriteString(conn, one)
			}
			_ = conn.Close()
		}
		_ = near.Close()
		if got := <-heard; !strings.HasPrefix(said, got) {
			t.Errorf("the worker heard %q", got)
		}
	})
}

// A tamperer changes what goes over a connection.
type tamperer struct {
	*net.TCPConn
	at            int // the byte that it is about, counted from the first one
	change, trick byte
	passed        int
	met           bool // both sides have proved
}

func (m *tamperer) Write(p []byte) (int, error) {
	i := m.at - m.passed
	m.passed += len(p)
	if i < 0 || i >= len(p) {
		return m.TCPConn.Write(p)
	}
	q := bytes.Clone(p)
	switch m.trick % 4 {
	case 0:
		q[i] ^= m.change
	case 1: // the same again
		q = append(q, p...)
	case 2: // never
		q = nil
	case 3: // cut
		q = q[:i]
	}
	if _, err := m.TCPConn.Write(q); err != nil {
		return 0, err
	}
	if len(q) < len(p) && !m.met { // each side would wait for the other one
		return len(p), m.CloseWrite()
	}
	return len(p), nil
}
