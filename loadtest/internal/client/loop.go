//go:build linux

// Package client holds tens of thousands of client connections in one event loop on one thread,
// over raw sockets, so that the server under test is what limits a run.
//
//	scenario ──▶ Loop.Dial ──▶ Conn ──▶ Handler.Event      a message of the server, decoded
//	scenario ──▶ Loop.At                Handler.Response   the response to a request
//	scenario ──▶ Loop.Step              Handler.Closed
//	                conn.go ─┬─ websocket.go   upgrade, frames       epoll ─ frame ─ protocol
//	                         ├─ stream.go      Server-Sent Events    http1
//	                         └─ poll.go        long polls, and requests on keep-alive connections
//
// A client costs a few hundred bytes: one read buffer serves them all, and only the beginning of a
// frame whose end has not arrived is kept. All of it belongs to the goroutine that calls Step;
// handlers and timers run there and must not block.
package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/backend/wsframe"
	"github.com/zonecast/zonecast/loadtest/internal/epoll"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

const (
	// readBuffer is how many bytes one read(2) takes, unless a longer frame is under way.
	readBuffer = 192 << 10
	// longestRead is how far the buffer grows for it.
	longestRead = 2*http1.MaxBody + wsframe.MaxPayload
)

// A Handler receives what happens on connections.
type Handler interface {
	// Event is what the server said. The slices of the event are valid during the call.
	Event(c *Conn, e *protocol.Event, now uint64)
	// Response is the response to a request of a connection of mode Requests, for the call only.
	Response(c *Conn, r *http1.Response, now uint64)
	// Closed comes once, with an error, for each connection that the handler did not end itself.
	Closed(c *Conn, why error, now uint64)
}

// A Target is where a server is reached.
type Target struct {
	Addr              netip.AddrPort
	Host, Path, Query string // the request's
	TLS               string // the name that the server must show a certificate for, "" for none
	Token             string
}

// Options are the same for all connections of a loop.
type Options struct {
	Protocol protocol.Codec
	Deflate  bool           // asks for permessage-deflate; a server that does not grant it is an error
	Sources  []netip.Addr   // that connections come from, in turns; none for the system's choice
	Roots    *x509.CertPool // the authorities for TLS; nil for the system's
	Header   string         // further lines of each request's head, each with its \r\n
}

// A Loop is all the sockets of a process.
type Loop struct {
	options Options
	poller  *epoll.Poller
	conns   []*Conn // by token
	free    []int32 // unused tokens
	freed   []int32 // released in this step, whose events may still name them
	source  int     // the next one of Sources
	timers  timers

	inflater *wsframe.Inflater
	buffer   []byte         // of read(2)
	text     []byte         // what was taken out of its chunks
	event    protocol.Event // reused: there are a million a second
	bridges  tlsBridges

	Received uint64 // bytes
}

// Open returns a loop without sockets.
func Open(o Options) (*Loop, error) {
	poller, err := epoll.Open()
	if err != nil {
		return nil, err
	}
	return &Loop{options: o, poller: poller, inflater: wsframe.NewInflater(), buffer: make([]byte, readBuffer),
		bridges: tlsBridges{roots: o.Roots}}, nil
}

// Step does what is due and handles what happened, waiting for it at most the time given.
func (l *Loop) Step(most time.Duration) error {
	now := Now()
	if next := l.runTimers(now); next > 0 {
		most = min(most, time.Duration(next-now))
	}
	l.free, l.freed = append(l.free, l.freed...), l.freed[:0]
	events, err := l.poller.Wait(max(most, 0))
	if err != nil {
		return err
	}
	for _, e := range events {
		if c := l.conns[e.Token]; c != nil {
			l.handleReady(c, e.Flags)
		}
	}
	return nil
}

// Close ends all connections, without telling their handlers.
func (l *Loop) Close() error {
	for _, c := range l.conns {
		if c != nil {
			l.Reset(c)
		}
	}
	l.timers = nil
	l.bridges.wait()
	return l.poller.Close()
}

// Dial starts a connection. The handler is never called before Dial returns.
func (l *Loop) Dial(mode Mode, to *Target, seat protocol.Subscription, handler Handler) (*Conn, error) {
	fd, err := l.connect(to)
	if err != nil {
		return nil, err
	}
	c := &Conn{fd: int32(fd), mode: mode, state: dialing, target: to, subscription: seat, handler: handler}
	c.token = l.addConn(c)
	if err := l.poller.Add(fd, c.token); err != nil {
		l.removeConn(c)
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

func (l *Loop) addConn(c *Conn) int32 {
	if last := len(l.free) - 1; last >= 0 {
		token := l.free[last]
		l.free = l.free[:last]
		l.conns[token] = c
		return token
	}
	l.conns = append(l.conns, c)
	return int32(len(l.conns) - 1)
}

func (l *Loop) removeConn(c *Conn) {
	l.conns[c.token] = nil
	l.freed = append(l.freed, c.token)
}

func (l *Loop) connect(to *Target) (fd int, err error) {
	if to.TLS != "" {
		return l.bridges.dial(to)
	}
	source := netip.Addr{}
	if n := len(l.options.Sources); n > 0 {
		source = l.options.Sources[l.source%n]
		l.source++
	}
	fd, err = epoll.Dial(to.Addr, source)
	if err != nil {
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}
