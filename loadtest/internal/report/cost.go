package report

import (
	"fmt"
	"strings"
)

// Limits below which the growth of memory says nothing about the cost of a connection.
const (
	// ownChecks is how many connections of the load tester's preflight an instance may have had.
	ownChecks = 20
	// warmShare is the share of the run's connections that may have left memory to use again.
	warmShare = 0.05
	// leastGrowth is the bytes an instance must have grown by: less may have other reasons.
	leastGrowth = 1 << 20
)

// ServerCost returns what a connection and a delivery cost the servers.
func (r *Result) ServerCost() (c Cost) {
	if len(r.Servers) == 0 {
		c.KiBUnknown = "no server's memory could be read"
		return c
	}
	grown, used := 0.0, 0.0
	for _, s := range r.Servers {
		grown += float64(s.MemoryIdle) - float64(s.MemoryBefore)
		used += s.CPUSeconds
	}
	if r.Messages.Received > 0 {
		micros := 1e6 * used / float64(r.Messages.Received)
		c.MicrosPerDelivery = &micros
	}
	if c.KiBUnknown = r.memoryUnknown(grown); c.KiBUnknown == "" {
		kib := grown / 1024 / float64(r.Connections.Joined)
		c.KiBPerConnection = &kib
	}
	return c
}

// memoryUnknown says why a growth in bytes says nothing about a connection; "" when it does.
func (r *Result) memoryUnknown(grown float64) string {
	const anew = "restart it to measure the memory per connection"
	each := float64(r.Connections.Joined) / float64(len(r.Servers))
	for _, s := range r.Servers {
		switch {
		case s.MemoryIdle == 0:
			return "the memory of " + s.Name + " could not be read with all connected"
		case float64(s.OpenedBefore) > max(ownChecks, warmShare*each):
			return fmt.Sprintf("%s already had free memory from %s earlier connections: %s", s.Name, Thousands(s.OpenedBefore), anew)
		case s.MemoryIdle <= s.MemoryBefore:
			return fmt.Sprintf("%s already had free memory: %s", s.Name, anew)
		}
	}
	if r.Connections.Joined == 0 || grown < leastGrowth*float64(len(r.Servers)) {
		return "memory grew by less than 1 MiB an instance, which may have other reasons: use more connections"
	}
	return ""
}

// costText is a line about them for a person; "" when nothing is known of any server.
func (r *Result) costText(separator string) string {
	if len(r.Servers) == 0 {
		return ""
	}
	c := r.ServerCost()
	var parts []string
	if c.KiBPerConnection != nil {
		parts = append(parts, fmt.Sprintf("%.1f KiB a connection", *c.KiBPerConnection))
	}
	if c.MicrosPerDelivery != nil {
		parts = append(parts, fmt.Sprintf("%.2f µs of CPU a delivery", *c.MicrosPerDelivery))
	}
	if c.KiBPerConnection == nil {
		parts = append(parts, "KiB a connection unknown: "+c.KiBUnknown)
	}
	return strings.Join(parts, separator)
}
