package transport

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Connection is one client's connection to the hub, with what all transports do for it.
type Connection struct {
	*hub.Session
	gate   *Gate
	expiry *time.Timer
}

// Open begins a session; ping, if not nil, goes beside each heartbeat. End has to follow.
func (g *Gate) Open(user string, peer hub.Peer, queue *outbox.Queue, ping *outbox.Frame) Connection {
	s := Connection{Session: g.Hub.OpenFrom(peer, "c-"+rand.Text()[:16], user, queue, ping), gate: g}
	g.counter(queue.Transport()).Add(1)
	g.Metrics.Opened.WithLabelValues(queue.Transport()).Inc()
	return s
}

// IsOpen reports whether the session was begun.
func (s *Connection) IsOpen() bool { return s.Session != nil }

// expireAt closes the connection when its client's token expires; never when t is zero.
func (s *Connection) expireAt(t time.Time) {
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	if !t.IsZero() {
		session := s.Session
		s.expiry = time.AfterFunc(time.Until(t), func() {
			session.Explain("the token has expired")
			session.Queue.Close(wire.CloseUnauthenticated, "the token has expired: connect with a new one")
		})
	}
}

// End ends the session, because its client is not read any more.
func (s *Connection) End() {
	g, queue := s.gate, s.Queue
	queue.Hangup(wire.CloseGoingAway)
	s.expireAt(time.Time{})
	if who := g.holders.remove(s.Session); who != nil {
		g.userSessions.remove(who.User, s.Session)
	}
	code := queue.Code()
	g.Metrics.Closed.WithLabelValues(queue.Transport(), code.String()).Inc() // first, so that who sees it gone sees why
	g.counter(queue.Transport()).Add(-1)
	level := slog.LevelInfo
	if queue.Transport() == Poll {
		level = slog.LevelDebug // its connection goes on
	}
	logged, remembered := g.closedLog.Enabled(context.Background(), level), g.Closures != nil && queue.Transport() != Poll
	if !logged && !remembered {
		s.Close()
		return
	}
	rooms, t := s.Rooms(), s.SessionStats()
	s.Close()
	if remembered {
		g.Closures.Closed(s.Session, code, rooms, t)
	}
	if !logged {
		return
	}
	var names []string
	for _, room := range rooms[:min(len(rooms), maxRoomsLogged)] {
		names = append(names, room.String())
	}
	g.closedLog.Log(context.Background(), level, "connection closed", "connection", s.ID, "transport", queue.Transport(),
		"code", uint16(code), "reason", code.String(), "user", s.User, "address", s.Peer.Address, "rooms", names,
		"more_rooms", len(rooms)-len(names), "after", t.Duration, "received", t.Received, "sent", t.Messages, "bytes", t.Bytes, "rtt", t.RTT,
		"request_id", s.Peer.RequestID)
}

// maxRoomsLogged is how many rooms the line of a closed connection names.
const maxRoomsLogged = 8

// FrameLimits is what clients are told of the limits of their frames.
func (g *Gate) FrameLimits() *wire.Limits {
	return &wire.Limits{FrameBytes: g.MaxFrameBytes, Frames: wire.Rate(g.Limits().Frames)}
}

// Connected is the first frame of a session, which has joined rooms at these places.
func (s *Connection) Connected(places wire.Cursor) *outbox.Frame {
	rooms := make([]wire.Position, len(places))
	for i, p := range places {
		rooms[i] = p.Position()
	}
	data := wire.Connected{ConnectionID: s.ID, Rooms: rooms, Node: s.gate.Node,
		Heartbeat: s.gate.Heartbeat.Milliseconds(), ServerTime: time.Now().UnixMilli(), Limits: s.gate.FrameLimits(), Broker: s.gate.Hub.BrokerState(),
		Protocol: wire.ProtocolVersion}
	return outbox.NewControl(wire.EventConnected, wire.AppendFrame(nil, wire.EventConnected, data))
}
