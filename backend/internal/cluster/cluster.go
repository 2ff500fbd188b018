// Package cluster knows which instances live and what each one holds.
//
//	self func() Node ──▶ Cluster ── every second ──▶ hash zonecast:nodes ──▶ every other Cluster
//	api (health), cmd (dashboard) ◀── View ── Cluster
//	api (operators) ── Ask ──▶ Cluster ── pub/sub zonecast:questions ──▶ Answerer of every instance
//	       ▲── Answers ──────────────────── list zonecast:answers:… ─────────┘
//
// An instance that has not announced itself for 4 s is silent. It is waited for during a minute,
// and remembered for a day, unless it takes leave, comes back or is dismissed.
package cluster

import (
	"context"
	"time"
)

// A Node is what one instance says about itself. Its JSON goes to instances of neighbouring
// versions: fields may be added, never changed.
type Node struct {
	Name string `json:"name"`
	// ID is this process's own, whatever its name. Filled in by the cluster.
	ID string `json:"id,omitempty"`
	// Heard is when it announced itself last; zero for this process. Filled in by the cluster.
	Heard   time.Time `json:"-"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// State is "ready", "not ready" or "draining". Reason says why its broker can't be used, since
	// BrokerDownSince; empty while it can.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Warning says what works at no instance.
	Warning         string    `json:"warning,omitempty"`
	BrokerDownSince time.Time `json:"brokerDownSince,omitzero"`

	Connections int `json:"connections"`
	// The largest rooms: connections that are in at least one room of a warehouse, and those in
	// each zone.
	Rooms
	Transports map[string]int `json:"transports,omitempty"` // connections by transport
	// RecentZones were published to lately, through this instance; without their connections.
	RecentZones []Zone `json:"recentZones,omitempty"`
	// Unreadable are the rooms with the most events that no screen can show, through this instance.
	Unreadable []Unreadable `json:"unreadable,omitempty"`
	// Sent is how many messages the open connections were sent, Lived the sum of their ages.
	Sent  uint64        `json:"sent"`
	Lived time.Duration `json:"lived"`

	QueueBytes int64 `json:"queueBytes"`

	// Since Started:
	Published uint64    `json:"published"`
	Delivered uint64    `json:"delivered"`
	Latency   Histogram `json:"latency"`
}

// A Zone counts the connections in the room of a zone.
type Zone struct {
	Warehouse   string `json:"warehouse"`
	Zone        string `json:"zone"`
	Connections int    `json:"connections"`
}

// A Histogram counts the delivery latencies: Counts[i] are those up to Bounds[i] seconds, smaller
// ones included.
type Histogram struct {
	Bounds []float64 `json:"bounds,omitempty"`
	Counts []uint64  `json:"counts,omitempty"`
	Count  uint64    `json:"count"`
}

// A View is what is known of the cluster.
type View struct {
	// Nodes are the live ones by name. This one's figures are of now, others' up to 2 s old.
	Nodes []Node
	// Silent names the instances that stopped announcing themselves without taking leave, in the
	// last minute; while Redis is away, those that were there before.
	Silent []string
	// Gone are the instances that stopped announcing themselves without taking leave, those in
	// Silent included, until they are back or dismissed; by name.
	Gone []Gone
	// Away says that Redis is not available: nothing is known of others but what they said before.
	Away bool
	// Unasked says that nothing is known of others, since this instance has not heard of any yet.
	Unasked bool
	// Incomplete says why others may be missing; empty when none are.
	Incomplete string
}

// A Gone is an instance that stopped announcing itself without taking leave.
type Gone struct {
	ID, Name string
	Since    time.Time // of its last announcement, about
	// Last is what it announced; nil when this instance has not heard it.
	Last *Node
	// WithRedis says that it was there when Redis went: it may be well.
	WithRedis bool
}

// A Cluster knows its instances. Run keeps it up to date.
type Cluster interface {
	// View never blocks on the network. It counts this instance's connections.
	View() View
	// Incomplete is that of a View, without counting anything.
	Incomplete() string
	// Ask puts a question to all instances, this one included, and waits until all that live have
	// answered or ctx ends. A question may reach an instance whose answer comes too late.
	Ask(ctx context.Context, q Question) Answers
	// Dismiss forgets an instance that is gone, and reports whether there was one. ID is that of
	// [Gone]. It needs Redis.
	Dismiss(ctx context.Context, id string) (bool, error)
	// Run announces this instance until ctx ends, and retracts the announcement then.
	Run(ctx context.Context)
	// Close gives up the connections. Call it after Run has returned.
	Close() error
}

// Alone is the cluster of a single instance.
type Alone struct {
	Self   func() Node
	Answer Answerer
}

var _ Cluster = Alone{}

// View implements [Cluster].
func (a Alone) View() View { return View{Nodes: []Node{a.Self()}} }

// Incomplete implements [Cluster].
func (a Alone) Incomplete() string { return "" }

// Ask implements [Cluster].
func (a Alone) Ask(ctx context.Context, q Question) Answers {
	answers := Answers{Asked: 1}
	answers.add(a.Answer.answer(ctx, a.Self().Name, q))
	return answers
}

// Dismiss implements [Cluster].
func (a Alone) Dismiss(context.Context, string) (bool, error) { return false, nil }

// Run implements [Cluster].
func (a Alone) Run(ctx context.Context) { <-ctx.Done() }

// Close implements [Cluster].
func (a Alone) Close() error { return nil }
