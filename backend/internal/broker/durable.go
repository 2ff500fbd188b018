package broker

import (
	"cmp"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Durability is what a durable publication waits for. The zero value means the disk, for 3 s.
type Durability struct {
	// Replicas is how many replicas must have the message. 0 asks for the disk of the master alone.
	Replicas int
	// NoDisk leaves the disks out: the replicas may have it in memory. It needs Replicas.
	NoDisk bool
	// Timeout bounds the wait from the acceptance on (default 3 s).
	Timeout time.Duration
}

func (d Durability) withDefaults() Durability {
	d.Timeout = cmp.Or(d.Timeout, 3*time.Second)
	return d
}

// A DurableResult is how a wait for durability ended: a label of the metrics.
type DurableResult string

// The results of waits.
const (
	DurableConfirmed DurableResult = "confirmed"
	DurableTimeout   DurableResult = "timeout"  // Redis did not confirm it in time
	DurableFailover  DurableResult = "failover" // another Redis answers now: the message may be lost
	DurableFailed    DurableResult = "failed"   // Redis could not be asked
)

// DurableResults lists them.
func DurableResults() []DurableResult {
	return []DurableResult{DurableConfirmed, DurableTimeout, DurableFailover, DurableFailed}
}

// errDurableUnsupported says why nothing here can confirm a publication, and what to change.
func errDurableUnsupported(why string) error {
	return wire.Errorf(wire.CodeDurableUnsupported, "nothing was published: durable can't be promised here: %s", why)
}
