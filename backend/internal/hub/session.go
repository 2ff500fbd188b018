package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Session is one connection, whatever its transport.
type Session struct {
	// Static after Open.
	ID     string
	User   string
	Opened time.Time
	Queue  *outbox.Queue
	Peer   Peer
	hub    *Hub
	ping   *outbox.Frame // sent with each heartbeat; nil for none
	beat   int           // its slot among the hub's beats

	received atomic.Uint64 // frames from the client
	read     atomic.Uint64 // bytes from the client
	pinged   atomic.Int64  // when, in µs since 1970; 0 when the ping has been answered
	rtt      atomic.Int64  // of the last ping, in µs
	why      atomic.Pointer[string]

	joining sync.Mutex // one Join or Leave at a time

	mu     sync.Mutex
	rooms  []*membership
	closed bool
}

// A membership is one session in one room.
type membership struct {
	room    *room
	session *Session

	index int // its place there; guarded by the room's mutex
}

// Open adds a session of a peer that nothing is known of; see [Hub.OpenFrom].
func (h *Hub) Open(id, user string, queue *outbox.Queue, ping *outbox.Frame) *Session {
	return h.OpenFrom(Peer{}, id, user, queue, ping)
}

// OpenFrom adds a session, in no room yet. ping, if not nil, is sent beside each heartbeat.
func (h *Hub) OpenFrom(peer Peer, id, user string, queue *outbox.Queue, ping *outbox.Frame) *Session {
	s := &Session{ID: id, User: user, Opened: time.Now(), Queue: queue, Peer: peer, hub: h, ping: ping}
	h.mu.Lock()
	h.sessions[s] = struct{}{}
	h.mu.Unlock()
	h.count.Add(1)
	h.heartbeats.add(s)
	return s
}

// A Join asks for one room, and for what was missed there when After is known.
type Join struct {
	Room  wire.Room
	After wire.Offset
	// Retained asks for the retained events too when After is known: a connection had broken before
	// all of them came.
	Retained bool
}

// Join adds the session to rooms. announce is called once, when all of them can be joined, with the
// place of each: its newest offset at that time, and how many retained events follow. What it
// pushes comes before anything of these rooms. Then follow, room by room, the retained events, if
// After is not known or they are asked for; the messages after After; and everything newer. Joining
// a room again sends what was asked for again.
func (s *Session) Join(ctx context.Context, joins []Join, announce func(wire.Cursor)) error {
	s.joining.Lock()
	defer s.joining.Unlock()
	if err := s.check(joins); err != nil {
		return err
	}
	rooms := make([]*room, len(joins))
	releaseAll := func() {
		for _, r := range rooms {
			if r != nil {
				s.hub.release(r)
			}
		}
	}
	for i, j := range joins {
		if first(joins, i) != i {
			continue // named twice, joined once
		}
		var err error
		if rooms[i], err = s.hub.acquire(ctx, j.Room); err != nil {
			releaseAll()
			return err
		}
	}
	places := make(wire.Cursor, len(joins))
	retained := make([][]*outbox.Frame, len(joins))
	for i, r := range rooms {
		if r == nil {
			places[i] = places[first(joins, i)]
			continue
		}
		s.remove(r) // joined again: nothing of the old membership may come between what follows
		places[i], retained[i] = s.hub.place(r, joins[i])
	}
	announce(places)
	for i, r := range rooms {
		if r == nil {
			continue
		}
		if err := s.catchUp(ctx, r, cmp.Or(joins[i].After, places[i].Offset), retained[i], !joins[i].After.IsZero()); err != nil {
			releaseAll()
			return err
		}
		rooms[i] = nil // the membership has its count now
	}
	return nil
}

// first returns the index of the first join of the room that joins[i] is for.
func first(joins []Join, i int) int {
	return slices.IndexFunc(joins, func(j Join) bool { return j.Room == joins[i].Room })
}

// check refuses joins that would bring the session into too many rooms.
func (s *Session) check(joins []Join) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.rooms)
	for i, j := range joins {
		if first(joins, i) == i && s.findLocked(j.Room) == nil {
			n++
		}
	}
	if most := s.hub.opts.MaxRooms; n > most {
		return wire.Errorf(wire.CodeLimitReached, "a connection may be in at most %d rooms: unsubscribe from one first", most)
	}
	return nil
}

// catchUp makes the session a member once it has the retained events and everything up to the
// room's offset. It takes over the caller's count of the room when it returns nil.
func (s *Session) catchUp(ctx context.Context, r *room, after wire.Offset, retained []*outbox.Frame, resumed bool) error {
	began, replayed := time.Now(), len(retained)
	if err := s.pushAll(ctx, retained); err != nil {
		return err
	}
	for pause := time.Millisecond; ; {
		if err := s.waitLowWatermark(ctx); err != nil {
			return err
		}
		done, missed, err := s.tryJoinLive(r, after)
		if done {
			s.hub.opts.Meter.Joined(s.Queue.Transport(), resumed, replayed+missed, time.Since(began))
		}
		if done || err != nil {
			return err
		}
		frames, gap, err := s.hub.replays.framesAfter(ctx, r.name, after, r.epoch())
		if err != nil {
			return err
		}
		frames = r.delivered(frames)
		if gap != nil {
			s.Queue.Push(s.hub.gapFrame(r.name, *gap))
			after = gap.To
		}
		if err := s.pushAll(ctx, frames); err != nil {
			return err
		}
		replayed += len(frames)
		if n := len(frames); n > 0 {
			after = frames[n-1].Message.Offset
		}
		if gap != nil || len(frames) > 0 {
			continue
		}
		// The client, or the history, is ahead of what the broker has delivered here: another
		// instance was faster.
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestEntryPause)
		case <-ctx.Done():
			return errReplayTooLong()
		}
	}
}

// epoch is that of the room's newest message here.
func (r *room) epoch() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.offset.Epoch
}

// longestEntryPause is between two looks at whether the broker has delivered what a session that
// joins has seen already.
const longestEntryPause = 50 * time.Millisecond

func errReplayTooLong() error {
	return &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 1000,
		Message: "the replay took too long: subscribe again with the last offset"}
}

// waitLowWatermark waits until the client's queue is at its low watermark, so that a replay never
// trips the slow-consumer limit.
func (s *Session) waitLowWatermark(ctx context.Context) error {
	select {
	case <-s.Queue.AtLowWatermark():
		return nil
	case <-ctx.Done():
		return errReplayTooLong()
	}
}

// pushAll sends frames at the client's pace.
func (s *Session) pushAll(ctx context.Context, frames []*outbox.Frame) error {
	for _, f := range frames {
		if err := s.waitLowWatermark(ctx); err != nil {
			return err
		}
		if s.Queue.Push(f) != nil {
			return ErrSessionClosed
		}
	}
	return nil
}

// delivered returns those of the frames that the room's members have. What is newer comes to all of
// them at once: a session that ran ahead would wait for the rest until they are there.
func (r *room) delivered(frames []*outbox.Frame) []*outbox.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(frames)
	for n > 0 && frames[n-1].Message.Offset.Epoch == r.offset.Epoch && frames[n-1].Message.Offset.N > r.offset.N {
		n--
	}
	return frames[:n]
}

// place returns where the room stands, and the retained events that the join has to get: those that
// don't come in their turn.
func (h *Hub) place(r *room, j Join) (p wire.Place, retained []*outbox.Frame) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	p = wire.Place{Room: r.name, Offset: r.offset}
	if !j.After.IsZero() && !j.Retained {
		return p, nil
	}
	upTo := r.offset.N
	if j.After.Epoch == r.offset.Epoch {
		upTo = j.After.N
	}
	for _, f := range r.retained {
		if f.n <= upTo && !h.isExpired(f, now) {
			retained = append(retained, f.frame)
		}
	}
	p.Retained = len(retained)
	return p, retained
}

// tryJoinLive adds the session if the room's recent frames hold all that it lacks, which is lacking
// messages.
func (s *Session) tryJoinLive(r *room, after wire.Offset) (done bool, lacking int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after.Epoch != r.offset.Epoch || after.N > r.offset.N {
		return false, 0, nil
	}
	lacking = int(r.offset.N - after.N)
	if lacking > len(r.recent) {
		return false, 0, nil
	}
	missed, weight := r.recent[len(r.recent)-lacking:], 0
	for _, f := range missed {
		weight += cost(f.frame)
	}
	if lacking > 1 && weight > s.hub.opts.Pool.MaxQueuedBytes()/4 {
		return false, 0, nil // too much at once for a small bound: page by page then
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, 0, ErrSessionClosed
	}
	for _, f := range missed {
		s.Queue.Push(f.frame.Replay())
	}
	m := &membership{room: r, session: s, index: len(r.queues)}
	s.Queue.Watch(r.load)
	r.queues = append(r.queues, s.Queue)
	r.owners = append(r.owners, m)
	s.rooms = append(s.rooms, m)
	return true, lacking, nil
}

// ErrSessionClosed is why a session could not join: it has ended meanwhile, as when the client hung
// up. It is nobody's fault.
var ErrSessionClosed = &wire.Error{Code: wire.CodeUnavailable, Message: "the connection is closing: reconnect and resume", RetryAfter: 1000}

func (s *Session) findLocked(name wire.Room) *membership {
	for _, m := range s.rooms {
		if m.room.name == name {
			return m
		}
	}
	return nil
}

// Leave takes the session out of a room. The error is a *wire.Error of wire.CodeNotSubscribed.
func (s *Session) Leave(name wire.Room) error {
	s.joining.Lock()
	defer s.joining.Unlock()
	s.mu.Lock()
	m := s.findLocked(name)
	s.mu.Unlock()
	if m == nil {
		return wire.Errorf(wire.CodeNotSubscribed, "not subscribed to %s", name)
	}
	s.remove(m.room)
	return nil
}

// remove ends a membership, if there is one, and its count of the room.
func (s *Session) remove(r *room) {
	r.mu.Lock()
	s.mu.Lock()
	m := s.findLocked(r.name)
	if m != nil {
		for i := range s.rooms {
			if s.rooms[i] == m {
				s.rooms = append(s.rooms[:i], s.rooms[i+1:]...)
				break
			}
		}
		last := len(r.queues) - 1
		r.queues[m.index], r.owners[m.index] = r.queues[last], r.owners[last]
		r.owners[m.index].index = m.index
		r.queues[last], r.owners[last] = nil, nil
		r.queues, r.owners = r.queues[:last], r.owners[:last]
		s.Queue.Unwatch(r.load)
	}
	s.mu.Unlock()
	r.mu.Unlock()
	if m != nil {
		s.hub.release(r)
	}
}

// Close takes the session out of all rooms and out of the hub. The queue is the transport's to end.
func (s *Session) Close() {
	s.mu.Lock()
	s.closed = true
	rooms := append([]*membership(nil), s.rooms...)
	s.mu.Unlock()
	for _, m := range rooms {
		s.remove(m.room)
	}
	h := s.hub
	h.heartbeats.remove(s)
	h.mu.Lock()
	_, known := h.sessions[s]
	delete(h.sessions, s)
	h.mu.Unlock()
	if known {
		h.count.Add(-1)
	}
}

// Received counts a frame from the client.
func (s *Session) Received() { s.received.Add(1) }

// ReceivedBytes counts bytes from the client, as they come from its connection.
func (s *Session) ReceivedBytes(n int) { s.read.Add(uint64(n)) }

// Ponged takes the answer to a ping, and reports whether there was one to answer.
func (s *Session) Ponged(at time.Time) bool {
	sent := s.pinged.Swap(0)
	if sent != 0 {
		s.rtt.Store(at.UnixMicro() - sent)
	}
	return sent != 0
}

// A SessionStats is the account of one connection.
type SessionStats struct {
	outbox.Stats
	Received uint64        // frames from the client
	Read     uint64        // bytes from the client; 0 where the transport has only requests
	Duration time.Duration // since it was opened
	RTT      time.Duration // of the last ping that was answered, from the queue to the client and back; 0 before the first
}

// SessionStats returns the account as it stands.
func (s *Session) SessionStats() SessionStats {
	return SessionStats{Stats: s.Queue.Stats(), Received: s.received.Load(), Read: s.read.Load(), Duration: time.Since(s.Opened),
		RTT: time.Duration(s.rtt.Load()) * time.Microsecond}
}

// Rooms returns the rooms that the session is in.
func (s *Session) Rooms() []wire.Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := make([]wire.Room, len(s.rooms))
	for i, m := range s.rooms {
		rooms[i] = m.room.name
	}
	return rooms
}

// Connections returns how many sessions are open.
func (h *Hub) Connections() int { return int(h.count.Load()) }

// Rooms returns how many rooms have members here.
func (h *Hub) Rooms() int { return int(h.activeRooms.Load()) }

// A Counts counts who is here.
type Counts struct {
	Connections int
	// Warehouses counts the sessions that are in at least one room of a warehouse, Zones those in
	// each zone's room.
	Warehouses map[string]int
	Zones      map[wire.Room]int
	Transports map[string]int
	// Sent is how many messages the open sessions were sent, Lived the sum of how long they are
	// open.
	Sent  uint64
	Lived time.Duration
}

// Counts returns the counts of now.
func (h *Hub) Counts() Counts {
	c := Counts{Warehouses: map[string]int{}, Zones: map[wire.Room]int{}, Transports: map[string]int{}}
	now := time.Now()
	in := map[string]bool{}
	for _, s := range h.Sessions() {
		c.Connections++
		c.Transports[s.Queue.Transport()]++
		c.Sent += s.Queue.Stats().Messages
		c.Lived += now.Sub(s.Opened)
		clear(in)
		for _, r := range s.Rooms() {
			if !in[r.Warehouse] {
				in[r.Warehouse] = true
				c.Warehouses[r.Warehouse]++
			}
			if r.Zone != "" {
				c.Zones[r]++
			}
		}
	}
	return c
}

// OldestFirst puts sessions into the order in which they were opened: one that repeats.
func OldestFirst(all []*Session) {
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Or(a.Opened.Compare(b.Opened), strings.Compare(a.ID, b.ID)) })
}

// Sessions returns the sessions that are open now, in no order.
func (h *Hub) Sessions() []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*Session, 0, len(h.sessions))
	for s := range h.sessions {
		all = append(all, s)
	}
	return all
}
