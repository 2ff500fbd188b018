package connadmin

import (
	"cmp"
	"context"
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Standing is how a room stands at one instance.
type Standing struct {
	Node    string `json:"node"`
	Members int    `json:"members"`
	// Offset is that of the last message that was handed to the members; empty without any.
	Offset string `json:"offset,omitempty"`
}

// A standingQuestion names the room.
type standingQuestion struct {
	Room string `json:"room"`
}

// Standings returns how a room stands at each instance, in the order of their names.
func (c Client) Standings(ctx context.Context, room wire.Room) ([]Standing, FanOut, error) {
	all, fanOut, err := Ask[Standing](ctx, c.Cluster, kindStanding, standingQuestion{room.String()})
	slices.SortFunc(all, func(a, b Standing) int { return cmp.Compare(a.Node, b.Node) })
	return all, fanOut, err
}

// standing answers for this instance.
func (h *Handler) standing(q standingQuestion) (Standing, error) {
	room, err := wire.ParseRoom(q.Room)
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Node: h.Node}
	members, newest := h.Standing(room)
	if s.Members = members; members > 0 {
		s.Offset = newest.String()
	}
	return s, nil
}
