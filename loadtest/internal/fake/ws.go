package fake

import (
	"net/http"
	"slices"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

// serveWS lets a client join the room and answers its echoes.
func (s *Server) serveWS(w http.ResponseWriter, r *http.Request) {
	if !authorized(r, s.faults.Token) {
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
		return
	}
	if !s.letIn() {
		refuse(w, http.StatusServiceUnavailable, "too many connections")
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	m := &member{conn: conn}
	if !s.join(m, r) {
		_ = conn.Close()
		return
	}
	for {
		_, p, err := conn.ReadMessage()
		if err != nil {
			break
		}
		if f, err := wire.DecodeClient(p); err == nil && f.Event == wire.EventEcho {
			s.echo(m, f)
		}
	}
	_ = conn.Close()
	s.mu.Lock()
	s.members = slices.DeleteFunc(s.members, func(o *member) bool { return o == m })
	s.mu.Unlock()
}

func (s *Server) letIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.let++
	return s.faults.Connections == 0 || s.let <= s.faults.Connections
}

// join adds a member to the room if it asked for it, and tells it where the room stands: both at once, so that it misses
// nothing in between.
func (s *Server) join(m *member, r *http.Request) bool {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	hello := wire.Connected{ConnectionID: "c", Rooms: []wire.Position{}, Heartbeat: 30_000, Node: "fake"}
	room, err := wire.NewRoom(q.Get("warehouse"), q.Get("zone"))
	if err == nil && room == Room {
		hello.Rooms = append(hello.Rooms,
			wire.PositionOf(wire.Room{Warehouse: room.Warehouse}, wire.Offset{Epoch: epoch}),
			wire.PositionOf(Room, wire.Offset{Epoch: epoch, N: s.n}))
	}
	m.write(wire.AppendFrame(nil, wire.EventConnected, hello))
	if s.closed {
		return false
	}
	s.members = append(s.members, m)
	return true
}

// echo answers an echo, with the faults of its message.
func (s *Server) echo(m *member, f wire.ClientFrame) {
	seq, hasSeq := sequence(f.Data)
	hit := func(when When) bool { return hasSeq && when != nil && when(seq) }
	answer := func(f wire.ClientFrame) { m.write(wire.AppendAck(nil, f.ID, f.Data)) }
	if hit(s.faults.Lose) {
		return
	}
	s.mu.Lock()
	held := s.echoes[m]
	delete(s.echoes, m)
	if held == nil && hit(s.faults.Swap) {
		s.echoes[m] = &f
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	answer(f)
	if hit(s.faults.Duplicate) {
		answer(f)
	}
	if held != nil {
		answer(*held)
	}
}
