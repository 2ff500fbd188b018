//go:build linux

// Package scenario is what each server is put through.
//
//	All ──▶ Scenario.Run: server.Start ──▶ worker.Connect ──▶ Idle, Steady or Flood ──▶ Outcome
//
// Each scenario has a fresh server, so that no figure carries another scenario's memory.
package scenario

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

// A Kind is what the clients do.
type Kind string

const (
	Idle   Kind = "idle"   // connected and silent: measures memory, and how fast connections come in
	Steady Kind = "steady" // messages at a fixed rate: measures CPU and latency
	Flood  Kind = "flood"  // messages as fast as they are accepted: measures throughput
)

// A Scenario is one measurement.
type Scenario struct {
	Name  string `json:"name"`
	Title string `json:"title"` // what the figures are of
	Kind  Kind   `json:"kind"`

	Connections int     `json:"connections"`
	Rooms       int     `json:"rooms"`
	Publishers  int     `json:"publishers"`
	Writers     int     `json:"writers"` // how many publishers send to each room
	Bytes       int     `json:"bytes"`   // of a message's data
	Deflate     bool    `json:"deflate"`
	Rate        float64 `json:"rate,omitempty"`   // of Steady: messages a second, of all publishers together
	Window      int     `json:"window,omitempty"` // of Flood: how many publishes of each publisher may be unanswered

	WarmUp   time.Duration `json:"warmUpNanoseconds"`   // run before, and not measured
	Duration time.Duration `json:"durationNanoseconds"` // measured; idle connections settle for it
	Settle   time.Duration `json:"settleNanoseconds"`   // how long the last messages may take

	// Rounds is how often all servers take their turn: the machine is never quite the same from one
	// minute to the next, so that what has a target is compared more than once.
	Rounds int `json:"rounds"`
}

// Includes says whether a peer is put through the scenario. The bare loop of write(2) has no queue,
// so it can't be flooded, no sessions, so its memory means nothing, and no compression.
func (s Scenario) Includes(peer string) bool {
	return peer != server.Write2 || s.Kind == Steady && !s.Deflate
}

// Options scale the scenarios.
type Options struct {
	Few, Many int  // connections
	Rounds    int  // of each scenario with a target; 1 if it is 0
	Quick     bool // everything is short: the figures mean nothing then, but everything was tried
}

// The scenarios that targets are of.
const (
	IdleMany             = "idle-many"
	SteadyMany           = "steady-many"
	SteadyFew4K          = "steady-few-4k"
	SteadyFew4KDeflated  = "steady-few-4k-deflate"
	SteadyMany4K         = "steady-many-4k"
	SteadyMany4KDeflated = "steady-many-4k-deflate"
	FloodSmall           = "flood"
)

// All returns the scenarios in their order.
func All(o Options) []Scenario {
	t := times{idle: 5 * time.Second, warmUp: 2 * time.Second, steady: 10 * time.Second, flood: 10 * time.Second}
	if o.Quick {
		t = times{idle: time.Second, warmUp: time.Second / 2, steady: time.Second, flood: time.Second}
	}
	few, many := crowd{"few", o.Few, min(10, o.Few)}, crowd{"many", o.Many, min(100, o.Many)}
	all := []Scenario{few.idle(t), many.idle(t)}
	for _, deflate := range []bool{false, true} {
		for _, bytes := range []int{128, 4096} {
			all = append(all, many.steady(t, bytes, deflate), few.steady(t, bytes, deflate))
		}
	}
	all = append(all, few.flood(t, 128, 64), few.flood(t, 4096, 8))
	for i := range all {
		all[i].Rounds = 1
		if all[i].Name == IdleMany || all[i].Name == SteadyMany || all[i].Name == FloodSmall {
			all[i].Rounds = max(o.Rounds, 1)
		}
	}
	return all
}

type times struct{ idle, warmUp, steady, flood time.Duration }

type crowd struct {
	name               string
	connections, rooms int
}

func (c crowd) idle(t times) Scenario {
	return Scenario{Name: "idle-" + c.name, Title: thousands(c.connections) + " idle connections", Kind: Idle,
		Connections: c.connections, Rooms: min(100, c.connections), Bytes: 128, Duration: t.idle}
}

// steady is 100 messages a second to all rooms together.
func (c crowd) steady(t times, bytes int, deflate bool) Scenario {
	name, title := "steady-"+c.name, fmt.Sprintf("%s connections, %d rooms, 100 publishes/s, %s", thousands(c.connections), c.rooms, size(bytes))
	if bytes > 128 {
		name += "-4k"
	}
	if deflate {
		name, title = name+"-deflate", title+", deflate negotiated"
	}
	return Scenario{Name: name, Title: title, Kind: Steady, Connections: c.connections, Rooms: c.rooms, Publishers: 4, Writers: 1,
		Bytes: bytes, Deflate: deflate, Rate: 100, WarmUp: t.warmUp, Duration: t.steady, Settle: settle}
}

// flood is as many messages to one room as are accepted.
func (c crowd) flood(t times, bytes, window int) Scenario {
	name := "flood"
	if bytes > 128 {
		name += "-4k"
	}
	return Scenario{Name: name, Title: fmt.Sprintf("16 publishers flood a room of %s, %s", thousands(c.connections), size(bytes)), Kind: Flood,
		Connections: c.connections, Rooms: 1, Publishers: 16, Writers: 16, Bytes: bytes, Window: window,
		WarmUp: t.warmUp, Duration: t.flood, Settle: settle}
}

const settle = 30 * time.Second

func size(bytes int) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%d KiB", bytes/1024)
}

func thousands(n int) string { return report.Thousands(uint64(n)) }
