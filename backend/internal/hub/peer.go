package hub

import (
	"strings"
	"unique"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Peer is who is at the other end of a session, as its request said.
type Peer struct {
	// Address is where it is, as limits count it.
	Address string
	// RequestID is that of its handshake, as the log has it; empty for none.
	RequestID string
	agent     unique.Handle[string] // kept once for all that have the same
}

// maxAgent is the most bytes that are kept of a User-Agent.
const maxAgent = 256

// NewPeer returns a peer with a User-Agent, of which 256 bytes are kept.
func NewPeer(address, agent string) Peer {
	p := Peer{Address: address}
	if agent != "" {
		p.agent = unique.Make(strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], ""))
	}
	return p
}

// Agent returns the User-Agent; empty for none.
func (p Peer) Agent() string {
	if p.agent == (unique.Handle[string]{}) {
		return ""
	}
	return p.agent.Value()
}

// Explain says in words why the session is about to end. Only the first call counts.
func (s *Session) Explain(why string) { s.why.CompareAndSwap(nil, &why) }

// Why returns what [Session.Explain] said; empty for nothing.
func (s *Session) Why() string {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return ""
}

// A Position is where a session is in one of its rooms.
type Position struct {
	Room wire.Room
	// Offset is that of the room's newest message here, and Waiting how many messages of the room
	// have not been written to the session's socket yet.
	Offset  wire.Offset
	Waiting int
}

// Positions returns where the session is in its rooms.
func (s *Session) Positions() []Position {
	s.mu.Lock()
	members := append([]*membership(nil), s.rooms...)
	s.mu.Unlock()
	waiting := s.Queue.Waiting()
	positions := make([]Position, len(members))
	for i, m := range members {
		m.room.mu.Lock()
		positions[i] = Position{Room: m.room.name, Offset: m.room.offset, Waiting: waiting[m.room.name]}
		m.room.mu.Unlock()
	}
	return positions
}
