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

// acceptQuiet is how long failures to accept are only counted after one was logged: a process without descriptors fails
// many times a second.
const acceptQuiet = 10 * time.Second

// A watched listener logs and counts what keeps connections from being accepted, most often that descriptors have run out. The
// HTTP server waits and tries again.
type watched struct {
	net.Listener
	log    *slog.Logger
	failed prometheus.Counter

	mu     sync.Mutex
	said   time.Time
	unsaid int
}

// Accept implements net.Listener.
func (l *watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.failed.Inc()
		l.report(err, time.Now())
	}
	return conn, err
}

func (l *watched) report(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsaid++; now.Sub(l.said) < acceptQuiet {
		return
	}
	l.log.Warn("connections can't be accepted", "error", err, "times", l.unsaid)
	l.said, l.unsaid = now, 0
}

// httpLog returns where the HTTP server complains. What strangers cause is for debugging; a handler that panicked is a fault.
func httpLog(l *slog.Logger) *log.Logger { return log.New(complaints{l}, "", 0) }

type complaints struct{ log *slog.Logger }

// Write implements io.Writer.
func (c complaints) Write(p []byte) (int, error) {
	text := string(bytes.TrimSpace(p))
	if bytes.Contains(p, []byte("panic serving")) {
		c.log.Error("request panicked", "error", text)
	} else {
		c.log.Debug("request not served", "error", text)
	}
	return len(p), nil
}
