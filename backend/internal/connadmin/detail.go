package connadmin

import (
	"context"

	"github.com/zonecast/zonecast/backend/internal/hub"
)

// A Detail is one connection, with where it is in its rooms.
type Detail struct {
	Connection
	Positions []Position `json:"positions"`
}

// A Position is where a connection is in a room.
type Position struct {
	Room string `json:"room"`
	// Offset is that of the room's newest message at its instance, Waiting how many messages of the
	// room wait to be written to the connection.
	Offset  string `json:"offset"`
	Waiting int    `json:"waiting"`
}

// Detail returns the connection that the selection's ID names; nil when none of the instances that
// answered has it.
func (c Client) Detail(ctx context.Context, wanted Selection) (*Detail, FanOut, error) {
	found, fanOut, err := Ask[*Detail](ctx, c.Cluster, kindDetail, wanted)
	for _, d := range found {
		if d != nil {
			return d, fanOut, err
		}
	}
	return nil, fanOut, err
}

// detail answers for this instance.
func (h *Handler) detail(wanted Selection) *Detail {
	if wanted.ID == "" {
		return nil
	}
	selected := filter(h.Node, h.Sessions(), Selection{ID: wanted.ID, Within: wanted.Within})
	if len(selected) == 0 {
		return nil
	}
	return describeInDetail(h.Node, selected[0], wanted)
}

func describeInDetail(node string, s *hub.Session, wanted Selection) *Detail {
	d := &Detail{Connection: describe(node, s, wanted), Positions: []Position{}}
	for _, p := range s.Positions() {
		if wanted.within(p.Room) {
			d.Positions = append(d.Positions, Position{Room: p.Room.String(), Offset: p.Offset.String(), Waiting: p.Waiting})
		}
	}
	return d
}
