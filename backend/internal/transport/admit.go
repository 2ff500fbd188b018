package transport

import (
	"net/netip"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/requestid"
)

// An Admission is a request that was let in. Leave has to follow.
type Admission struct {
	Query
	Who  *auth.Identity
	gate *Gate
	peer hub.Peer
}

// PeerOf returns who sends a request.
func PeerOf(c echo.Context) hub.Peer {
	p := hub.NewPeer(Address(c), c.Request().UserAgent())
	p.RequestID = requestid.Of(c)
	return p
}

// Open begins the session of who was let in. End has to follow.
func (a *Admission) Open(queue *outbox.Queue) Connection {
	return a.gate.Open(a.User, a.peer, queue, nil)
}

// Admit lets in who asks for a stream or a poll, or refuses the request over HTTP: its query, its
// token, the rooms that the token permits, and the limits of rate and of connections. (WebSocket
// tells some of this over the connection, since a browser tells its page nothing about a refused
// handshake.)
func (g *Gate) Admit(c echo.Context) (*Admission, error) {
	r := c.Request()
	q, err := ParseQuery(r)
	if err != nil {
		return nil, g.Refuse(err, requestid.Attr(c))
	}
	who, err := g.Identify(c, &q)
	if err != nil {
		return nil, g.Refuse(err, requestid.Attr(c))
	}
	if err := q.Permit(who); err != nil {
		return nil, g.Refuse(err, requestid.Attr(c))
	}
	if err := g.AllowRequest(c, who.User, 1+g.NewRooms(q)); err != nil {
		return nil, g.Refuse(err, requestid.Attr(c))
	}
	a := &Admission{Query: q, Who: who, gate: g, peer: PeerOf(c)}
	if err := g.EnterUser(who.User); err != nil {
		return nil, g.Refuse(err, requestid.Attr(c))
	}
	if err := g.Enter(a.peer.Address, requestid.Attr(c)); err != nil {
		g.LeaveUser(who.User)
		return nil, err
	}
	return a, nil
}

// NewRooms returns how many rooms of a query this instance is not subscribed to yet, which is what
// joining costs. Those of a poll that goes on linger since the one before.
func (g *Gate) NewRooms(q Query) (n int) {
	for _, j := range q.Joins {
		if !g.Hub.HasRoom(j.Room) {
			n++
		}
	}
	return n
}

// Leave gives back what the admission holds of the limits.
func (a *Admission) Leave() {
	a.gate.LeaveUser(a.Who.User)
	a.gate.Leave(a.peer.Address)
}

// Address returns where a request comes from, as limits count it: an IPv6 network of 64 bits is one
// place, since whoever is there has as many addresses as they like.
func Address(c echo.Context) string { return network(c.RealIP()) }

func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() || a.Is4In6() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
