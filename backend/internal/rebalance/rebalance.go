// Package rebalance shares the connections out among the instances again, after a rolling restart
// has left the last one without any.
//
//	operator ── api ──▶ Client ── cluster.Ask ──▶ Balancer of every instance
//	                            by itself, if wanted ──▶ ┘ ── drain, paced ──▶ what it has above the mean
//
// Each instance decides for itself: it asks those of its clients to connect again that are more
// than its share, and the load balancer sends them where few are. Clients see what they see when an
// instance leaves, and miss nothing. Polls go to another instance by themselves.
package rebalance

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/transport"
	"github.com/zonecast/zonecast/backend/wire"
)

// Kind is that of the question which starts it.
const Kind = "rebalance"

// Tolerance is by what share an instance has to be above or below the mean before connections are
// moved without being told to, and least by how many an instance has to be above it to take part.
const (
	Tolerance = 0.2
	least     = 10
)

// Options of a [Balancer]. All but Interval and OnMove are needed.
type Options struct {
	Node     string
	View     func() cluster.View
	Sessions func() []*hub.Session
	// Own is how many connections stay with this instance: those over WebSocket and SSE.
	Own func() int
	// Rate is how many clients are moved in a second.
	Rate float64
	// Interval is between two looks at the cluster, to move by itself; 0 for never.
	Interval time.Duration
	Log      *slog.Logger
	// OnMove, if not nil, is told each client that is asked to connect again.
	OnMove func()
}

// A Balancer moves clients away from one instance.
type Balancer struct {
	Options
	begin chan struct{} // wakes Run; holds one
}

// New returns a balancer, which works while Run does.
func New(o Options) *Balancer { return &Balancer{Options: o, begin: make(chan struct{}, 1)} }

// A Share is what one instance has, and what it should have.
type Share struct {
	Node        string `json:"node"`
	Connections int    `json:"connections"` // WebSocket and SSE
	Target      int    `json:"target"`
	Moving      int    `json:"moving"` // clients that will be asked to connect again
	// Reason says why nobody is moved although others may have fewer; empty otherwise.
	Reason string `json:"reason,omitempty"`
	uneven bool   // an instance is far from the mean
}

// streams are those of a node that stay with it.
func streams(n cluster.Node) int { return n.Connections - n.Transports[transport.Poll] }

// share finds out what this instance has to give.
func (b *Balancer) share() Share {
	view, s := b.View(), Share{Node: b.Node}
	var counts []int // of those that are ready
	total := 0
	for _, n := range view.Nodes {
		own, count := n.Name == b.Node, streams(n)
		if own { // the figures of the view may be a moment old
			count = b.Own()
			s.Connections = count
		}
		if n.State == cluster.Ready {
			total, counts = total+count, append(counts, count)
		} else if own {
			s.Reason = "this instance is " + n.State
		}
	}
	switch {
	case s.Reason != "":
	case view.Incomplete != "":
		s.Reason = view.Incomplete
	case len(counts) > 0:
		s.Target = (total + len(counts) - 1) / len(counts)
		s.Moving = max(0, s.Connections-s.Target)
		furthest := max(slices.Max(counts)-s.Target, s.Target-slices.Min(counts))
		s.uneven = float64(furthest) > Tolerance*float64(s.Target)
	}
	return s
}

// Start makes Run move what is above the mean, and says how many that are.
func (b *Balancer) Start() Share {
	s := b.share()
	if s.Moving > 0 {
		select {
		case b.begin <- struct{}{}:
		default: // it is about to
		}
	}
	return s
}

// Run moves clients, when it is told to or by itself, until ctx ends.
func (b *Balancer) Run(ctx context.Context) {
	var tick <-chan time.Time
	if b.Interval > 0 {
		t := time.NewTicker(b.Interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.begin:
		case <-tick:
			if s := b.share(); s.Moving < least || !s.uneven {
				continue
			}
		}
		b.move(ctx)
	}
}

// move asks the newest clients to connect again, one after the other, while this instance has more
// than its share. The shares change meanwhile, so they are looked at before each one.
func (b *Balancer) move(ctx context.Context) {
	sessions := slices.DeleteFunc(b.Sessions(), func(s *hub.Session) bool { return s.Queue.Transport() == transport.Poll })
	ages := make(map[*hub.Session]time.Duration, len(sessions))
	for _, s := range sessions {
		ages[s] = s.SessionStats().Duration
	}
	slices.SortFunc(sessions, func(x, y *hub.Session) int { return cmp.Compare(ages[x], ages[y]) })
	began, moved := b.share(), 0
	if began.Moving == 0 {
		return
	}
	b.Log.Info("rebalancing: clients are asked to connect again", "connections", began.Connections, "target", began.Target, "per_second", b.Rate)
	pace := time.NewTicker(time.Duration(float64(time.Second) / b.Rate))
	defer pace.Stop()
	now := began
	for _, s := range sessions {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		// Not more than it had at first, either: clients may come back here.
		if now = b.share(); moved >= began.Moving || now.Moving == 0 {
			break
		}
		s.Explain("connections were shared out again")
		transport.AskToReconnect(s, "rebalancing: reconnect", transport.SpreadWhenPaced)
		moved++
		if b.OnMove != nil {
			b.OnMove()
		}
	}
	b.Log.Info("rebalanced", "moved", moved, "connections", now.Connections, "target", now.Target, "reason", now.Reason)
}

// A Client starts it on all instances.
type Client struct{ Cluster cluster.Cluster }

// A Plan is what all instances are about to do.
type Plan struct {
	Moving int     `json:"moving"`
	Nodes  []Share `json:"nodes"`
	connadmin.FanOut
}

// Start asks all instances.
func (c Client) Start(ctx context.Context) (Plan, error) {
	shares, fanOut, err := connadmin.Ask[Share](ctx, c.Cluster, Kind, struct{}{})
	if err != nil {
		return Plan{}, err
	}
	p, reason := Plan{Nodes: shares, FanOut: fanOut}, ""
	known := slices.ContainsFunc(shares, func(s Share) bool { return s.Reason == "" })
	for _, s := range shares {
		p.Moving += s.Moving
		reason = cmp.Or(reason, s.Node+": "+s.Reason)
	}
	if !known {
		return p, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 5000, Message: "the shares are not known (" + reason + "): try again"}
	}
	return p, nil
}
