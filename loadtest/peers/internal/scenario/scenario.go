//go:build linux

// Package scenario is what each server is put through.
//
//	All ──▶ Scenario.Do: server.Start ──▶ swarm.Connect ──▶ Idle, or warm-up and Steady or Flood ──▶ Outcome
//
// Each scenario has a server of its own, fresh from its start, so that no figure carries another scenario's memory.
package scenario

import (
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

// A Kind is what the clients do.
type Kind string

// The kinds of scenarios.
const (
	// Idle: connected and silent. Measures memory, and how fast connections come in.
	Idle Kind = "idle"
	// Steady: messages at a fixed rate. Measures CPU and latency.
	Steady Kind = "steady"
	// Flood: messages as fast as they are accepted. Measures throughput.
	Flood Kind = "flood"
)

// A Scenario is one measurement.
type Scenario struct {
	Name string `json:"name"`
	// Title says what the figures are of.
	Title string `json:"title"`
	Kind  Kind   `json:"kind"`

	Connections int `json:"connections"`
	Rooms       int `json:"rooms"`
	Publishers  int `json:"publishers"`
	// Writers is how many publishers send to each room.
	Writers int `json:"writers"`
	// Bytes is the size of a message's data.
	Bytes   int  `json:"bytes"`
	Deflate bool `json:"deflate"`

	// Rate is how many messages are published a second, by all publishers together; of Steady.
	Rate float64 `json:"rate,omitempty"`
	// Window is how many publishes of each publisher may be unanswered; of Flood.
	Window int `json:"window,omitempty"`

	// WarmUp is what is run, and not measured, before; Duration is what is measured. Idle connections settle for Duration.
	WarmUp   time.Duration `json:"warmUpNanoseconds"`
	Duration time.Duration `json:"durationNanoseconds"`
	// Settle is how long the last messages may take.
	Settle time.Duration `json:"settleNanoseconds"`
}

// Has says whether a peer is put through the scenario. The bare loop of write(2) has no queue, so it can't be flooded, no
// sessions, so its memory means nothing, and no compression.
func (s Scenario) Has(peer string) bool {
	return peer != server.Write2 || s.Kind == Steady && !s.Deflate
}

// Options scale the scenarios.
type Options struct {
	// Few and Many are the two numbers of connections.
	Few, Many int
	// Quick makes everything short: the figures mean nothing then, but everything was tried.
	Quick bool
}

// All returns the scenarios in their order.
func All(o Options) []Scenario {
	idle, warmUp, duration, flood, settle := 5*time.Second, 2*time.Second, 20*time.Second, 10*time.Second, 30*time.Second
	if o.Quick {
		idle, warmUp, duration, flood = time.Second, time.Second/2, time.Second, time.Second
	}
	wide := min(100, o.Many) // rooms of the many
	narrow := min(10, o.Few) // rooms of the few
	steady := func(name, title string, connections, rooms, bytes int, deflate bool) Scenario {
		return Scenario{Name: name, Title: title, Kind: Steady, Connections: connections, Rooms: rooms, Publishers: 4, Writers: 1,
			Bytes: bytes, Deflate: deflate, Rate: 100, WarmUp: warmUp, Duration: duration, Settle: settle}
	}
	still := func(connections int) Scenario {
		return Scenario{Name: fmt.Sprintf("idle-%d", connections), Title: fmt.Sprintf("%s idle connections", thousands(connections)),
			Kind: Idle, Connections: connections, Rooms: min(100, connections), Bytes: 128, Duration: idle}
	}
	fewTitle := fmt.Sprintf("%s connections, %d rooms, 100 publishes/s, ", thousands(o.Few), narrow)
	return []Scenario{
		still(o.Few),
		still(o.Many),
		steady("steady-many", fmt.Sprintf("%s connections, %d rooms, 100 publishes/s, 128 B", thousands(o.Many), wide), o.Many, wide, 128, false),
		steady("steady-few", fewTitle+"128 B", o.Few, narrow, 128, false),
		steady("steady-4k", fewTitle+"4 KiB", o.Few, narrow, 4096, false),
		steady("steady-4k-deflate", fewTitle+"4 KiB deflated", o.Few, narrow, 4096, true),
		{Name: "flood", Title: fmt.Sprintf("16 publishers flood a room of %s, 128 B", thousands(o.Few)), Kind: Flood,
			Connections: o.Few, Rooms: 1, Publishers: 16, Writers: 16, Bytes: 128, Window: 64,
			WarmUp: warmUp, Duration: flood, Settle: settle},
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
