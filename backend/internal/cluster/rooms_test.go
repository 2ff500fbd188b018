package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/wire"
)

// roomsOf are those of so many connections, each in as many zones of a warehouse of its own as it
// may be, and all in one zone.
func roomsOf(connections int) cluster.Rooms {
	r := cluster.Rooms{Warehouses: map[string]int{"everybody": connections},
		Zones: []cluster.Zone{{Warehouse: "everybody", Zone: "here", Connections: connections}}}
	long := strings.Repeat("x", wire.MaxNameLen-8)
	for c := range connections {
		warehouse := fmt.Sprintf("%s-%d", long, c)
		r.Warehouses[warehouse] = 1
		for z := range wire.RoomsPerConnection - 1 {
			r.Zones = append(r.Zones, cluster.Zone{Warehouse: warehouse, Zone: fmt.Sprintf("%s-%d", long, z), Connections: 1})
		}
	}
	return r
}

// However many rooms the connections of one token join, what an instance announces each second
// stays small, and keeps the rooms in which most are.
func TestAnnouncementsAreBounded(t *testing.T) {
	all := roomsOf(300)
	n := cluster.Node{Name: strings.Repeat("n", 64), Connections: 300, Rooms: all.Largest()}
	p, err := json.Marshal(n)
	if err != nil || len(p) > 32<<10 {
		t.Errorf("%d bytes are announced, %v", len(p), err)
	}
	totals := cluster.View{Nodes: []cluster.Node{n, n}}.Totals()
	if totals.Connections != 600 || totals.Warehouses["everybody"] != 600 || totals.Zones[wire.Room{Warehouse: "everybody", Zone: "here"}] != 600 {
		t.Errorf("%d connections, of %d warehouses", totals.Connections, len(totals.Warehouses))
	}
	if listed := len(n.Warehouses) + len(n.Zones); n.NotListed != 301+300*127+1-listed || totals.NotListed != 2*n.NotListed {
		t.Errorf("%d are listed, %d not, %d of both", listed, n.NotListed, totals.NotListed)
	}
	few := roomsOf(1)
	few.Zones = few.Zones[:60]
	if got := few.Largest(); got.NotListed != 0 || len(got.Zones) != 60 {
		t.Errorf("of few rooms %d are not listed", got.NotListed)
	}
}

// asked counts the questions that are put to a cluster of one.
type asked struct {
	cluster.Alone
	questions int
}

func (a *asked) Ask(ctx context.Context, q cluster.Question) cluster.Answers {
	a.questions++
	return a.Alone.Ask(ctx, q)
}

// Those who need all rooms get them from the instances, which are asked once for all who ask within
// two seconds.
func TestAllRoomsAreToldOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := roomsOf(300)
		c := &asked{Alone: cluster.Alone{Self: func() cluster.Node { return cluster.Node{Name: "a", Connections: 300, Rooms: all.Largest()} },
			Answer: cluster.AnswerRooms(func() cluster.Rooms { return all }, func(context.Context, cluster.Question) (any, error) { return "next", nil })}}
		census := cluster.Census{Cluster: c}
		for range 10 {
			totals, incomplete := census.Totals(t.Context())
			if len(totals.Zones) != 300*127+1 || len(totals.Warehouses) != 301 || totals.Connections != 300 || totals.NotListed != 0 || incomplete != "" {
				t.Fatalf("%d zones, %d warehouses, %d not listed, %q", len(totals.Zones), len(totals.Warehouses), totals.NotListed, incomplete)
			}
		}
		if c.questions != 1 {
			t.Errorf("asked %d times", c.questions)
		}
		time.Sleep(3 * time.Second)
		census.Totals(t.Context())
		if c.questions != 2 {
			t.Errorf("asked %d times after a while", c.questions)
		}
		if a := c.Ask(t.Context(), cluster.Question{Kind: "other"}); len(a.All) != 1 || string(a.All[0].Data) != `"next"` {
			t.Errorf("other questions are answered with %+v", a)
		}
	})
}
