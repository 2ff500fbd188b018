//go:build linux

package swarm

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
	"github.com/zonecast/zonecast/loadtest/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/internal/epoll"
	"github.com/zonecast/zonecast/loadtest/internal/http1"
)

// A Mode is what a connection speaks.
type Mode uint8

// The modes.
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
	leaving // the close frame was sent
	closed
)

// A Conn is one client's connection.
type Conn struct {
	// Owner is whatever the handler wants to know it by.
	Owner any

	// Static after Dial.
	fd      int32
	token   int32
	mode    Mode
	target  *Target
	seat    dialect.Seat
	handler Handler

	state  uint8
	paused bool // nothing is read
	asked  bool // a request is under way
	joined bool // of Polling: the first answer came
	reader wsframe.Reader
	body   http1.Body
	cursor string
	rest   []byte // of what was read: a frame without its end
	out    []byte // what is to be written
	idle   uint64 // of Requests: since when nothing was asked
}

// Open reports whether requests or frames can be sent.
func (c *Conn) Open() bool { return c.state == open }

// Idle returns since when a connection of mode Requests has nothing to do, false while it has.
func (c *Conn) Idle() (since uint64, ok bool) { return c.idle, c.state == open && !c.asked }

// handle does what an event calls for.
func (l *Loop) handle(c *Conn, flags uint32) {
	if c.state == dialing {
		if err := epoll.Fault(int(c.fd)); err != nil {
			l.end(c, err)
			return
		}
		if flags&epoll.Writable == 0 {
			return
		}
		l.hello(c)
	}
	if flags&(epoll.Readable|epoll.Ended) != 0 && !c.paused {
		l.read(c, flags&epoll.Ended != 0, len(l.buffer))
	}
	l.flush(c)
}

// hello says what begins a connection.
func (l *Loop) hello(c *Conn) {
	c.state = opening
	switch c.mode {
	case WebSocket:
		l.upgrade(c)
	case Stream:
		l.subscribe(c)
	case Polling:
		c.state = open
		l.poll(c)
	case Requests:
		c.state, c.idle = open, Now()
		c.handler.Event(c, &dialect.Event{Kind: dialect.Ready}, c.idle)
	}
}

// read takes what there is, at most about so many bytes; when the other side ended, all of it, which says how.
func (l *Loop) read(c *Conn, ended bool, most int) {
	for c.state != closed && !c.paused && most > 0 {
		l.makeRoom(len(c.rest))
		rest := copy(l.buffer, c.rest)
		n, err := epoll.Read(int(c.fd), l.buffer[rest:min(len(l.buffer), rest+most)])
		switch {
		case errors.Is(err, epoll.ErrAgain):
			return
		case err != nil:
			l.end(c, err)
			return
		case n == 0:
			l.finish(c)
			return
		}
		l.Received += uint64(n)
		full := rest+n == len(l.buffer)
		p := l.buffer[:rest+n]
		used, err := l.take(c, p)
		if err != nil {
			l.end(c, err)
			return
		}
		if c.state == closed {
			return
		}
		c.keep(p[used:])
		if most < len(l.buffer) {
			most -= n
		}
		if !full && !ended {
			return
		}
	}
}

// makeRoom lets the buffer grow when the beginning of a long frame fills it.
func (l *Loop) makeRoom(rest int) {
	if rest > len(l.buffer)/2 && len(l.buffer) < longestRead {
		l.buffer = make([]byte, min(4*len(l.buffer), longestRead))
	}
}

// keep keeps the beginning of a frame for the next read.
func (c *Conn) keep(rest []byte) {
	if len(rest) == 0 && cap(c.rest) > 1<<10 {
		c.rest = nil
		return
	}
	c.rest = append(c.rest[:0], rest...)
}

// take handles all that p holds and says how many bytes it has.
func (l *Loop) take(c *Conn, p []byte) (used int, err error) {
	switch c.mode {
	case WebSocket:
		return l.takeFrames(c, p)
	case Stream:
		return l.takeStream(c, p)
	}
	return l.takeAnswers(c, p, false)
}

// finish ends a connection whose other side has nothing more to say.
func (l *Loop) finish(c *Conn) {
	if c.state == leaving {
		l.end(c, nil)
		return
	}
	if c.mode == Polling || c.mode == Requests {
		if used, err := l.takeAnswers(c, append([]byte(nil), c.rest...), true); used > 0 || err != nil {
			if c.state != closed {
				l.end(c, err)
			}
			return
		}
	}
	l.end(c, io.ErrUnexpectedEOF)
}

// heed reads a message of the dialect and hands on what it means.
func (l *Loop) heed(c *Conn, text []byte, now uint64) {
	for text != nil && c.state != closed {
		e := &l.event
		*e, text = l.options.Dialect.Next(text, c.seat.Room)
		if e.Reply != nil {
			l.send(c, wsframe.Text, e.Reply)
		}
		if e.Kind != dialect.Nothing {
			c.handler.Event(c, e, now)
		}
	}
}

// flush writes what there is room for; the rest goes when the socket is writable again.
func (l *Loop) flush(c *Conn) {
	if len(c.out) == 0 || c.state == closed || c.state == dialing {
		return
	}
	n, err := epoll.Write(int(c.fd), c.out)
	if err != nil && !errors.Is(err, epoll.ErrAgain) {
		l.end(c, err)
		return
	}
	if n == len(c.out) && (c.mode != Requests || cap(c.out) > 4<<10) {
		c.out = nil
		return
	}
	c.out = append(c.out[:0], c.out[n:]...)
}

// end closes a connection and tells its handler why.
func (l *Loop) end(c *Conn, why error) {
	if c.state == closed {
		return
	}
	if c.target.TLS != "" {
		if fault := l.bridges.fault(int(c.fd)); fault != nil {
			why = fault
		}
	}
	l.Drop(c)
	c.handler.Ended(c, why, Now())
}

// End ends a connection for a reason, which its handler is told.
func (l *Loop) End(c *Conn, why error) { l.end(c, why) }

// Drop resets a connection, without a word to anybody.
func (l *Loop) Drop(c *Conn) {
	if c.state == closed {
		return
	}
	c.state, c.rest, c.out = closed, nil, nil
	_ = unix.Close(int(c.fd)) // reset, as its linger time is 0
	l.leave(c)
}

// goodbye is how long a server may take to answer a close frame.
const goodbye = 5 * time.Second

// Leave ends a connection as its protocol says, without telling the handler.
func (l *Loop) Leave(c *Conn) {
	if c.state != open || c.mode != WebSocket {
		l.Drop(c)
		return
	}
	c.state, c.handler, c.paused = leaving, nobody{}, false
	l.send(c, wsframe.Close, []byte{byte(wire.CloseGoingAway >> 8), byte(wire.CloseGoingAway & 0xff)})
	l.flush(c)
	l.At(Now()+uint64(goodbye), func(uint64) { l.Drop(c) })
}

// Forsake lets a connection be: nothing is read, pings are not answered, and it stays until the loop ends.
func (l *Loop) Forsake(c *Conn) {
	if c.state != closed {
		c.paused, c.handler = true, nobody{}
	}
}

// Pause stops reading until Resume.
func (l *Loop) Pause(c *Conn) { c.paused = true }

// Resume reads again: at most about so many bytes, and then nothing until the next Resume; all there is with 0.
func (l *Loop) Resume(c *Conn, most int) {
	if c.state == closed {
		return
	}
	c.paused = false
	if most == 0 {
		l.read(c, false, len(l.buffer))
	} else {
		l.read(c, false, most)
		c.paused = true
	}
	l.flush(c)
}

// nobody handles connections that nobody cares for any more.
type nobody struct{}

func (nobody) Event(*Conn, *dialect.Event, uint64)   {}
func (nobody) Answer(*Conn, *http1.Response, uint64) {}
func (nobody) Ended(*Conn, error, uint64)            {}
