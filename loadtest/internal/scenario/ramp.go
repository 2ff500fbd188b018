//go:build linux

package scenario

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

const (
	// halvings is how often the gap between the highest rate held and the lowest missed is halved.
	halvings = 3
	// mostSteps is how many steps a ramp has at most.
	mostSteps = 40
	// stepPause is how long members rest between two steps, at most as long as a step.
	stepPause = 2 * time.Second
)

// ramp finds the highest rate that holds the thresholds: the steps get faster until one is missed,
// and then the gap is halved some times. The figures of the run are those of all its steps.
func (r *Run) ramp(ctx context.Context, cancel context.CancelCauseFunc, t *total) (stopped string, err error) {
	held, missed := 0.0, math.Inf(1)
	halved := 0
	for len(r.recorder.steps) < mostSteps && halved < halvings {
		before := t.sum()
		step := &total{run: r, Tallies: worker.NewTallies(), parts: t.parts, rooms: t.rooms, accepted: t.accepted}
		why, err := r.send(ctx, cancel, step, r.plan.Step)
		t.accepted, t.start, t.cut = step.accepted, step.start, step.cut
		if t.first == 0 {
			t.first, t.at = step.first, step.at
		}
		err = cmp.Or(err, r.settle(ctx, step, r.plan.Settle))
		t.Merge(&step.Tallies)
		if err != nil {
			return "", err
		}
		outcome := r.evaluateStep(step, before)
		r.recorder.steps = append(r.recorder.steps, outcome)
		if why != nil && !outcome.Held && ctx.Err() == nil && len(r.recorder.steps) > 1 {
			why = nil // too much for the server, as was to be expected at some time
			halved = halvings
		}
		if why != nil {
			return stopText(ctx, why, r.plan), nil
		}
		if outcome.Held {
			held = max(held, r.rate)
		} else {
			missed = min(missed, r.rate)
		}
		switch {
		case held >= r.plan.RampMax:
			return "", nil // which was as fast as was asked for
		case math.IsInf(missed, 1):
			r.rate = min(r.rate*r.plan.RampFactor, r.plan.RampMax)
		case held == 0:
			return "", nil // the first step was too much
		default:
			halved++
			r.rate = (held + missed) / 2
		}
		select {
		case <-time.After(min(stepPause, r.plan.Step)):
		case <-ctx.Done():
			return errInterrupted.Error(), nil
		}
	}
	return "", nil
}

// evaluateStep measures one step against the thresholds.
func (r *Run) evaluateStep(t *total, before worker.Partial) report.RampStep {
	all := t.sum()
	own := all.Counts
	own.Sub(before.Counts)
	took := time.Duration(max(t.start+uint64(r.plan.Step), all.Last) - t.start)
	res := &report.Result{
		Connections: report.Connections{Asked: r.plan.Connections, Joined: int(all.Joined), Broken: int(own.Broken), Lost: int(all.Missing)},
		Messages:    messagesOf(own), Violations: violationsOf(own), SuccessPercent: successOf(own.Messages),
		Throughput: report.Throughput{Sent: float64(own.Sent) / took.Seconds(), Received: float64(own.Messages.Received) / took.Seconds()},
		Latency:    report.TimesOf(t.Latency.Summary()), Live: report.TimesOf(t.Live.Summary()), Lag: report.TimesOf(t.Lag.Summary()),
		Publish: report.TimesOf(t.Sends.Summary()), Errors: own.FailureTotal,
	}
	step := report.RampStep{
		MsgPerSec: r.rate, Deliveries: res.Throughput.Received, Delivered: res.SuccessPercent, Latency: res.Latency,
		Held: res.Messages.NotSent == 0 && res.Messages.Failed == 0 && t.Lag.Summary().P99 <= r.plan.MaxLag,
	}
	for _, threshold := range r.plan.Thresholds {
		o := threshold.Check(res)
		step.Thresholds = append(step.Thresholds, o)
		step.Held = step.Held && o.Met
	}
	return step
}
