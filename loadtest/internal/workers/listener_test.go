//go:build linux

package workers

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

func readKey(t *testing.T, secret string) handshake.Key {
	t.Helper()
	k, err := handshake.ReadKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func waitForLog(t *testing.T, l *fake.Lines, want string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(l.String(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the worker does not say %q:\n%s", want, l.String())
		}
	}
}

func TestBothSidesReportTheWrongKey(t *testing.T) {
	const mine, other = "a key that is the worker's", "a key of somebody else"
	for _, tt := range []struct {
		name, worker, coordinator string
		want, said                string
	}{
		{"another key", mine, other, "the keys differ: give both the same --worker-key (WORKER_KEY)", "the keys differ (1 refused so far)"},
		{"no key", mine, "", "it requires a key: give both the same --worker-key", "disconnected before it authenticated (1 refused so far)"},
		{"a worker without", "", mine, "it has no key, so it can't prove that it is yours", "disconnected before it authenticated (1 refused so far)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, log := startWorker(t, readKey(t, tt.worker))
			w, _, err := Dial(t.Context(), address, readKey(t, tt.coordinator), func(*worker.Tick) {})
			if err == nil {
				w.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), address) {
				t.Errorf("error %v, want it to say %q", err, tt.want)
			}
			waitForLog(t, log, tt.said)
			if text := fmt.Sprint(log, err); strings.Contains(text, mine) || strings.Contains(text, other) {
				t.Errorf("a key is given away: %s", text)
			}
		})
	}
}

// Too many strangers say nothing, or what is no handshake. Who has the key gets through at once.
func TestUnauthenticatedConnectionsDelayNobody(t *testing.T) {
	key := readKey(t, "the key of both of them")
	address, log := startWorker(t, key)
	for i := range 3 * maxPending {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%4 == 0 {
			_, _ = io.WriteString(conn, `{"Order":{"Do":"open"}}`+"\n")
		}
	}
	w, _, err := Dial(t.Context(), address, key, func(*worker.Tick) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Do(t.Context(), worker.Command{Do: worker.DoConnect}); err == nil || !strings.Contains(err.Error(), "no job yet") {
		t.Errorf("an order before the job: %v", err)
	}
	w.Close()
	waitForLog(t, log, "refused 127.0.0.1")
	waitForLog(t, log, "working for 127.0.0.1")
	if n := strings.Count(log.String(), "refused 127"); n > 30 {
		t.Errorf("%d lines about strangers:\n%s", n, log)
	}
}

// An unauthenticated connection who says nothing is sent away.
func TestASilentConnectionTimesOut(t *testing.T) {
	t.Parallel()
	address, log := startWorker(t, readKey(t, "the key of both of them"))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); err != nil { // the worker's first line, and then the end
		t.Error(err)
	}
	waitForLog(t, log, "not authenticated within 5s (1 refused so far)")
}

// A worker has one coordinator at a time; another is told so, and has its turn afterwards.
func TestAWorkerThatIsBusySaysSo(t *testing.T) {
	t.Parallel()
	key := readKey(t, "the key of both of them")
	address, _ := startWorker(t, key)
	first, _, err := Dial(t.Context(), address, key, func(*worker.Tick) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Dial(t.Context(), address, key, func(*worker.Tick) {}); err == nil ||
		!strings.Contains(err.Error(), "it is busy with another run: wait for the end of that run") {
		t.Errorf("error %v", err)
	}
	first.Close()
	second, _, err := Dial(t.Context(), address, key, func(*worker.Tick) {})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// Something else that listens where a worker should be is no reason to wait for ever.
func TestNoWorkerThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}
	}()
	if _, _, err := Dial(t.Context(), listener.Addr().String(), handshake.Key{}, nil); err == nil ||
		!strings.Contains(err.Error(), "is it a loadtest worker, and of the same version?") {
		t.Errorf("error %v", err)
	}
}
