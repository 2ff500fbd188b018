//go:build linux

package swarm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/loadtest/peers/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/peers/internal/epoll"
	"github.com/zonecast/zonecast/loadtest/peers/internal/frame"
)

// The states of a connection, in their order.
const (
	unopened  = iota
	dialing   // connect(2) is under way
	upgrading // the handshake was sent
	joining   // it is a WebSocket
	ready     // it is in its room, or may publish
	closed
)

// none is the room of a publisher.
const none = -1

// A conn is one client.
type conn struct {
	fd     int
	state  int
	room   int // in Swarm.rooms, or none
	reader frame.Reader
	rest   []byte // of what was read: a frame without its end
	out    []byte // what is to be written

	// Of a member alone: the next number of each stream of its room, and those that it missed.
	next  []uint32
	holes []hole

	publisher *publisher // nil for a member
}

// maskKey masks all frames: what masking protects from, a hostile proxy, is not here.
var maskKey = [4]byte{0x5a, 0x6f, 0x6e, 0x65}

func (s *Swarm) dial(i int, to unix.Sockaddr) error {
	fd, err := epoll.Dial(to)
	if err != nil {
		return err
	}
	if err := s.poller.Add(fd, int32(i)); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	s.conns[i].fd, s.conns[i].state = fd, dialing
	return nil
}

// handle does what an event calls for.
func (s *Swarm) handle(c *conn, flags uint32) {
	if c.state == dialing {
		if err := epoll.Fault(c.fd); err != nil {
			s.end(c, err.Error())
			return
		}
		if flags&epoll.Writable == 0 {
			return
		}
		c.state = upgrading
		c.out = frame.AppendRequest(c.out, s.plan.Addr.String(), s.plan.Dialect.Path(), s.plan.Deflate)
	}
	if c.state != closed && flags&(epoll.Readable|epoll.Ended) != 0 {
		s.read(c, flags&epoll.Ended != 0)
	}
	if c.publisher != nil && s.window > 0 {
		s.topUp(c.publisher)
	}
	s.flush(c)
}

// read takes what there is. When the other side ended it reads until the end, which says how.
func (s *Swarm) read(c *conn, ended bool) {
	for c.state != closed {
		rest := copy(s.buffer, c.rest)
		n, err := epoll.Read(c.fd, s.buffer[rest:])
		switch {
		case errors.Is(err, epoll.ErrAgain):
			return
		case err != nil:
			s.end(c, err.Error())
			return
		case n == 0:
			s.end(c, "ended without a close frame")
			return
		}
		s.tally.bytes += uint64(n)
		full := rest+n == len(s.buffer)
		p := s.buffer[:rest+n]
		used, err := s.take(c, p)
		if err != nil {
			s.end(c, err.Error())
			return
		}
		c.keep(p[used:])
		if !full && !ended {
			return
		}
	}
}

// keep keeps the beginning of a frame for the next read.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 && cap(c.rest) > 4<<10 {
		c.rest = nil
		return
	}
	c.rest = append(c.rest[:0], rest...)
}

// take handles all frames that p holds and says how many bytes they have.
func (s *Swarm) take(c *conn, p []byte) (used int, err error) {
	if c.state == upgrading {
		deflate, n, err := frame.ParseResponse(p)
		switch {
		case err != nil || n == 0:
			return 0, err
		case s.plan.Deflate && !deflate:
			return 0, errors.New("the server does not deflate")
		}
		used = n
		c.state = joining
		if greeting := s.plan.Dialect.Greet(s.roomOf(c)); greeting != nil {
			s.send(c, frame.Text, greeting)
		}
	}
	now := s.now()
	for c.state != closed {
		m, n, err := c.reader.Next(p[used:])
		if err != nil {
			return used, fmt.Errorf("a broken frame: %w", err)
		}
		if n == 0 {
			break
		}
		used += n
		if err := s.receive(c, m, now); err != nil {
			return used, err
		}
	}
	return used, nil
}

func (s *Swarm) roomOf(c *conn) string {
	if c.room == none {
		return ""
	}
	return s.rooms[c.room].name
}

// receive handles a message, or a control frame.
func (s *Swarm) receive(c *conn, m frame.Message, now uint64) (err error) {
	switch m.Op {
	case frame.Ping:
		s.send(c, frame.Pong, m.Payload)
	case frame.Close:
		code, reason := frame.CloseReason(m.Payload)
		return fmt.Errorf("closed with %d %s", code, reason)
	case frame.Text, frame.Binary:
		text := m.Payload
		if m.Deflated {
			if text, err = s.inflater.Inflate(text); err != nil {
				return err
			}
		}
		name := s.roomOf(c)
		for text != nil {
			var e dialect.Event
			e, text = s.plan.Dialect.Next(text, name)
			s.heed(c, &e, now)
		}
	}
	return nil
}

// heed does what a server's word calls for.
func (s *Swarm) heed(c *conn, e *dialect.Event, now uint64) {
	switch e.Kind {
	case dialect.Delivery:
		s.deliver(c, e.Data, now)
	case dialect.Ready:
		if c.state == joining {
			c.state = ready
			s.ready++
		}
	case dialect.Ack, dialect.Refused:
		if c.publisher != nil {
			s.answered(c.publisher, e, now)
		}
	case dialect.Complaint:
		count(s.tally.complaints, e.Reason)
	}
	if e.Reply != nil {
		s.send(c, frame.Text, e.Reply)
	}
}

// reasons is how many reasons are told apart.
const reasons = 20

func count(by map[string]uint64, reason string) {
	if _, known := by[reason]; !known && len(by) >= reasons {
		reason = "other"
	}
	by[reason]++
}

// send puts a frame into the connection's output, which flush writes.
func (s *Swarm) send(c *conn, op frame.Op, p []byte) {
	c.out = frame.Append(c.out, op, frame.FromClient, maskKey, p)
}

// flush writes what there is room for; the rest goes when the socket is writable again.
func (s *Swarm) flush(c *conn) {
	if len(c.out) == 0 || c.state == closed {
		return
	}
	n, err := epoll.Write(c.fd, c.out)
	if err != nil && !errors.Is(err, epoll.ErrAgain) {
		s.end(c, err.Error())
		return
	}
	c.out = append(c.out[:0], c.out[n:]...)
	if len(c.out) == 0 && c.publisher == nil {
		c.out = nil
	}
}

// end closes a connection that should have stayed.
func (s *Swarm) end(c *conn, reason string) {
	if c.state == ready {
		s.ready--
	}
	c.state, c.rest, c.out = closed, nil, nil
	if err := unix.Close(c.fd); err != nil {
		reason += ", " + err.Error()
	}
	if s.connecting && s.failure == nil {
		s.failure = fmt.Errorf("a connection failed before all were in their rooms: %s", reason)
	}
	if c.publisher != nil {
		reason = "publisher: " + reason
	}
	count(s.tally.ended, reason)
}
