//go:build linux

// Command write2 is the lower bound of what fan-out costs: one thread that, for each published
// message, makes one frame and writes it with write(2) to each member of the room, one after the
// other. It has no queue: a member whose socket is full is closed. It speaks enough of Zonecast's
// protocol for the benchmark, prints its address, and serves until it is killed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/backend/wsframe"
	"github.com/zonecast/zonecast/loadtest/internal/epoll"
)

func main() {
	runtime.LockOSThread()
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "write2:", err)
		os.Exit(1)
	}
}

type server struct {
	poller   *epoll.Poller
	listener int
	conns    map[int]*conn // by descriptor
	rooms    map[wire.Room]*room
	buffer   []byte
	out      []byte
}

type room struct {
	members []int // descriptors
	n       uint64
}

type conn struct {
	fd     int
	open   bool // it is a WebSocket
	reader wsframe.Reader
	rest   []byte
}

func serve() error {
	fd, port, err := listen()
	if err != nil {
		return err
	}
	poller, err := epoll.Open()
	if err != nil {
		return err
	}
	s := &server{poller: poller, listener: fd, conns: make(map[int]*conn), rooms: make(map[wire.Room]*room),
		buffer: make([]byte, 2*wsframe.MaxPayload)}
	if err := poller.Add(fd, int32(fd)); err != nil {
		return err
	}
	fmt.Printf("http://127.0.0.1:%d\n", port)
	for {
		events, err := poller.Wait(time.Second)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := s.handle(int(e.Token)); err != nil {
				return err
			}
		}
	}
}

func listen() (fd, port int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return 0, 0, fmt.Errorf("listen: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, fmt.Errorf("getsockname: %w", err)
	}
	return fd, bound.(*unix.SockaddrInet4).Port, nil
}

// handle does what an event calls for. The error is one of the server, not of a client.
func (s *server) handle(fd int) error {
	if fd == s.listener {
		return s.accept()
	}
	c, ok := s.conns[fd]
	if !ok {
		return nil
	}
	for {
		rest := copy(s.buffer, c.rest)
		n, err := epoll.Read(fd, s.buffer[rest:])
		if errors.Is(err, epoll.ErrAgain) {
			return nil
		}
		if err != nil || n == 0 {
			s.end(c)
			return nil
		}
		p := s.buffer[:rest+n]
		used, err := s.handleInput(c, p)
		if err != nil {
			fmt.Fprintln(os.Stderr, "write2: a client is closed:", err)
			s.end(c)
			return nil
		}
		c.rest = append(c.rest[:0], p[used:]...)
	}
}

func (s *server) accept() error {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("setsockopt: %w", err)
		}
		s.conns[fd] = &conn{fd: fd, reader: wsframe.Reader{From: wsframe.FromClient}}
		if err := s.poller.Add(fd, int32(fd)); err != nil {
			return err
		}
	}
}

// handleInput handles all that p holds and says how many bytes it has.
func (s *server) handleInput(c *conn, p []byte) (used int, err error) {
	if !c.open {
		key, n, err := wsframe.ParseRequest(p)
		if err != nil || n == 0 {
			return 0, err
		}
		used, c.open = n, true
		if err := s.write(c.fd, wsframe.AppendResponse(nil, key)); err != nil {
			return used, err
		}
		if err := s.send(c, wire.AppendFrame(nil, wire.EventConnected, wire.Connected{Rooms: []wire.Position{}})); err != nil {
			return used, err
		}
	}
	for {
		m, n, err := c.reader.Next(p[used:])
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		if m.Op != wsframe.Text {
			continue
		}
		if err := s.handleMessage(c, m.Payload); err != nil {
			return used, err
		}
	}
}

func (s *server) handleMessage(c *conn, text []byte) error {
	f, err := wire.DecodeClient(text)
	if err != nil {
		return err
	}
	var p wire.Publish
	if err := json.Unmarshal(f.Data, &p); err != nil {
		return err
	}
	name, err := p.Target.Room()
	if err != nil {
		return err
	}
	r := s.rooms[name]
	if r == nil {
		r = &room{}
		s.rooms[name] = r
	}
	if f.Event == wire.EventSubscribe {
		r.members = append(r.members, c.fd)
	} else {
		s.broadcast(name, r, &p)
	}
	offset := wire.Offset{Epoch: "w", N: r.n}
	return s.send(c, wire.AppendAck(nil, f.ID, wire.PositionOf(name, offset)))
}

// broadcast is what this program is for.
func (s *server) broadcast(name wire.Room, r *room, p *wire.Publish) {
	r.n++
	text := wire.AppendMessage(nil, &wire.Message{Room: name, Event: p.Event, Offset: wire.Offset{Epoch: "w", N: r.n},
		Time: time.Now().UnixMilli(), Data: p.Data})
	s.out = wsframe.Append(s.out[:0], wsframe.Text, text)
	for _, fd := range r.members {
		if err := s.write(fd, s.out); err != nil {
			fmt.Fprintln(os.Stderr, "write2: a member is closed:", err)
			defer s.end(s.conns[fd]) // not now: the list is being read
		}
	}
}

func (s *server) send(c *conn, text []byte) error {
	return s.write(c.fd, wsframe.Append(nil, wsframe.Text, text))
}

func (s *server) write(fd int, p []byte) error {
	n, err := epoll.Write(fd, p)
	if err == nil && n < len(p) {
		err = errors.New("the socket is full")
	}
	return err
}

func (s *server) end(c *conn) {
	if s.conns[c.fd] != c {
		return
	}
	delete(s.conns, c.fd)
	for _, r := range s.rooms {
		r.members = slices.DeleteFunc(r.members, func(fd int) bool { return fd == c.fd })
	}
	_ = unix.Close(c.fd) // the client is gone, whatever this says
}
