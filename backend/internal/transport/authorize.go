package transport

import (
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// Identify returns who sends a request, by its token, and notes in the query what the token says:
// the user, and which rooms are left out. It costs a frame of the address. The error is a
// *wire.Error.
func (g *Gate) Identify(c echo.Context, q *Query) (*auth.Identity, error) {
	if err := g.AllowAddress(c); err != nil {
		q.User = ""
		return nil, err
	}
	visit := auth.Visit{Address: Address(c)}
	for _, j := range q.Joins {
		visit.Rooms = append(visit.Rooms, j.Room)
	}
	who, err := g.Guard.Client(c.Request(), visit)
	if err != nil {
		q.User = "" // nobody is named by a stranger
		if wire.AsError(err).Code == wire.CodeUnauthenticated {
			c.Response().Header().Set("WWW-Authenticate", "Bearer")
		}
		return nil, err
	}
	q.User = who.UserOr(q.User)
	return who, nil
}

// Permit reports whether who may join the rooms of the query: at once, so that nothing has to be
// checked when messages are delivered. The room of the warehouse that comes with a zone is left out
// when only the zone is permitted.
func (q *Query) Permit(who *auth.Identity) error {
	for _, j := range q.Joins {
		if err := who.MayJoin(j.Room); err != nil && j.Room != q.implied {
			return err
		}
	}
	q.Joins = slices.DeleteFunc(q.Joins, func(j hub.Join) bool { return j.Room == q.implied && who.MayJoin(j.Room) != nil })
	return nil
}

// holders are the open sessions of those who came with a token.
type holders struct {
	mu sync.Mutex
	of map[*hub.Session]*auth.Identity
}

func (h *holders) set(s *hub.Session, who *auth.Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[*hub.Session]*auth.Identity{}
	}
	h.of[s] = who
}

// remove removes a session, and returns who held it; nil for one without a token.
func (h *holders) remove(s *hub.Session) *auth.Identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	who := h.of[s]
	delete(h.of, s)
	return who
}

// Authorize makes the session that of who: it ends when their token expires or is revoked. A
// further call puts another token in the place of the first.
func (s *Connection) Authorize(who *auth.Identity) {
	s.expireAt(who.Until())
	if who.HasToken() {
		s.gate.holders.set(s.Session, who)
		if s.gate.Options.Limits.ReplaceOldest {
			s.gate.userSessions.add(who.User, s.Session)
		}
		// Whoever revokes it from here on finds the session; who did before is found here.
		if err := s.gate.Guard.Recheck(who); err != nil {
			s.Explain(err.Error())
			s.Queue.Close(wire.CloseUnauthenticated, err.Error())
		}
	}
}

// CloseRevoked closes the connections of those whose token was revoked, and returns how many.
func (g *Gate) CloseRevoked() (closed int) {
	g.holders.mu.Lock()
	var revoked []*hub.Session
	for s, who := range g.holders.of {
		if g.Guard.Recheck(who) != nil {
			revoked = append(revoked, s)
		}
	}
	g.holders.mu.Unlock()
	for _, s := range revoked {
		if s.Queue.Code() == 0 {
			closed++
		}
		s.Explain(auth.ErrRevoked.Error())
		s.Queue.Close(wire.CloseUnauthenticated, auth.ErrRevoked.Error())
	}
	return closed
}
