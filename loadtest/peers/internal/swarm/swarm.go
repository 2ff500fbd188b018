//go:build linux

// Package swarm is the benchmark's load generator: members that count every message, and publishers, in one loop and one
// thread over raw sockets, so that the server under test is what limits the run.
//
//	Connect ──▶ Idle / Steady / Flood ──▶ Result
//	   │              │
//	   │              ├─ publisher.go: what is sent, and what became of it
//	   │              └─ member.go: what each member received, message by message
//	   └─ conn.go: sockets and handshakes           epoll ─ frame ─ dialect ─ payload
//
// A member costs a few hundred bytes: one read buffer serves them all, and only the beginning of a frame whose end has not
// arrived is kept.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/peers/internal/dialect"
	"github.com/zonecast/zonecast/loadtest/peers/internal/epoll"
	"github.com/zonecast/zonecast/loadtest/peers/internal/frame"
	"github.com/zonecast/zonecast/loadtest/peers/internal/payload"
)

const (
	// readBuffer is how many bytes one read(2) takes at most. It holds the longest frame and more.
	readBuffer = 2 * frame.MaxPayload
	// handshakes is how many connections are made at once.
	handshakes = 128
	// patience is how long a connection may take from its beginning until it is in its room.
	patience = 15 * time.Second
	// tick is how often a loop looks whether it was told to end.
	tick = 50 * time.Millisecond
)

// A Plan says which clients there are.
type Plan struct {
	// Addr is where the server listens.
	Addr    netip.AddrPort
	Dialect dialect.Dialect
	// Deflate asks for permessage-deflate; a server that does not grant it is an error.
	Deflate  bool
	Template *payload.Template
	// Members are spread evenly over the Rooms.
	Members, Rooms int
	// Writers is how many publishers send to each room; with one room, all of them.
	Publishers, Writers int
}

// A Swarm is the clients of one server. It is for one goroutine.
type Swarm struct {
	plan   Plan
	rooms  []room
	poller *epoll.Poller
	epoch  time.Time // the clock's zero

	conns      []conn // members, then publishers
	publishers []publisher
	streams    []stream
	ready      int // connections that are in their room
	connecting bool
	failure    error // the first connection that failed while connecting

	inflater *frame.Inflater
	buffer   []byte // of read(2)
	data     []byte // of the message being published
	text     []byte

	window int // most publishes of each publisher without an answer; 0 when there is no flood
	tally  tally
}

type room struct {
	name    string
	members int
	first   int // its first stream; they are as many as the plan's writers
}

// now is the time in nanoseconds on the clock that the stamps carry.
func (s *Swarm) now() uint64 { return uint64(time.Since(s.epoch)) }

// Connect opens all connections and returns when each one is in its room. Members come first; took is their time.
func Connect(ctx context.Context, plan Plan) (s *Swarm, took time.Duration, err error) {
	poller, err := epoll.Open()
	if err != nil {
		return nil, 0, err
	}
	s = &Swarm{
		plan: plan, poller: poller, epoch: time.Now(), inflater: frame.NewInflater(), buffer: make([]byte, readBuffer),
		conns: make([]conn, plan.Members+plan.Publishers), publishers: make([]publisher, plan.Publishers),
		tally: newTally(),
	}
	s.seat()
	s.connecting = true
	begin := s.now()
	if err = s.open(ctx, 0, plan.Members); err == nil {
		took = time.Duration(s.now() - begin)
		err = s.open(ctx, plan.Members, len(s.conns))
	}
	s.connecting = false
	if err != nil {
		return nil, 0, errors.Join(err, s.Close())
	}
	return s, took, nil
}

// seat gives each member its room and each publisher its streams.
func (s *Swarm) seat() {
	for i := range s.plan.Rooms {
		s.rooms = append(s.rooms, room{
			name:  wire.Room{Warehouse: "bench", Zone: fmt.Sprint("zone-", i)}.String(),
			first: i * s.plan.Writers,
		})
		for k := range s.plan.Writers {
			s.streams = append(s.streams, stream{room: i, publisher: (i*s.plan.Writers + k) % max(s.plan.Publishers, 1)})
		}
	}
	next := make([]uint32, s.plan.Members*s.plan.Writers)
	for i := range s.plan.Members {
		r := i % s.plan.Rooms
		s.rooms[r].members++
		s.conns[i] = conn{room: r, next: next[i*s.plan.Writers:][:s.plan.Writers:s.plan.Writers]}
	}
	for i := range s.publishers {
		c := &s.conns[s.plan.Members+i]
		*c = conn{room: none, publisher: &s.publishers[i]}
		s.publishers[i] = publisher{conn: c, lastID: dialect.FirstID, pending: make(map[int64]message)}
	}
	for i := range s.streams {
		p := &s.publishers[s.streams[i].publisher]
		p.streams = append(p.streams, uint16(i))
	}
}

// open makes the connections from, …, to-1, some at once.
func (s *Swarm) open(ctx context.Context, from, to int) error {
	address := &unix.SockaddrInet4{Port: int(s.plan.Addr.Port()), Addr: s.plan.Addr.Addr().As4()}
	last, progress := s.ready, s.now()
	for next := from; s.ready < to; {
		for ; next < to && next-s.ready < handshakes; next++ {
			if err := s.dial(next, address); err != nil {
				return fmt.Errorf("connection %d of %d: %w", next+1, to, err)
			}
		}
		if err := s.step(ctx, tick); err != nil {
			return err
		}
		switch now := s.now(); {
		case s.failure != nil:
			return s.failure
		case s.ready > last:
			last, progress = s.ready, now
		case now-progress > uint64(patience):
			return fmt.Errorf("%d of %d connections are in their rooms, and for %v none was added", s.ready, to, patience)
		}
	}
	return nil
}

// Idle waits, answering pings.
func (s *Swarm) Idle(ctx context.Context, d time.Duration) error {
	for end := s.now() + uint64(d); ; {
		now := s.now()
		if now >= end {
			return nil
		}
		if err := s.step(ctx, min(tick, time.Duration(end-now))); err != nil {
			return err
		}
	}
}

// Ready returns how many connections are in their rooms.
func (s *Swarm) Ready() int { return s.ready }

// Close ends all connections.
func (s *Swarm) Close() error {
	var errs []error
	for i := range s.conns {
		if c := &s.conns[i]; c.state != unopened && c.state != closed {
			errs = append(errs, unix.Close(c.fd))
			c.state = closed
		}
	}
	return errors.Join(append(errs, s.poller.Close())...)
}

// step handles what happened, waiting for it at most the time given.
func (s *Swarm) step(ctx context.Context, most time.Duration) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	events, err := s.poller.Wait(most)
	if err != nil {
		return err
	}
	for _, e := range events {
		s.handle(&s.conns[e.Token], e.Flags)
	}
	return nil
}

// A tally is what was counted since the last begin.
type tally struct {
	began, last         uint64 // of the first publish and of the last delivery
	published, acked    uint64
	refused             map[string]uint64 // by the server's reason
	delivered, bytes    uint64
	duplicates, swapped uint64
	damaged             uint64
	complaints          map[string]uint64
	ended               map[string]uint64 // connections, by the reason
	latency, late       *latency.Recorder
}

func newTally() tally {
	return tally{
		refused: make(map[string]uint64), complaints: make(map[string]uint64), ended: make(map[string]uint64),
		latency: latency.New(1), late: latency.New(1),
	}
}
