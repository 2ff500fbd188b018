//go:build linux

package scenario

import (
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// A Result is what a run came to, without its warm-up.
type Result struct {
	Published uint64 `json:"published"`
	Acked     uint64 `json:"acked"`     // of those
	Refused   uint64 `json:"refused"`   // the others: refused or never answered
	Delivered uint64 `json:"delivered"` // messages that members received for the first time
	// Lost counts acked messages, of the warm-up too, that members never received.
	Lost       uint64 `json:"lost"`
	Duplicates uint64 `json:"duplicates"`
	Reordered  uint64 `json:"reordered"` // came after later ones of their publisher, or after a higher offset
	Damaged    uint64 `json:"damaged"`   // differ from what was sent, or belong to another room
	Bytes      uint64 `json:"bytes"`     // that all connections received
	// Troubles counts by kind connections that ended, publishes refused, complaints of the server.
	Troubles map[string]uint64 `json:"troubles,omitempty"`
	Elapsed  time.Duration     `json:"elapsedNanoseconds"` // from the first publish until the last delivery
	Latency  latency.Summary   `json:"latencyNanoseconds"` // from when a message was to be sent until a member had it
	Late     latency.Summary   `json:"lateNanoseconds"`    // from when a message was to be sent until it was
}

// resultOf takes what the warm-up came to off what everything did.
func resultOf(all, warm *worker.Partial, step worker.Step) *Result {
	run := all.Counts
	run.Sub(warm.Counts)
	r := &Result{
		Published: run.Due, Acked: run.Sent, Refused: run.Failed,
		Delivered: all.Latency.Summary().Count, Lost: all.Messages.Lost(), Duplicates: run.Messages.Duplicated, Reordered: run.Messages.Reordered,
		Damaged: run.Damaged + run.Misrouted, Bytes: run.BytesReceived,
		Latency: all.Latency.Summary(), Late: all.Lag.Summary(),
	}
	if all.Last > step.Start {
		r.Elapsed = time.Duration(all.Last - step.Start)
	}
	for _, f := range all.Failures {
		if r.Troubles == nil {
			r.Troubles = map[string]uint64{}
		}
		r.Troubles[f.Kind] = f.Count
	}
	return r
}
