package incidents

import (
	"context"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
)

// watchInterval is between two looks at the broker and the cluster.
const watchInterval = time.Second

// A Watcher records what becomes of this instance's broker and of the other instances. What all
// instances see, the one of the lowest ID among those that live records.
type Watcher struct {
	Log *Log
	// Self is the ID of this instance in the view; Status and View are of now.
	Self   string
	Status func() cluster.Status
	View   func() cluster.View

	downSince time.Time               // of the broker; zero while it is up
	gone      map[string]cluster.Gone // by ID, of the last look
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		w.look(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Watcher) look(now time.Time) {
	status := w.Status()
	switch {
	case !status.BrokerUp() && w.downSince.IsZero():
		w.downSince = status.BrokerDownSince
		w.Log.Record(Incident{Time: w.downSince, Kind: BrokerDown, Detail: status.Broker.Error()})
	case status.BrokerUp() && !w.downSince.IsZero():
		w.Log.Record(Incident{Time: now, Kind: BrokerUp, Lasted: now.Sub(w.downSince).Milliseconds()})
		w.downSince = time.Time{}
	}
	w.lookAtOthers(w.View(), now)
}

func (w *Watcher) lookAtOthers(view cluster.View, now time.Time) {
	if view.Away || view.Unasked {
		return // nothing is known of the others
	}
	gone := map[string]cluster.Gone{}
	for _, g := range view.Gone {
		if !g.WithRedis {
			gone[g.ID] = g
		}
	}
	before := w.gone
	w.gone = gone
	if before == nil || !w.speaks(view, before) {
		return
	}
	for id, g := range gone {
		if _, known := before[id]; !known {
			detail := ""
			if g.Last != nil {
				detail = fmt.Sprintf("held %d clients", g.Last.Connections)
			}
			w.Log.Record(Incident{Time: g.Since, Kind: Gone, Node: g.Name, Detail: detail})
		}
	}
	for id, g := range before {
		if _, still := gone[id]; still {
			continue
		}
		for _, n := range view.Nodes {
			if n.Name == g.Name { // else it was dismissed, which the audit log has
				w.Log.Record(Incident{Time: now, Kind: Back, Node: g.Name, Lasted: now.Sub(g.Since).Milliseconds()})
				break
			}
		}
	}
}

// speaks reports whether this instance records for all. One that was gone at the last look does not
// know what it missed.
func (w *Watcher) speaks(view cluster.View, before map[string]cluster.Gone) bool {
	missed := map[string]bool{}
	for _, g := range before {
		missed[g.Name] = true
	}
	for _, n := range view.Nodes {
		if n.State != cluster.Draining && n.ID < w.Self && !missed[n.Name] {
			return false
		}
	}
	return true
}
