package connadmin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// The questions that instances put to one another.
const (
	kindList       = "connections"
	kindDisconnect = "disconnect"
	// limited, after one of them, is the question with a limit to warehouses: an older instance
	// that knows none must not answer it without.
	limited = " within warehouses"
	// filtered, before that, is the question with a Filter, for the same reason.
	filtered = " filtered"
	// kindDetail asks for one connection in detail.
	kindDetail = "connection"
	// kindStanding asks for the members of one room.
	kindStanding = "standing"
)

// kind is the name of a question about this selection.
func (w Selection) kind(question string) string {
	if !w.Filter.isZero() {
		question += filtered
	}
	if len(w.Within) > 0 {
		return question + limited
	}
	return question
}

// A Handler lists and disconnects the connections of this instance. Its Answer is a
// [cluster.Answerer].
type Handler struct {
	Node string
	// Sessions returns those that are open here, in a slice that is the caller's.
	Sessions func() []*hub.Session
	// Standing is [hub.Hub.Standing].
	Standing func(wire.Room) (members int, newest wire.Offset)
	Log      *slog.Logger
}

// A disconnection is what instances are asked to disconnect.
type disconnection struct {
	Selection
	// Ban tells the clients not to come back.
	Ban bool `json:"ban,omitempty"`
}

// A disconnected is how many connections an instance has disconnected.
type disconnected struct {
	Disconnected int `json:"disconnected"`
}

// Answer implements [cluster.Answerer].
func (h *Handler) Answer(_ context.Context, q cluster.Question) (any, error) {
	switch strings.TrimSuffix(strings.TrimSuffix(q.Kind, limited), filtered) {
	case kindList:
		wanted, err := cluster.Asked[Selection](q)
		if err != nil {
			return nil, err
		}
		wanted.Limit = min(max(wanted.Limit, 1), MaxPage)
		wanted.Show = wanted.Show[:min(len(wanted.Show), MaxIDs)]
		return list(h.Node, h.Sessions(), wanted), nil
	case kindDisconnect:
		wanted, err := cluster.Asked[disconnection](q)
		if err != nil {
			return nil, err
		}
		return h.disconnect(wanted), nil
	case kindDetail:
		wanted, err := cluster.Asked[Selection](q)
		if err != nil {
			return nil, err
		}
		return h.detail(wanted), nil
	case kindStanding:
		wanted, err := cluster.Asked[standingQuestion](q)
		if err != nil {
			return nil, err
		}
		return h.standing(wanted)
	}
	return nil, fmt.Errorf("%q is not known to this version", q.Kind)
}

// disconnect closes the connections: their clients reconnect after a while, or are told not to.
func (h *Handler) disconnect(wanted disconnection) disconnected {
	selected := filter(h.Node, h.Sessions(), wanted.Selection)
	selected = slices.DeleteFunc(selected, func(s *hub.Session) bool { return !wanted.wholly(s) })
	for _, s := range selected {
		if wanted.Ban {
			s.Explain("an operator told it not to come back")
			s.Queue.Close(wire.CloseForbidden, "disconnected by an operator")
			continue
		}
		s.Explain("disconnected by an operator")
		transport.AskToReconnect(s, "disconnected by an operator: reconnect", transport.SpreadWhenAtOnce)
	}
	if len(selected) > 0 {
		h.Log.Info("connections ended by an operator", "count", len(selected), "connection", wanted.ID, "room", wanted.Room, "ban", wanted.Ban)
	}
	return disconnected{len(selected)}
}
