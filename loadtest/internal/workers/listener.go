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
	// authTimeout is how long a stranger may take to prove that it may give orders.
	authTimeout = 5 * time.Second
	// maxPending is how many may be about it at once. When one more comes, the one that came first has to go: proving takes
	// a round trip, so it is hardly the one that has the key.
	maxPending = 16
	// busyTimeout is how long a coordinator waits for the end of another one's run, which may have a few steps to go.
	busyTimeout = 2 * time.Second
	// logInterval is how often a refusal is said; those in between are counted.
	logInterval = time.Second
	// acceptRetry is between two attempts to accept a connection when there was no descriptor for it.
	acceptRetry = 100 * time.Millisecond
)

// A Listener lets in coordinators that prove that they have its key, one after the other, and works for them. Strangers, who may
// say nothing or anything, keep nobody waiting.
type Listener struct {
	Key handshake.Key
	Log io.Writer // a line about each coordinator, and at most one a second about those refused

	certificate handshake.Certificate
	busy        chan struct{} // holds one thing while the worker has a coordinator

	mu         sync.Mutex
	pending    []net.Conn // in the order in which they came
	refused    int
	lastLogged time.Time // when a refusal was last said
}

// Serve serves until ctx ends or the listener fails, and waits for all that it began. It may be called once.
func (d *Listener) Serve(ctx context.Context, listener net.Listener) error {
	var err error
	if d.certificate, err = handshake.NewCertificate(); err != nil {
		return err
	}
	d.busy = make(chan struct{}, 1)
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ECONNABORTED) {
			time.Sleep(acceptRetry) // the members have all descriptors: a stranger must not end their run
			continue
		}
		if err != nil {
			return err
		}
		d.addPending(conn)
		serving.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			d.serveConn(ctx, conn)
		})
	}
}

// serveConn works for a coordinator, if it is one.
func (d *Listener) serveConn(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(authTimeout)) // of an open connection never fails
	line, err := handshake.Server(conn, d.certificate, d.Key, func() error { d.removePending(conn); return d.acquire(ctx) })
	d.removePending(conn)
	if err != nil {
		if ctx.Err() == nil {
			d.logRefusal(conn, err)
		}
		return
	}
	defer func() { <-d.busy }()
	_ = conn.SetDeadline(time.Time{})
	d.logf("working for %s", conn.RemoteAddr())
	if err := Serve(ctx, line, line); err != nil && ctx.Err() == nil {
		d.logf("%s: %v", conn.RemoteAddr(), err)
	}
}

// acquire waits for the end of what the worker is doing for another coordinator.
func (d *Listener) acquire(ctx context.Context) error {
	select {
	case d.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-time.After(busyTimeout):
	}
	return handshake.ErrBusy
}

// addPending notes a stranger.
func (d *Listener) addPending(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pending) == maxPending {
		_ = d.pending[0].Close()
		d.pending = slices.Delete(d.pending, 0, 1)
	}
	d.pending = append(d.pending, conn)
}

// removePending notes that it is none any more.
func (d *Listener) removePending(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.pending, conn); i >= 0 {
		d.pending = slices.Delete(d.pending, i, i+1)
	}
}

// logRefusal counts one that was not let in, and says so.
func (d *Listener) logRefusal(conn net.Conn, why error) {
	switch {
	case errors.Is(why, os.ErrDeadlineExceeded):
		why = fmt.Errorf("it proved nothing within %v", authTimeout)
	case errors.Is(why, net.ErrClosed):
		why = errors.New("it proved nothing, and others came")
	case errors.Is(why, io.ErrUnexpectedEOF):
		why = errors.New("it left without a proof")
	}
	d.mu.Lock()
	d.refused++
	refused, now := d.refused, time.Now()
	quiet := now.Sub(d.lastLogged) < logInterval
	if !quiet {
		d.lastLogged = now
	}
	d.mu.Unlock()
	if !quiet {
		d.logf("refused %s: %v (%d refused so far)", conn.RemoteAddr(), why, refused)
	}
}

func (d *Listener) logf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.Log, "loadtest worker: "+format+"\n", args...)
}
