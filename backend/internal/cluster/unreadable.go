package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Unreadable is a room with events that no screen can show, since the instance began.
type Unreadable struct {
	Warehouse string `json:"warehouse"`
	Zone      string `json:"zone,omitempty"`
	Count     int    `json:"count"`
	Last      string `json:"last"` // what is wrong with the last one
}

func (u Unreadable) check() error {
	if _, err := wire.NewRoom(u.Warehouse, u.Zone); err != nil || u.Count < 1 || len(u.Last) > 1000 {
		return fmt.Errorf("no count of unreadable events: %d in %.80q (%w)", u.Count, u.Warehouse, err)
	}
	return nil
}

// Unreadable adds up those of all instances, those with the most first.
func (v View) Unreadable() []Unreadable {
	sums := map[wire.Room]Unreadable{}
	for _, n := range v.Nodes {
		for _, u := range n.Unreadable {
			room := wire.Room{Warehouse: u.Warehouse, Zone: u.Zone}
			u.Count += sums[room].Count
			sums[room] = u
		}
	}
	var all []Unreadable
	for _, u := range sums {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Unreadable) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
	})
	return all
}
