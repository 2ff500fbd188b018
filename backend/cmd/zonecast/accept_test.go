package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecast/zonecast/backend/internal/metrics"
)

// exhausted is a listener of a process that has no descriptors left.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) { return nil, syscall.EMFILE }

// gone is one that was closed.
type gone struct{ net.Listener }

func (gone) Accept() (net.Conn, error) { return nil, net.ErrClosed }

func TestWantOfDescriptorsIsSaidNowAndThenAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		m := metrics.New("v-test")
		l := &acceptLogger{Listener: exhausted{}, log: slog.New(slog.NewTextHandler(&said, nil)), failed: m.AcceptFailures}
		for range 100 {
			if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
				t.Fatal(err)
			}
		}
		time.Sleep(acceptLogInterval)
		l.Accept()
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "too many open files") ||
			!strings.Contains(lines[0], "times=1") || !strings.Contains(lines[1], "times=100") {
			t.Errorf("said %q", lines)
		}
		closed := &acceptLogger{Listener: gone{}, log: l.log, failed: m.AcceptFailures}
		closed.Accept()
		if n := testutil.ToFloat64(m.AcceptFailures); n != 101 {
			t.Errorf("counted %v, want 101", n)
		}
	})
}

func TestAPanicIsAFaultAndATypoOfAStrangerIsNot(t *testing.T) {
	var said bytes.Buffer
	counted := 0
	l := httpLog(slog.New(slog.NewTextHandler(&said, nil)), func(string) { counted++ })
	l.Printf("http: response.WriteHeader on hijacked connection")
	l.Printf("http: TLS handshake error from 192.0.2.1:4: EOF")
	l.Printf("http: panic serving 192.0.2.1:4: oops\ngoroutine 7")
	if lines := strings.TrimSpace(said.String()); strings.Contains(lines, "\n") || !strings.Contains(lines, "level=ERROR") || !strings.Contains(lines, "oops") {
		t.Errorf("said %q, want the panic alone", lines)
	}
	if counted != 1 {
		t.Errorf("%d handshakes are counted as failed, want 1", counted)
	}
}
