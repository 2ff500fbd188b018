// Package connadmin lists and disconnects the connections of all instances, for operators.
//
//	operator ── api ──▶ Client ── cluster.Ask ──▶ Handler of every instance ──▶ the hub's sessions
//	                      ◀── pages, merged ─────────────┘
package connadmin

import (
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// MaxPage is the most connections in one page.
	MaxPage = 1000
	// MaxIDs is the most connections that a selection names.
	MaxIDs = 100
)

// A Selection selects connections. An empty field does not matter; the zero value selects all.
type Selection struct {
	ID   string `json:"id,omitempty"`
	Room string `json:"room,omitempty"` // in this room
	User string `json:"user,omitempty"`
	Slow bool   `json:"slow,omitempty"`
	Node string `json:"node,omitempty"` // at the instance of this name
	Filter
	// Within limits it to rooms of these warehouses: listed are connections in at least one such
	// room, without their other rooms, and disconnected are those that are in no other. Empty for
	// no limit.
	Within []string `json:"within,omitempty"`
	// After leaves out those whose ID is not greater; Limit bounds a page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// SelectsAll reports whether the selection leaves out no connection.
func (s Selection) SelectsAll() bool {
	return s.ID == "" && s.Room == "" && s.User == "" && !s.Slow && s.Node == "" && s.Filter.selectsAll()
}

// A Connection is one as operators see it. Durations are in milliseconds.
type Connection struct {
	ID          string   `json:"connectionId"`
	Node        string   `json:"node"`
	Address     string   `json:"address,omitempty"`
	Agent       string   `json:"userAgent,omitempty"`
	Opened      int64    `json:"since"` // ms since 1970
	User        string   `json:"userId,omitempty"`
	Transport   string   `json:"transport"`
	Rooms       []string `json:"rooms"`
	Duration    int64    `json:"duration"`
	Received    uint64   `json:"framesReceived"`
	Sent        uint64   `json:"messagesSent"`
	SentBytes   uint64   `json:"bytesSent"`
	ReadBytes   uint64   `json:"bytesReceived"`
	QueuedBytes int      `json:"queuedBytes"`
	Slow        bool     `json:"slow"`
	// RTT is missing until the first ping was answered.
	RTT float64 `json:"roundTripTime,omitempty"`
}

// A Page is part of a list, in the order of its sorting, or of the IDs. It is also what one
// instance answers.
type Page struct {
	Total       int          `json:"total"` // after the place where the page begins
	Connections []Connection `json:"connections"`
	// Next is what to continue after; empty at the end.
	Next string `json:"next,omitempty"`
	// NextValue goes with Next in lists that are sorted otherwise than by the IDs.
	NextValue int64 `json:"nextValue,omitempty"`
}

// merge merges the pages of several instances into one of at most limit connections.
func merge(pages []Page, wanted Selection) Page {
	limit := wanted.Limit
	all := Page{Connections: []Connection{}}
	for _, p := range pages {
		all.Total += p.Total
		all.Connections = append(all.Connections, p.Connections...)
	}
	slices.SortFunc(all.Connections, wanted.compare)
	if len(all.Connections) > limit {
		all.Connections = all.Connections[:limit]
	}
	if n := len(all.Connections); all.Total > n && n > 0 {
		all.Next, all.NextValue = all.Connections[n-1].ID, wanted.value(&all.Connections[n-1])
	}
	return all
}

// list returns a page of the sessions of one instance.
func list(node string, sessions []*hub.Session, wanted Selection) Page {
	switch {
	case len(wanted.Show) > 0:
		return show(node, sessions, wanted)
	case wanted.isSorted():
		return listSorted(node, sessions, wanted)
	}
	sessions = filter(node, sessions, wanted)
	page := Page{Total: len(sessions), Connections: []Connection{}}
	if len(sessions) > wanted.Limit {
		sessions = sessions[:wanted.Limit]
		page.Next = sessions[len(sessions)-1].ID
	}
	for _, s := range sessions {
		page.Connections = append(page.Connections, describe(node, s, wanted))
	}
	return page
}

// within reports whether the selection is not limited to other warehouses than the room's.
func (w Selection) within(r wire.Room) bool {
	return len(w.Within) == 0 || slices.Contains(w.Within, r.Warehouse)
}

// wholly reports whether the limit of the selection takes in everything that a session is in.
func (w Selection) wholly(s *hub.Session) bool {
	return len(w.Within) == 0 || len(s.Rooms()) > 0 && !slices.ContainsFunc(s.Rooms(), func(r wire.Room) bool { return !w.within(r) })
}

// filter returns the selected sessions in the order of their IDs.
func filter(node string, sessions []*hub.Session, wanted Selection) []*hub.Session {
	selected := slices.DeleteFunc(sessions, func(s *hub.Session) bool { return !wanted.matches(node, s) })
	slices.SortFunc(selected, func(x, y *hub.Session) int { return strings.Compare(x.ID, y.ID) })
	return selected
}

func (w Selection) matches(node string, s *hub.Session) bool {
	return (w.isSorted() || s.ID > w.After) && w.Filter.matches(w, s) && (w.ID == "" || s.ID == w.ID) && (w.User == "" || s.User == w.User) && (w.Node == "" || w.Node == node) &&
		(!w.Slow || s.Queue.Stats().Slow) &&
		(w.Room == "" && len(w.Within) == 0 ||
			slices.ContainsFunc(s.Rooms(), func(r wire.Room) bool { return (w.Room == "" || r.String() == w.Room) && w.within(r) }))
}

func describe(node string, s *hub.Session, wanted Selection) Connection {
	t := s.SessionStats()
	rooms := []string{}
	for _, r := range s.Rooms() {
		if wanted.within(r) {
			rooms = append(rooms, r.String())
		}
	}
	return Connection{ID: s.ID, Node: node, User: s.User, Address: s.Peer.Address, Agent: s.Peer.Agent(), Opened: s.Opened.UnixMilli(), Transport: s.Queue.Transport(), Rooms: rooms,
		Duration: t.Duration.Milliseconds(), Received: t.Received, ReadBytes: t.Read,
		Sent: t.Messages, SentBytes: t.Bytes, QueuedBytes: t.QueuedBytes, Slow: t.Slow, RTT: float64(t.RTT.Microseconds()) / 1000}
}
