package api

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

// A page of connections has so many unless the caller says otherwise, and never more than maxPage.
const (
	defaultPage = 100
	maxPage     = 1000
)

// A connection is the account of one, as operators see it. Durations are in milliseconds.
type connection struct {
	ID          string   `json:"connectionId"`
	User        string   `json:"userId,omitempty"`
	Rooms       []string `json:"rooms"`
	Duration    int64    `json:"duration"`
	Received    uint64   `json:"framesReceived"`
	Sent        uint64   `json:"messagesSent"`
	SentBytes   uint64   `json:"bytesSent"`
	QueuedBytes int      `json:"queuedBytes"`
	Slow        bool     `json:"slow"`
	// RTT is missing until the first ping was answered.
	RTT float64 `json:"roundTripTime,omitempty"`
}

// connections answers with the connections of this instance in the order of their ids, page by page.
func (a *API) connections(c echo.Context) error {
	wanted, err := parseSelection(c)
	if err != nil {
		return err
	}
	sessions := slices.DeleteFunc(a.Sessions(), func(s *hub.Session) bool { return !wanted.matches(s) })
	slices.SortFunc(sessions, func(x, y *hub.Session) int { return strings.Compare(x.ID, y.ID) })
	answer := struct {
		Node        string       `json:"node"`
		Total       int          `json:"total"` // after the place where the page begins
		Connections []connection `json:"connections"`
		Next        string       `json:"next,omitempty"`
	}{Node: a.Node, Total: len(sessions), Connections: []connection{}}
	if len(sessions) > wanted.limit {
		sessions = sessions[:wanted.limit]
		answer.Next = sessions[len(sessions)-1].ID
	}
	for _, s := range sessions {
		answer.Connections = append(answer.Connections, account(s))
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, answer)
}

func account(s *hub.Session) connection {
	t := s.Tracking()
	rooms := []string{}
	for _, r := range s.Rooms() {
		rooms = append(rooms, r.String())
	}
	return connection{ID: s.ID, User: s.User, Rooms: rooms, Duration: t.Duration.Milliseconds(), Received: t.Received,
		Sent: t.Messages, SentBytes: t.Bytes, QueuedBytes: t.Waiting, Slow: t.Slow, RTT: float64(t.RTT.Microseconds()) / 1000}
}

// A selection is what a request asks for. What is empty is not asked for.
type selection struct {
	room, user, after string
	slow              bool
	limit             int
}

func parseSelection(c echo.Context) (s selection, err error) {
	s = selection{user: c.QueryParam("userId"), after: c.QueryParam("after"), limit: defaultPage}
	if w, z := c.QueryParam("warehouse"), c.QueryParam("zone"); w != "" || z != "" {
		room, err := wire.NewRoom(w, z)
		if err != nil {
			return s, err
		}
		s.room = room.String()
	}
	if text := c.QueryParam("slow"); text != "" {
		if s.slow, err = strconv.ParseBool(text); err != nil {
			return s, wire.Errorf(wire.CodeInvalidData, "slow is %.20q: say true, or leave it out", text)
		}
	}
	if text := c.QueryParam("limit"); text != "" {
		if s.limit, err = strconv.Atoi(text); err != nil || s.limit < 1 || s.limit > maxPage {
			return s, wire.Errorf(wire.CodeInvalidData, "limit is %.20q: give a number from 1 to %d", text, maxPage)
		}
	}
	return s, nil
}

func (w selection) matches(s *hub.Session) bool {
	return cmp.Compare(s.ID, w.after) > 0 && (w.user == "" || s.User == w.user) && (!w.slow || s.Queue.Stats().Slow) &&
		(w.room == "" || slices.ContainsFunc(s.Rooms(), func(r wire.Room) bool { return r.String() == w.room }))
}
