//go:build linux

package worker

import (
	"context"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
)

// Send carries out a step, and returns when all that was due is sent, refused or given up. The
// error says why it ended before its time; what was sent until then counts.
func (w *Worker) Send(ctx context.Context, step Step) error {
	w.startBehaviour(step)
	err := w.send(ctx, step)
	w.stopBehaviour()
	return err
}

func (w *Worker) send(ctx context.Context, step Step) error {
	messages, echoes := w.schedules(step)
	var issued, echoed uint32
	for {
		now := client.Now()
		elapsed := time.Duration(int64(now - step.Start)) // negative before the start
		for due := messages.Due(elapsed); issued < due && ctx.Err() == nil; issued++ {
			at := step.Start + uint64(messages.At(issued))
			w.recordLag(at)
			w.publisher.publish(w.spread.Of(int(w.counts.Due)), at, client.Now())
			w.counts.Due++
		}
		for due := echoes.Due(elapsed); echoed < due && ctx.Err() == nil; echoed++ {
			at := step.Start + uint64(echoes.At(echoed))
			w.recordLag(at)
			w.counts.Due++
			w.echoes.send(at)
		}
		if step.Window > 0 && elapsed >= 0 && elapsed < step.Duration {
			w.clients.fillWindows(step.Window)
		}
		if elapsed >= step.Duration {
			break
		}
		if err := w.stopReason(ctx); err != nil {
			w.drainQueue(0)
			return err
		}
		if err := w.poll(w.idleTime(step, messages, issued, echoes, echoed, elapsed)); err != nil {
			return err
		}
	}
	if w.clients != nil {
		w.clients.window = 0
	}
	return w.drainQueue(w.job.Grace)
}

func (w *Worker) schedules(step Step) (messages, echoes schedule.Constant) {
	if step.Rate > 0 && w.publisher != nil {
		messages = schedule.NewConstant(step.Rate, step.Duration)
	}
	if step.Echo > 0 && len(w.joined) > 0 {
		echoes = schedule.NewConstant(step.Echo, step.Duration)
	}
	return messages, echoes
}

// idleTime returns how long nothing is due.
func (w *Worker) idleTime(step Step, messages schedule.Constant, issued uint32, echoes schedule.Constant, echoed uint32,
	elapsed time.Duration) time.Duration {
	until := min(pollInterval, step.Duration-elapsed)
	if issued < messages.Count() {
		until = min(until, messages.At(issued)-elapsed)
	}
	if echoed < echoes.Count() {
		until = min(until, echoes.At(echoed)-elapsed)
	}
	return max(until, 0)
}

// recordLag records how late a due message is looked at: the load tester's part of its latency.
func (w *Worker) recordLag(due uint64) {
	late := time.Duration(client.Now() - due)
	w.tallies.Lag.Record(late)
	w.secondLag.Record(late)
	if late > LateAfter {
		w.counts.Late++
	}
}

func (w *Worker) stopReason(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case w.job.MaxErrors > 0 && w.counts.Failed >= w.job.MaxErrors:
		return ErrRefused
	case w.job.Members > 0 && w.active == 0:
		return ErrAllLost
	}
	return nil
}

// drainQueue waits a while for what is due and not sent, then for answers, which have limits.
func (w *Worker) drainQueue(most time.Duration) error {
	if w.publisher == nil {
		return nil
	}
	until := client.Now() + uint64(most)
	for w.publisher.busy() {
		if now := client.Now(); now >= until {
			n := uint64(w.publisher.dropQueue())
			w.counts.NotSent += n
			if !w.publisher.busy() {
				break
			}
			if now >= until+uint64(RequestTimeout) {
				w.publisher.failPending()
				break
			}
		}
		if err := w.poll(pollInterval); err != nil {
			return err
		}
	}
	return nil
}

// Accepted returns the numbers of the accepted messages, by stream; nil if it does not publish.
func (w *Worker) Accepted() []delivery.Set {
	if w.publisher == nil {
		return nil
	}
	return w.publisher.accepted()
}

// Settle waits until every member that has not given up has what it must have, at most for a while,
// and returns what was measured. The accepted messages are those of all steps.
func (w *Worker) Settle(ctx context.Context, accepted []delivery.Set, most time.Duration) (*Partial, error) {
	deadline := client.Now() + uint64(most)
	at := 0
	for {
		for at < len(w.joined) && (w.joined[at].gaveUp || w.joined[at].requiredCount() == 0 || w.hasAll(w.joined[at], accepted)) {
			at++
		}
		now := client.Now()
		if at == len(w.joined) || now >= deadline || ctx.Err() != nil {
			break
		}
		if err := w.poll(pollInterval); err != nil {
			return nil, err
		}
	}
	for until := client.Now() + uint64(min(duplicateWait, most)); client.Now() < until && ctx.Err() == nil; {
		if err := w.poll(pollInterval / 4); err != nil {
			return nil, err
		}
	}
	w.tickSecond(client.Now()) // the last part of a second is one, too
	return w.partial(accepted), nil
}
