//go:build linux

package crew

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
	// doorTimeout is how long a stranger may take to prove that it may give orders.
	doorTimeout = 5 * time.Second
	// maxStrangers is how many may be about it at once. When one more comes, the one that came first has to go: proving takes
	// a round trip, so it is hardly the one that has the key.
	maxStrangers = 16
	// turnTimeout is how long a coordinator waits for the end of another one's run, which may have a few steps to go.
	turnTimeout = 2 * time.Second
	// sayEvery is how often a refusal is said; those in between are counted.
	sayEvery = time.Second
	// retryPause is between two attempts to accept a connection when there was no descriptor for it.
	retryPause = 100 * time.Millisecond
)

// A Door lets in coordinators that prove that they have its key, one after the other, and works for them. Strangers, who may
// say nothing or anything, keep nobody waiting.
type Door struct {
	Key handshake.Key
	Log io.Writer // a line about each coordinator, and at most one a second about those refused

	papers handshake.Papers
	turn   chan struct{} // holds one thing while the worker has a coordinator

	mu        sync.Mutex
	strangers []net.Conn // in the order in which they came
	refused   int
	said      time.Time // when a refusal was last said
}

// Open serves until ctx ends or the listener fails, and waits for all that it began. It may be called once.
func (d *Door) Open(ctx context.Context, listener net.Listener) error {
	var err error
	if d.papers, err = handshake.NewPapers(); err != nil {
		return err
	}
	d.turn = make(chan struct{}, 1)
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ECONNABORTED) {
			time.Sleep(retryPause) // the members have all descriptors: a stranger must not end their run
			continue
		}
		if err != nil {
			return err
		}
		d.meet(conn)
		serving.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			d.serve(ctx, conn)
		})
	}
}

// serve works for a coordinator, if it is one.
func (d *Door) serve(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(doorTimeout)) // of an open connection never fails
	line, err := handshake.Answer(conn, d.papers, d.Key, func() error { d.part(conn); return d.take(ctx) })
	d.part(conn)
	if err != nil {
		if ctx.Err() == nil {
			d.refuse(conn, err)
		}
		return
	}
	defer func() { <-d.turn }()
	_ = conn.SetDeadline(time.Time{})
	d.say("working for %s", conn.RemoteAddr())
	if err := Serve(ctx, line, line); err != nil && ctx.Err() == nil {
		d.say("%s: %v", conn.RemoteAddr(), err)
	}
}

// take waits for the end of what the worker is doing for another coordinator.
func (d *Door) take(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
	case <-time.After(turnTimeout):
	}
	return handshake.ErrBusy
}

// meet notes a stranger.
func (d *Door) meet(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.strangers) == maxStrangers {
		_ = d.strangers[0].Close()
		d.strangers = slices.Delete(d.strangers, 0, 1)
	}
	d.strangers = append(d.strangers, conn)
}

// part notes that it is none any more.
func (d *Door) part(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.strangers, conn); i >= 0 {
		d.strangers = slices.Delete(d.strangers, i, i+1)
	}
}

// refuse counts one that was not let in, and says so.
func (d *Door) refuse(conn net.Conn, why error) {
	switch {
	case errors.Is(why, os.ErrDeadlineExceeded):
		why = fmt.Errorf("it proved nothing within %v", doorTimeout)
	case errors.Is(why, net.ErrClosed):
		why = errors.New("it proved nothing, and others came")
	case errors.Is(why, io.ErrUnexpectedEOF):
		why = errors.New("it left without a proof")
	}
	d.mu.Lock()
	d.refused++
	refused, now := d.refused, time.Now()
	quiet := now.Sub(d.said) < sayEvery
	if !quiet {
		d.said = now
	}
	d.mu.Unlock()
	if !quiet {
		d.say("refused %s: %v (%d refused so far)", conn.RemoteAddr(), why, refused)
	}
}

func (d *Door) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.Log, "loadtest worker: "+format+"\n", args...)
}
