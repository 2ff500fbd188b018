//go:build linux

package workers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/loadtest/internal/handshake"
)

const (
	// authTimeout is how long a connection may take to authenticate.
	authTimeout = 5 * time.Second
	// maxPending is how many may be unauthenticated at once. One more replaces the oldest:
	// authenticating takes one round trip, so the oldest hardly has the key.
	maxPending = 16
	// busyTimeout is how long a coordinator waits for the end of another run.
	busyTimeout = 2 * time.Second
	// logInterval is the least time between two lines about refusals; the others are counted.
	logInterval = time.Second
	// acceptRetry is the pause after an accept that failed for want of descriptors.
	acceptRetry = 100 * time.Millisecond
)

// A Listener accepts coordinators that prove to have its key, and runs a worker for one after the
// other. Unauthenticated connections, which may send anything or nothing, delay nobody.
type Listener struct {
	Key handshake.Key
	Log io.Writer // a line about each coordinator, and at most one a second about those refused

	certificate handshake.Certificate
	busy        chan struct{} // full while the worker has a coordinator

	mu         sync.Mutex
	pending    []net.Conn // unauthenticated, oldest first
	refused    int
	lastLogged time.Time // of a refusal
}

// Serve serves, once, until ctx ends or the listener fails, and waits for all that it began.
func (l *Listener) Serve(ctx context.Context, listener net.Listener) error {
	var err error
	if l.certificate, err = handshake.NewCertificate(); err != nil {
		return err
	}
	l.busy = make(chan struct{}, 1)
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ECONNABORTED) {
			time.Sleep(acceptRetry) // the members have all descriptors: that must not end their run
			continue
		}
		if err != nil {
			return err
		}
		l.addPending(conn)
		serving.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			l.serveConn(ctx, conn)
		})
	}
}

func (l *Listener) serveConn(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(authTimeout)) // of an open connection never fails
	line, err := handshake.Server(conn, l.certificate, l.Key, func() error { l.removePending(conn); return l.acquire(ctx) })
	l.removePending(conn)
	if err != nil {
		if ctx.Err() == nil {
			l.logRefusal(conn, err)
		}
		return
	}
	defer func() { <-l.busy }()
	_ = conn.SetDeadline(time.Time{})
	l.logf("working for %s", conn.RemoteAddr())
	if err := Serve(ctx, line, line); err != nil && ctx.Err() == nil {
		l.logf("%s: %v", conn.RemoteAddr(), err)
	}
}

func (l *Listener) acquire(ctx context.Context) error {
	select {
	case l.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-time.After(busyTimeout):
	}
	return handshake.ErrBusy
}

// addPending adds an unauthenticated connection; the oldest gives way when there are too many.
func (l *Listener) addPending(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == maxPending {
		_ = l.pending[0].Close()
		l.pending = slices.Delete(l.pending, 0, 1)
	}
	l.pending = append(l.pending, conn)
}

// removePending removes it, authenticated or gone.
func (l *Listener) removePending(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.pending, conn); i >= 0 {
		l.pending = slices.Delete(l.pending, i, i+1)
	}
}

// logRefusal counts a refused connection, and logs it, at most once per interval.
func (l *Listener) logRefusal(conn net.Conn, why error) {
	switch {
	case errors.Is(why, os.ErrDeadlineExceeded):
		why = fmt.Errorf("not authenticated within %v", authTimeout)
	case errors.Is(why, net.ErrClosed):
		why = errors.New("dropped for newer connections before it authenticated")
	case errors.Is(why, io.ErrUnexpectedEOF):
		why = errors.New("disconnected before it authenticated")
	}
	l.mu.Lock()
	l.refused++
	refused, now := l.refused, time.Now()
	quiet := now.Sub(l.lastLogged) < logInterval
	if !quiet {
		l.lastLogged = now
	}
	l.mu.Unlock()
	if !quiet {
		l.logf("refused %s: %v (%d refused so far)", conn.RemoteAddr(), why, refused)
	}
}

func (l *Listener) logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.Log, "loadtest worker: "+format+"\n", args...)
}
