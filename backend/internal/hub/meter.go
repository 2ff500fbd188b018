package hub

import "time"

// A Meter measures what the hub does, once for each message or membership, and for each member only
// when traced. Its methods are called by several goroutines at once, some with a room's mutex held,
// and must not block.
type Meter interface {
	// FannedOut tells that a message was pushed to all members of its room: how long it took from
	// the broker's acceptance to the hub (below 0 where clocks differ), how long pushing took, and
	// how many members there were.
	FannedOut(arrival, push time.Duration, members int)
	// Joined tells that a session over this transport became a member of a room, and how many
	// messages it was sent first: what it had missed when it resumed from an offset, the retained
	// ones otherwise.
	Joined(transport string, resumed bool, replayed int, took time.Duration)
	// Traced tells that a message of a trace was written to a socket over this transport, so long
	// after the broker had accepted it: once for each member, before the trace ends.
	Traced(transport string, took time.Duration, traceID string)
}

type noMeter struct{}

func (noMeter) Traced(string, time.Duration, string) {}

func (noMeter) FannedOut(time.Duration, time.Duration, int) {}
func (noMeter) Joined(string, bool, int, time.Duration)     {}
