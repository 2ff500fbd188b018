package walls

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// The questions that instances put to one another.
const (
	kindList    = "walls"
	kindCommand = "wall command"
)

// A Query selects screens. An empty field does not matter.
type Query struct {
	ID     string   `json:"id,omitempty"`
	Within []string `json:"within,omitempty"` // these warehouses
}

func (q Query) matches(w Wall) bool {
	return (q.ID == "" || w.ID == q.ID) && (len(q.Within) == 0 || slices.Contains(q.Within, w.Warehouse))
}

// A Page is the screens that are known.
type Page struct {
	Walls []Wall `json:"screens"`
	// Forgotten is how many gave way to others, since an instance remembers at most Kept.
	Forgotten int `json:"forgotten"`
}

// What an operator wants of a screen.
const (
	Identify = "identify" // show which one it is
	Reload   = "reload"
	Show     = "show"   // something else
	Unpair   = "unpair" // have no token any longer: which the instances see to, not the screen
)

// A Command is what an operator wants of a screen.
type Command = wire.Screen

// ParseCommand reads what is to be done, and for Show what is to be shown: warehouse,
// warehouse/zone or warehouse?wall=name. The error is a *[wire.Error].
func ParseCommand(do, show string) (Command, error) {
	switch do {
	case Identify, Reload, Unpair:
		return Command{Do: do}, nil
	case Show:
	default:
		return Command{}, wire.Errorf(wire.CodeInvalidData, "do is %.20q: say identify, reload, show or unpair", do)
	}
	path, query, _ := strings.Cut(strings.TrimSpace(show), "?")
	warehouse, zone, hasZone := strings.Cut(path, "/")
	values, err := url.ParseQuery(query)
	layout := values.Get("wall")
	values.Del("wall")
	if err != nil || len(values) > 0 || hasZone && (zone == "" || layout != "") || utf8.RuneCountInString(layout) > maxText {
		return Command{}, wire.Errorf(wire.CodeInvalidData, "show is %.200q: give warehouse, warehouse/zone or warehouse?wall=name", show)
	}
	if _, err := wire.NewRoom(warehouse, zone); err != nil {
		return Command{}, err
	}
	return Command{Do: Show, Warehouse: warehouse, Zone: zone, Wall: layout}, nil
}

// An order is a command for the connection of a screen.
type order struct {
	Connection string  `json:"connectionId"`
	Command    Command `json:"command"`
}

// A reached is how many connections an instance has passed an order on to.
type reached struct {
	Reached int `json:"reached"`
}

// A Handler answers for one instance. Its Answer is a [cluster.Answerer].
type Handler struct {
	Registry *Registry
	Sessions func() []*hub.Session // that are open here
	Next     cluster.Answerer      // of other questions
}

// Answer implements [cluster.Answerer].
func (h *Handler) Answer(ctx context.Context, q cluster.Question) (any, error) {
	switch q.Kind {
	case kindList:
		wanted, err := cluster.Asked[Query](q)
		if err != nil {
			return nil, err
		}
		return h.Registry.list(wanted), nil
	case kindCommand:
		wanted, err := cluster.Asked[order](q)
		if err != nil {
			return nil, err
		}
		return h.pass(wanted), nil
	}
	return h.Next(ctx, q)
}

// pass passes an order on to the connection that it is for, if that is here.
func (h *Handler) pass(o order) (done reached) {
	for _, s := range h.Sessions() {
		if s.ID == o.Connection {
			s.Queue.Send(outbox.NewControl("", wire.AppendFrame(nil, wire.EventScreen, o.Command)))
			done.Reached++
		}
	}
	return done
}

// A Client asks all instances.
type Client struct{ Cluster cluster.Cluster }

// List returns the screens that a query selects, the dark ones first.
func (c Client) List(ctx context.Context, wanted Query) (Page, connadmin.FanOut, error) {
	pages, fanOut, err := connadmin.Ask[Page](ctx, c.Cluster, kindList, wanted)
	latest := map[string]Wall{}
	all := Page{Walls: []Wall{}}
	for _, p := range pages {
		all.Forgotten += p.Forgotten
		for _, w := range p.Walls {
			if before, known := latest[w.ID]; !known || before.Seen < w.Seen {
				latest[w.ID] = w
			}
		}
	}
	now := time.Now()
	for _, w := range latest {
		w.Dark = now.Sub(time.UnixMilli(w.Seen)) > DarkAfter
		all.Walls = append(all.Walls, w)
	}
	slices.SortFunc(all.Walls, func(a, b Wall) int {
		if a.Dark != b.Dark {
			if a.Dark {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, fanOut, err
}

// Find returns the screen of an ID, or none. The error says that instances were silent which may
// know it.
func (c Client) Find(ctx context.Context, wanted Query) (*Wall, error) {
	page, fanOut, err := c.List(ctx, wanted)
	switch {
	case err != nil:
		return nil, err
	case len(page.Walls) > 0:
		return &page.Walls[0], nil
	case !fanOut.Complete:
		return nil, wire.Errorf(wire.CodeUnavailable, "not all instances answered, and one of them may know the screen: try again")
	}
	return nil, nil
}

// Tell passes a command on to a screen, and reports whether it has a connection that can take it.
func (c Client) Tell(ctx context.Context, w Wall, command Command) (bool, error) {
	if w.Connection == "" {
		return false, nil
	}
	answers, fanOut, err := connadmin.Ask[reached](ctx, c.Cluster, kindCommand, order{w.Connection, command})
	for _, a := range answers {
		if a.Reached > 0 {
			return true, err
		}
	}
	if err == nil && !fanOut.Complete {
		err = wire.Errorf(wire.CodeUnavailable, "not all instances answered, and the screen is connected to one of them: try again")
	}
	return false, err
}
