package rebalance

import (
	"testing"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/transport"
)

// An instance gives what it has above the mean of those that are ready, and nothing while the
// figures of others are missing.
func TestShare(t *testing.T) {
	node := func(name, state string, connections, polls int) cluster.Node {
		return cluster.Node{Name: name, State: state, Connections: connections, Transports: map[string]int{transport.Poll: polls}}
	}
	for _, tt := range []struct {
		name       string
		giveOwn    int
		giveView   cluster.View
		want       int // moving
		wantTarget int
		wantReason bool
		wantUneven bool
	}{
		{"the last one is empty", 90, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 90, 0), node("b", cluster.Ready, 90, 0), node("c", cluster.Ready, 0, 0)}}, 30, 60, false, true},
		{"it has the fewest", 0, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 0, 0), node("b", cluster.Ready, 90, 0)}}, 0, 45, false, true},
		{"polls move by themselves", 10, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 60, 50), node("b", cluster.Ready, 10, 0)}}, 0, 10, false, false},
		{"one that leaves takes no part", 50, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 50, 0), node("b", cluster.Draining, 0, 0), node("c", cluster.Ready, 50, 0)}}, 0, 50, false, false},
		{"alone", 50, cluster.View{Nodes: []cluster.Node{node("me", cluster.Ready, 50, 0)}}, 0, 50, false, false},
		{"it leaves itself", 50, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Draining, 50, 0), node("b", cluster.Ready, 0, 0)}}, 0, 0, true, false},
		{"others are missing", 50, cluster.View{Nodes: []cluster.Node{node("me", cluster.Ready, 50, 0), node("b", cluster.Ready, 0, 0)},
			Incomplete: "not heard of any more: c"}, 0, 0, true, false},
		{"one has too few though nobody has too many", 112, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 112, 0), node("b", cluster.Ready, 112, 0), node("c", cluster.Ready, 76, 0)}}, 12, 100, false, true},
		{"nobody is far from the mean", 112, cluster.View{Nodes: []cluster.Node{
			node("me", cluster.Ready, 112, 0), node("b", cluster.Ready, 100, 0), node("c", cluster.Ready, 88, 0)}}, 12, 100, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := New(Options{Node: "me", View: func() cluster.View { return tt.giveView }, Own: func() int { return tt.giveOwn }})
			got := b.share()
			if got.Moving != tt.want || got.Target != tt.wantTarget || (got.Reason != "") != tt.wantReason || got.uneven != tt.wantUneven {
				t.Errorf("got %+v, want %d to move to %d, a reason: %v, uneven: %v", got, tt.want, tt.wantTarget, tt.wantReason, tt.wantUneven)
			}
		})
	}
}
