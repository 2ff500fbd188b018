// Package instances tells operators how each instance is, and takes one out of service while it
// goes on running.
//
//	operator ── api, dashboard ──▶ Client ── cluster.Ask ──▶ Handler of every instance ──▶ Meter: what the process takes
//	                                                                                  └──▶ Drainer
//	Drainer ── not ready, all is served: DRAIN_DELAY ──▶ clients are sent away ──▶ nobody is let in
//	        ── Cancel ──▶ ready, clients are let in
package instances

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/metrics"
)

// An Info is how one instance is. Its JSON goes to instances of neighbouring versions, and to
// operators: fields may be added, never changed.
type Info struct {
	ID      string    `json:"id"` // the process's own
	Node    string    `json:"node"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	State   string    `json:"state"` // ready, not ready or draining
	// Broker says how it stands with the broker.
	Broker Broker `json:"broker"`
	// Connections are its clients, ConnectionLimit is MAX_CONNECTIONS (0 for none).
	Connections     int   `json:"connections"`
	ConnectionLimit int   `json:"connectionLimit,omitempty"`
	QueuedBytes     int64 `json:"queuedBytes"`
	// HeardAgo is the age of its last announcement, in ms; 0 of the instance that was asked.
	HeardAgo int64 `json:"heardMillisecondsAgo"`
	// Usage is what its process takes; nil when it has not answered.
	Usage *Usage `json:"process,omitempty"`
	// Drain is nil while it is in service, or shutting down.
	Drain *Drain `json:"drain,omitempty"`
}

// A Broker is how an instance stands with the broker.
type Broker struct {
	Up bool `json:"up"`
	// Since is when that was first seen; zero when it is not known.
	Since  time.Time `json:"since,omitzero"`
	Detail string    `json:"detail,omitempty"` // what is wrong
}

// A Usage is what a process takes of its machine. What the system does not tell is 0.
type Usage struct {
	TCP             int    `json:"tcpConnections"`
	TCPLimit        int    `json:"tcpConnectionLimit"`
	MemoryBytes     uint64 `json:"memoryBytes"`                // resident
	MemoryLimit     uint64 `json:"memoryLimitBytes,omitempty"` // GOMEMLIMIT; 0 for none
	Descriptors     int    `json:"descriptors"`
	DescriptorLimit int    `json:"descriptorLimit"`
	// Cores is the mean of the CPU time over the last CoresOver ms, of CoresLimit that there are.
	Cores      float64 `json:"cores"`
	CoresOver  int64   `json:"coresOverMilliseconds"`
	CoresLimit int     `json:"coreLimit"`
	Goroutines int     `json:"goroutines"`
}

// A Drain is how far an instance is that an operator takes out of service.
type Drain struct {
	Since time.Time `json:"since"`
	By    string    `json:"by,omitempty"` // the operator
	// Connections is how many there were when it began.
	Connections int `json:"connections"`
}

// A Gone is an instance that stopped announcing itself without taking leave.
type Gone struct {
	ID    string    `json:"id"`
	Node  string    `json:"node"`
	Since time.Time `json:"since"`
	// Connections is how many it had; -1 when that is not known.
	Connections int `json:"connections"`
}

// A List is all instances.
type List struct {
	Instances []Info `json:"instances"` // by name
	Gone      []Gone `json:"gone"`      // by name
	// Versions are those that are running, more than one during a rolling update.
	Versions []string `json:"versions"`
	connadmin.FanOut
}

// known is what is known of a node that has not answered.
func known(n cluster.Node, now time.Time) Info {
	i := Info{ID: cmp.Or(n.ID, n.Name), Node: n.Name, Version: n.Version, Started: n.Started, State: n.State,
		Broker: Broker{n.Reason == "", n.BrokerDownSince, n.Reason}, Connections: n.Connections, QueuedBytes: n.QueueBytes}
	if !n.Heard.IsZero() {
		i.HeardAgo = max(0, now.Sub(n.Heard).Milliseconds())
	}
	return i
}

// merge puts what instances answered beside what all announced.
func merge(view cluster.View, answered []Info, now time.Time) (l List) {
	l.Instances, l.Gone, l.Versions = []Info{}, []Gone{}, []string{}
	for _, n := range view.Nodes {
		l.Instances = append(l.Instances, known(n, now))
	}
	for _, a := range answered {
		if at := slices.IndexFunc(l.Instances, func(i Info) bool { return i.ID == a.ID }); at >= 0 {
			a.HeardAgo = l.Instances[at].HeardAgo
			l.Instances[at] = a
		} else { // it is so new that it was not heard of
			l.Instances = append(l.Instances, a)
		}
	}
	slices.SortFunc(l.Instances, func(a, b Info) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID)) })
	for _, g := range view.Gone {
		gone := Gone{ID: g.ID, Node: g.Name, Since: g.Since, Connections: -1}
		if g.Last != nil {
			gone.Connections = g.Last.Connections
		}
		l.Gone = append(l.Gone, gone)
	}
	for _, i := range l.Instances {
		l.Versions = append(l.Versions, i.Version)
	}
	slices.Sort(l.Versions)
	l.Versions = slices.Compact(l.Versions)
	return l
}

// A Meter reads what this process takes, at most once a second whoever asks. It is safe for
// concurrent use.
type Meter struct {
	// Static after construction.
	Started  time.Time
	Read     func() metrics.ProcessUsage
	TCP      func() int
	TCPLimit int

	mu    sync.Mutex
	at    time.Time // of the last reading; zero before the first
	last  metrics.ProcessUsage
	shown Usage
}

// Usage returns what the process takes.
func (m *Meter) Usage() *Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.at) >= time.Second {
		before, cpu := m.at, m.last.CPU
		if before.IsZero() {
			before = m.Started
		}
		m.at, m.last = now, m.Read()
		m.shown = Usage{TCPLimit: m.TCPLimit, MemoryBytes: m.last.ResidentBytes, Descriptors: m.last.Descriptors, DescriptorLimit: m.last.MaxDescriptors,
			CoresOver: now.Sub(before).Milliseconds(), CoresLimit: runtime.GOMAXPROCS(0), Goroutines: runtime.NumGoroutine()}
		if over := now.Sub(before); over > 0 {
			m.shown.Cores = float64(m.last.CPU-cpu) / float64(over)
		}
		if most := debug.SetMemoryLimit(-1); most < 1<<62 { // beyond that it is none
			m.shown.MemoryLimit = uint64(most)
		}
		m.shown.TCP = m.TCP()
	}
	shown := m.shown
	return &shown
}
