package attendance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/wire"
)

// The questions that instances put to one another.
const (
	kindList       = "connections"
	kindDisconnect = "disconnect"
)

// A Desk answers for one instance. Its Answer is a [cluster.Answerer].
type Desk struct {
	Node string
	// Sessions returns those that are open here, in a slice that is the caller's.
	Sessions func() []*hub.Session
	Log      *slog.Logger
}

// A disconnection is which connections are to end, and how.
type disconnection struct {
	Selection
	// Ban tells the clients not to come back.
	Ban bool `json:"ban,omitempty"`
}

// An ended is how many connections were told to end.
type ended struct {
	Disconnected int `json:"disconnected"`
}

// Answer implements [cluster.Answerer].
func (d *Desk) Answer(_ context.Context, q cluster.Question) (any, error) {
	switch q.Kind {
	case kindList:
		var wanted Selection
		if err := json.Unmarshal(q.Data, &wanted); err != nil {
			return nil, fmt.Errorf("not readable: %w", err)
		}
		wanted.Limit = min(max(wanted.Limit, 1), MaxPage)
		return list(d.Node, d.Sessions(), wanted), nil
	case kindDisconnect:
		var wanted disconnection
		if err := json.Unmarshal(q.Data, &wanted); err != nil {
			return nil, fmt.Errorf("not readable: %w", err)
		}
		return d.disconnect(wanted), nil
	}
	return nil, fmt.Errorf("%q is not known to this version", q.Kind)
}

// disconnect ends the connections: with a time to come back that differs from client to client, or for good.
func (d *Desk) disconnect(wanted disconnection) ended {
	chosen := choose(d.Node, d.Sessions(), wanted.Selection)
	for _, s := range chosen {
		if wanted.Ban {
			s.Queue.Close(wire.CloseForbidden, "disconnected by an operator")
			continue
		}
		s.Queue.Push(outbox.NewDrain(100*time.Millisecond + rand.N(1900*time.Millisecond)))
		s.Queue.Close(wire.CloseRestart, "disconnected by an operator: reconnect")
	}
	if len(chosen) > 0 {
		d.Log.Info("connections ended by an operator", "count", len(chosen), "connection", wanted.ID, "room", wanted.Room, "ban", wanted.Ban)
	}
	return ended{len(chosen)}
}

// A Register asks all instances.
type Register struct{ Cluster cluster.Cluster }

// An Outcome says which instances an answer is of.
type Outcome struct {
	Asked    int `json:"nodesAsked"`
	Answered int `json:"nodesAnswered"`
	// Missing names instances that did not answer, each maybe with why.
	Missing []string `json:"nodesMissing"`
	// Complete is false when connections may be missing; Incomplete says why, when that is not one of Missing.
	Complete   bool   `json:"complete"`
	Incomplete string `json:"incomplete,omitempty"`
}

// List returns a page of the connections of all instances.
func (r Register) List(ctx context.Context, wanted Selection) (Page, Outcome, error) {
	pages, outcome, err := ask[Page](ctx, r.Cluster, kindList, wanted)
	return merge(pages, wanted.Limit), outcome, err
}

// Disconnect ends connections, wherever they are, and returns how many. With ban their clients are told not to come back.
func (r Register) Disconnect(ctx context.Context, wanted Selection, ban bool) (int, Outcome, error) {
	answers, outcome, err := ask[ended](ctx, r.Cluster, kindDisconnect, disconnection{wanted, ban})
	n := 0
	for _, a := range answers {
		n += a.Disconnected
	}
	return n, outcome, err
}

// ask puts a question to all instances and decodes what they say.
func ask[T any](ctx context.Context, c cluster.Cluster, kind string, question any) (said []T, _ Outcome, _ error) {
	data, err := json.Marshal(question)
	if err != nil {
		return nil, Outcome{}, fmt.Errorf("ask for %s: %w", kind, err)
	}
	answers := c.Ask(ctx, cluster.Question{Kind: kind, Data: data})
	for _, a := range answers.All {
		var one T
		if err := json.Unmarshal(a.Data, &one); err != nil {
			answers.Missing = append(answers.Missing, a.Node+" (its answer is not readable)")
			continue
		}
		said = append(said, one)
	}
	missing := append([]string{}, answers.Missing...)
	return said, Outcome{Asked: answers.Asked, Answered: len(said), Missing: missing, Complete: answers.Complete(),
		Incomplete: answers.Incomplete}, nil
}
