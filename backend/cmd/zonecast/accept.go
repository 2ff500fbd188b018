package main

import (
	"bytes"
	"errors"
	"log"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// acceptLogInterval bounds the log: without descriptors, accept fails many times a second.
const acceptLogInterval = 10 * time.Second

// An acceptLogger logs and counts failures to accept, usually EMFILE. The HTTP server tries again.
type acceptLogger struct {
	net.Listener
	log    *slog.Logger
	failed prometheus.Counter

	mu         sync.Mutex
	lastLogged time.Time
	unlogged   int // failures since then
}

// Accept implements net.Listener.
func (l *acceptLogger) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.failed.Inc()
		l.report(err, time.Now())
	}
	return conn, err
}

func (l *acceptLogger) report(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unlogged++; now.Sub(l.lastLogged) < acceptLogInterval {
		return
	}
	l.log.Warn("connections can't be accepted", "error", err, "times", l.unlogged)
	l.lastLogged, l.unlogged = now, 0
}

// httpLog is the HTTP server's error log. A handler that panicked is a fault; the rest is
// debugging, and handshakes that failed or took too long are counted.
func httpLog(l *slog.Logger, refused func(reason string)) *log.Logger {
	return log.New(stdLogAdapter{l, refused}, "", 0)
}

type stdLogAdapter struct {
	log     *slog.Logger
	refused func(reason string) // counts handshakes of TLS that failed
}

// Write implements io.Writer.
func (a stdLogAdapter) Write(p []byte) (int, error) {
	text := string(bytes.TrimSpace(p))
	if bytes.Contains(p, []byte("panic serving")) {
		a.log.Error("request panicked", "error", text)
		return len(p), nil
	}
	if bytes.Contains(p, []byte("TLS handshake error")) {
		a.refused("tls_handshake")
	}
	a.log.Debug("request not served", "error", text)
	return len(p), nil
}
