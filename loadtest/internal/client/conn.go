//go:build linux

package client

import (
	"cmp"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
	"github.com/zonecast/zonecast/loadtest/internal/epoll"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
)

// A Mode is what a connection speaks.
type Mode uint8

const (
	WebSocket Mode = iota
	Stream         // Server-Sent Events
	Polling        // long polls, one after the other
	Requests       // plain HTTP: Ask sends a request
)

// The states of a connection, in their order.
const (
	dialing = iota // connect(2) is under way
	opening        // the handshake was sent
	open
	closing // the close frame was sent
	closed
)

// A Conn is one client's connection.
type Conn struct {
	// Static after Dial.
	fd           int32
	token        int32
	mode         Mode
	target       *Target
	subscription protocol.Subscription
	handler      Handler

	state      uint8
	paused     bool // nothing is read
	requesting bool // a request is under way
	joined     bool // of Polling: the first answer came
	reader     wsframe.Reader
	body       http1.Body
	cursor     string
	rest       []byte // of what was read: a frame without its end
	out        []byte // what is to be written
	idle       uint64 // of Requests: since when nothing was asked
}

// Open reports whether requests or frames can be sent.
func (c *Conn) Open() bool { return c.state == open }

// Idle returns since when a connection of mode Requests has nothing to do, false while it has.
func (c *Conn) Idle() (since uint64, ok bool) { return c.idle, c.state == open && !c.requesting }

func (l *Loop) handleReady(c *Conn, flags uint32) {
	if c.state == dialing {
		if err := epoll.Fault(int(c.fd)); err != nil {
			l.Abort(c, err)
			return
		}
		if flags&epoll.Writable == 0 {
			return
		}
		l.sendHandshake(c)
	}
	if flags&(epoll.Readable|epoll.Ended) != 0 && !c.paused {
		l.read(c, flags&epoll.Ended != 0, len(l.buffer))
	}
	l.Flush(c)
}

func (l *Loop) sendHandshake(c *Conn) {
	c.state = opening
	switch c.mode {
	case WebSocket:
		l.sendUpgrade(c)
	case Stream:
		l.sendStreamRequest(c)
	case Polling:
		c.state = open
		l.sendPoll(c)
	case Requests:
		c.state, c.idle = open, Now()
		c.handler.Event(c, &protocol.Event{Kind: protocol.Ready}, c.idle)
	}
}

// read reads at most about so many bytes; once ended, all that is left, to learn how it ended.
func (l *Loop) read(c *Conn, ended bool, most int) {
	for c.state != closed && !c.paused && most > 0 {
		l.growBuffer(len(c.rest))
		rest := copy(l.buffer, c.rest)
		n, err := epoll.Read(int(c.fd), l.buffer[rest:min(len(l.buffer), rest+most)])
		switch {
		case errors.Is(err, epoll.ErrAgain):
			return
		case err != nil:
			l.Abort(c, err)
			return
		case n == 0:
			l.handleEOF(c)
			return
		}
		l.Received += uint64(n)
		full := rest+n == len(l.buffer)
		p := l.buffer[:rest+n]
		used, err := l.handleInput(c, p)
		if err != nil {
			l.Abort(c, err)
			return
		}
		if c.state == closed {
			return
		}
		c.keepRest(p[used:])
		if most < len(l.buffer) {
			most -= n
		}
		if !full && !ended {
			return
		}
	}
}

// growBuffer lets the buffer grow when the beginning of a long frame fills it.
func (l *Loop) growBuffer(rest int) {
	if rest > len(l.buffer)/2 && len(l.buffer) < longestRead {
		l.buffer = make([]byte, min(4*len(l.buffer), longestRead))
	}
}

// keepRest keeps the beginning of a frame for the next read.
func (c *Conn) keepRest(rest []byte) {
	if len(rest) == 0 && cap(c.rest) > 1<<10 {
		c.rest = nil
		return
	}
	c.rest = append(c.rest[:0], rest...)
}

// handleInput handles all that p holds and says how many bytes it has.
func (l *Loop) handleInput(c *Conn, p []byte) (used int, err error) {
	switch c.mode {
	case WebSocket:
		return l.handleFrames(c, p)
	case Stream:
		return l.handleStream(c, p)
	}
	return l.handleResponses(c, p, false)
}

// handleEOF closes a connection that the server ended.
func (l *Loop) handleEOF(c *Conn) {
	if c.state == closing {
		l.Abort(c, nil)
		return
	}
	if c.mode == Polling || c.mode == Requests {
		if used, err := l.handleResponses(c, append([]byte(nil), c.rest...), true); used > 0 || err != nil {
			if c.state != closed {
				l.Abort(c, err)
			}
			return
		}
	}
	l.Abort(c, io.ErrUnexpectedEOF)
}

func (l *Loop) handleMessage(c *Conn, text []byte, now uint64) {
	for text != nil && c.state != closed {
		e := &l.event
		*e, text = l.options.Protocol.Next(text, c.subscription.Room)
		if e.Reply != nil {
			l.appendFrame(c, wsframe.Text, e.Reply)
		}
		if e.Kind != protocol.None {
			c.handler.Event(c, e, now)
		}
	}
}

// Flush writes what there is room for; the rest goes when the socket is writable again.
func (l *Loop) Flush(c *Conn) {
	if len(c.out) == 0 || c.state == closed || c.state == dialing {
		return
	}
	n, err := epoll.Write(int(c.fd), c.out)
	if err != nil && !errors.Is(err, epoll.ErrAgain) {
		l.Abort(c, err)
		return
	}
	if n == len(c.out) && (c.mode != Requests || cap(c.out) > 4<<10) {
		c.out = nil
		return
	}
	c.out = append(c.out[:0], c.out[n:]...)
}

// Abort closes a connection with an error, which its handler receives.
func (l *Loop) Abort(c *Conn, why error) {
	if c.state == closed {
		return
	}
	if c.target.TLS != "" {
		why = cmp.Or(l.bridges.dialError(int(c.fd)), why)
	}
	l.Reset(c)
	c.handler.Closed(c, cmp.Or(why, errEnded), Now())
}

// Reset resets a connection, without calling its handler.
func (l *Loop) Reset(c *Conn) {
	if c.state == closed {
		return
	}
	c.state, c.rest, c.out = closed, nil, nil
	_ = unix.Close(int(c.fd)) // reset, as its linger time is 0
	l.removeConn(c)
}

// closeTimeout is how long a server may take to answer a close frame.
const closeTimeout = 5 * time.Second

// CloseGracefully ends a connection as its protocol says, without telling the handler.
func (l *Loop) CloseGracefully(c *Conn) {
	if c.state != open || c.mode != WebSocket {
		l.Reset(c)
		return
	}
	c.state, c.handler, c.paused = closing, noHandler{}, false
	l.appendFrame(c, wsframe.Close, []byte{byte(wire.CloseGoingAway >> 8), byte(wire.CloseGoingAway & 0xff)})
	l.Flush(c)
	l.At(Now()+uint64(closeTimeout), func(uint64) { l.Reset(c) })
}

// Abandon stops reading, so that pings are not answered; the socket is open until the loop ends.
func (l *Loop) Abandon(c *Conn) {
	if c.state != closed {
		c.paused, c.handler = true, noHandler{}
	}
}

// Pause stops reading until Resume.
func (l *Loop) Pause(c *Conn) { c.paused = true }

// Resume reads at most about so many bytes, and then nothing until the next Resume.
func (l *Loop) Resume(c *Conn, most int) {
	if c.state == closed {
		return
	}
	c.paused = false
	l.read(c, false, most)
	c.paused = true
	l.Flush(c)
}

// Drain reads and forgets all that comes from now on, and tells nothing but why the connection
// ended.
func (l *Loop) Drain(c *Conn, ended func(why error)) {
	if c.state == closed {
		return
	}
	c.handler, c.paused = drainHandler{ended: ended}, false
	l.read(c, false, len(l.buffer))
	l.Flush(c)
}

type drainHandler struct {
	noHandler
	ended func(why error)
}

func (h drainHandler) Closed(_ *Conn, why error, _ uint64) { h.ended(why) }

type noHandler struct{}

func (noHandler) Event(*Conn, *protocol.Event, uint64)    {}
func (noHandler) Response(*Conn, *http1.Response, uint64) {}
func (noHandler) Closed(*Conn, error, uint64)             {}
