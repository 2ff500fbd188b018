package fake

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/wire"
)

// serveWS lets a client join the room and answers its echoes.
func (s *Server) serveWS(w http.ResponseWriter, r *http.Request) {
	if authorized(r, s.faults.Token) && !s.letIn() {
		refuse(w, http.StatusServiceUnavailable, "too many connections")
		return
	}
	if !s.admit(w, r) {
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	m := &member{
		put: func(p []byte) { _ = conn.WriteMessage(websocket.TextMessage, p) },
		end: func(code wire.CloseCode) {
			if code != 0 {
				_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), "restarting"), time.Now().Add(time.Second))
			}
			_ = conn.Close()
		},
	}
	if !s.enter(m, r) {
		return
	}
	for {
		_, p, err := conn.ReadMessage()
		if err != nil {
			break
		}
		switch f, err := wire.DecodeClient(p); {
		case err != nil:
		case f.Event == wire.EventEcho:
			s.echo(m, f)
		case f.Event == wire.EventPublish:
			m.write(s.clientPublish(f))
		}
	}
	_ = conn.Close()
	s.leave(m)
}

func (s *Server) leave(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(o *member) bool { return o == m })
}

func (s *Server) letIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.let++
	return s.faults.Connections == 0 || s.let <= s.faults.Connections
}

// enter lets a member into the room: at its newest message, or with a cursor from where it says.
func (s *Server) enter(m *member, r *http.Request) bool {
	after := cursor(r)
	switch {
	case after != "" && s.faults.Stubborn:
		m.end(wire.CloseRestart)
		return false
	case after != "":
		s.resume(m, after)
		return true
	}
	if !s.join(m, r) {
		m.end(0)
		return false
	}
	return true
}

// join adds a member to the room if its address asks for it, and tells it where the room stands:
// both at once, so that it misses nothing in between.
func (s *Server) join(m *member, r *http.Request) bool {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	hello := wire.Connected{ConnectionID: "c", Rooms: []wire.Position{}, Heartbeat: 30_000, Node: "fake"}
	room, err := wire.NewRoom(q.Get("warehouse"), q.Get("zone"))
	asked := err == nil && room == Room
	if asked {
		hello.Rooms = append(hello.Rooms,
			wire.PositionOf(wire.Room{Warehouse: room.Warehouse}, wire.Offset{Epoch: s.epoch}),
			wire.PositionOf(Room, wire.Offset{Epoch: s.epoch, N: s.n}))
	}
	m.write(wire.AppendFrame(nil, wire.EventConnected, hello))
	if s.closed {
		return false
	}
	if asked {
		s.members = append(s.members, m)
	}
	return true
}

// echo answers an echo, with the faults of its message.
func (s *Server) echo(m *member, f wire.ClientFrame) {
	d := newDelivery(f.Event, f.Data)
	if d.hit(s.faults.Drop) {
		m.end(0)
		return
	}
	answer := func(f wire.ClientFrame) { m.write(wire.AppendAck(nil, f.ID, f.Data)) }
	if d.hit(s.faults.Lose) {
		return
	}
	s.mu.Lock()
	held := s.echoes[m]
	delete(s.echoes, m)
	if held == nil && d.hit(s.faults.Swap) {
		s.echoes[m] = &f
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	answer(f)
	if d.hit(s.faults.Duplicate) {
		answer(f)
	}
	if held != nil {
		answer(*held)
	}
}

// serveFrame answers an echo or a publish that a client posts, with the faults of its message:
// Drop ends the connection, Refuse says no, Hold lets it wait.
func (s *Server) serveFrame(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w, r) {
		return
	}
	p, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f, err := wire.DecodeClient(p)
	d := newDelivery(f.Event, f.Data)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(wire.AppendError(nil, f.ID, f.HasID, err))
	case f.Event == wire.EventPublish:
		_, _ = w.Write(s.clientPublish(f))
	case d.hit(s.faults.Drop):
		panic(http.ErrAbortHandler)
	case d.hit(s.faults.Refuse):
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(wire.AppendError(nil, f.ID, f.HasID, wire.Errorf(wire.CodeRateLimited, "too many frames")))
	case d.hit(s.faults.Hold):
		select {
		case <-s.released:
		case <-r.Context().Done():
		}
		_, _ = w.Write(wire.AppendAck(nil, f.ID, f.Data))
	default:
		_, _ = w.Write(wire.AppendAck(nil, f.ID, f.Data))
		if d.hasSeq {
			s.release()
		}
	}
}

// release counts an echo that was answered, for those that are held.
func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.posted++; s.posted == s.faults.HoldFor {
		close(s.released)
	}
}

// clientPublish publishes a client's message and returns the answer.
func (s *Server) clientPublish(f wire.ClientFrame) []byte {
	var in struct {
		Event string
		Data  json.RawMessage
	}
	if err := json.Unmarshal(f.Data, &in); err != nil {
		return wire.AppendError(nil, f.ID, f.HasID, err)
	}
	d := newDelivery(in.Event, in.Data)
	if s.faults.ClientsListen {
		return wire.AppendError(nil, f.ID, f.HasID, wire.Errorf(wire.CodeForbidden, "clients may not publish"))
	}
	if d.hit(s.faults.Refuse) {
		return wire.AppendError(nil, f.ID, f.HasID, wire.Errorf(wire.CodeUnavailable, "the broker is away"))
	}
	return wire.AppendAck(nil, f.ID, wire.PositionOf(Room, s.publish(d)))
}
