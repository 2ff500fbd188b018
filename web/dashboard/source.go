package dashboard

import "time"

// A Snapshot is the state of the cluster at one moment. The dashboard keeps it and never changes
// it; nor may the source after returning it.
type Snapshot struct {
	// Instances are those that answered, in any order.
	Instances []Instance
	// Missing names the instances that should have answered and did not.
	Missing []string
	// Gone are the instances that stopped without taking leave, those in Missing included, in any
	// order, until they are back or someone dismisses them.
	Gone []Gone
	// LastKnown is how many of Connections, and of the rooms', are what instances that can't be
	// asked said last: while the broker is away.
	LastKnown int
	// Incomplete says why instances may be missing, those that nobody knows of included. The
	// figures are complete when it is empty.
	Incomplete string
	// Connections is the number of clients connected to the instances that answered. A client that
	// joined no warehouse is counted here alone.
	Connections int
	// Warehouses and Zones hold the rooms that someone is in, in any order. A client that is in two
	// zones counts in both.
	Warehouses []Warehouse
	Zones      []Zone
	// Recent are zones that were published to lately, in the order in which they are shown; without
	// their connections.
	Recent []Zone
	// Broker is the kind of the broker: "memory" or "redis".
	Broker string
}

// A Gone is an instance that stopped without taking leave.
type Gone struct {
	// ID is what it is dismissed by.
	ID, Name string
	Since    time.Time
	// Connections is how many it held; -1 when that is not known.
	Connections int
}

// A Warehouse is the room of a whole warehouse.
type Warehouse struct {
	Name        string
	Connections int
}

// A Zone is the room of one zone of a warehouse.
type Zone struct {
	Warehouse   string
	Name        string
	Connections int
}

// An Instance is one running server.
type Instance struct {
	// ID is the running process's own; Name should be, too.
	ID      string
	Name    string
	Version string
	UpSince time.Time
	// State is what the instance's readiness says.
	State       State
	Connections int
	// QueueBytes is what waits in the outboxes of all its clients.
	QueueBytes int64
	// Broker is the instance's own link to the broker.
	Broker BrokerLink
	// Warning says what works at no instance; empty while all does.
	Warning string

	// Published, Delivered and Latency count since UpSince and never fall while UpSince stays the
	// same. The dashboard makes rates and percentiles of their growth.

	// Published is how many messages the instance accepted from publishers.
	Published uint64
	// Delivered is how many messages it wrote to sockets: one published message counts once for
	// each client that got it.
	Delivered uint64
	// Latency is the time of each delivery, from the broker's acceptance to the socket.
	Latency Histogram
}

// A State tells whether an instance takes traffic.
type State int

// The states of an instance.
const (
	Ready State = iota
	NotReady
	Draining // it was told to stop and is sending its clients elsewhere
)

// A BrokerLink is how one instance stands with the broker.
type BrokerLink struct {
	Up bool
	// DownSince is when it went down; zero while Up, and when that is not known.
	DownSince time.Time
	// Detail says what is wrong, for an operator; empty while Up.
	Detail string
}

// A Histogram counts values by size, as Prometheus's classic histograms do: Counts[i] are those up
// to Bounds[i] seconds, smaller ones included. Bounds rise.
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Count  uint64 // those above the last bound too
}
