package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// An announcement lists the rooms with the most connections: so many bytes of warehouses, and
	// of zones. With names of usual length that is 250 of each. Those who want the rest ask.
	warehouseBytes, zoneBytes = 8 << 10, 16 << 10
	// The most bytes that an entry takes besides its names.
	warehouseEntry, zoneEntry = 16, 64
	// kindRooms asks for all rooms that an instance has members in; maxRooms bounds the answer.
	kindRooms, maxRooms = "rooms", 200_000
	// roomsFor is how long an answer is used again, and roomsTimeout how long it is waited for.
	roomsFor, roomsTimeout = 2 * time.Second, 3 * time.Second
)

// Rooms are the connections in rooms.
type Rooms struct {
	Warehouses map[string]int `json:"warehouses,omitempty"`
	Zones      []Zone         `json:"zones,omitempty"`
	// NotListed is how many more rooms there are.
	NotListed int `json:"notListed,omitempty"`
}

// Largest returns those with the most connections, as many as an announcement lists.
func (r Rooms) Largest() Rooms {
	names := slices.SortedFunc(maps.Keys(r.Warehouses), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Warehouses[b], r.Warehouses[a]), cmp.Compare(a, b))
	})
	zones := slices.SortedFunc(slices.Values(r.Zones), func(a, b Zone) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
	})
	out := Rooms{Warehouses: map[string]int{}}
	names = within(names, warehouseBytes, func(name string) int { return len(name) + warehouseEntry })
	for _, name := range names {
		out.Warehouses[name] = r.Warehouses[name]
	}
	out.Zones = within(zones, zoneBytes, func(z Zone) int { return len(z.Warehouse) + len(z.Zone) + zoneEntry })
	out.NotListed = r.NotListed + len(r.Warehouses) - len(names) + len(r.Zones) - len(out.Zones)
	return out
}

// within returns as many as fit into so many bytes.
func within[T any](all []T, most int, size func(T) int) []T {
	for i, one := range all {
		if most -= size(one); most < 0 {
			return all[:i]
		}
	}
	return all
}

// AnswerRooms answers what rooms this instance has members in, and passes other questions on.
func AnswerRooms(rooms func() Rooms, next Answerer) Answerer {
	return func(ctx context.Context, q Question) (any, error) {
		if q.Kind != kindRooms {
			return next(ctx, q)
		}
		r := rooms()
		if len(r.Warehouses)+len(r.Zones) > maxRooms {
			r = r.Largest()
		}
		return r, nil
	}
}

// A Census counts the members of all rooms of all instances, on demand. Its methods may be called
// by several goroutines.
type Census struct {
	Cluster Cluster

	mu      sync.Mutex // held while the instances are asked, so that they are once for all who wait
	asked   time.Time
	totals  Totals
	missing string
}

// Totals are those of the view, with all rooms. They are up to 2 s old. Incomplete says what may be
// missing; it is empty when nothing is.
func (c *Census) Totals(ctx context.Context) (t Totals, incomplete string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < roomsFor {
		return c.totals, c.missing
	}
	ctx, cancel := context.WithTimeout(ctx, roomsTimeout)
	defer cancel()
	answers := c.Cluster.Ask(ctx, Question{Kind: kindRooms})
	t = c.Cluster.View().Totals()
	t.Warehouses, t.Zones, t.NotListed = map[string]int{}, map[wire.Room]int{}, 0
	for _, a := range answers.All {
		var r Rooms
		if err := json.Unmarshal(a.Data, &r); err != nil || r.check() != nil {
			answers.Missing = append(answers.Missing, a.Node+" (its answer is not readable)")
			continue
		}
		t.add(r)
	}
	c.totals, c.missing, c.asked = t, answers.Incomplete, time.Now()
	if c.missing == "" && len(answers.Missing) > 0 {
		c.missing = "not answered: " + answers.Missing[0]
	}
	return c.totals, c.missing
}
