// Package scenario carries out a run.
//
//	main ──▶ New(plan) ──▶ Run.Do      preflight ▸ connect ▸ run ▸ settle ▸ score ▸ disconnect
//	                       Run.Snapshot  for the progress line, meanwhile
//	schedule ──▶ load.send             each message when it is due
//	ws       ──▶ load.receive          each frame that a member gets
//	                └──▶ Run.comeBack    when its connection breaks: reconnect, and go on from the last offset
//
// What counts: messages that are sent once all members have joined (or given up), that is all of them, and that the
// server accepted. Each member that joined must have all of them, whatever happened to its connection; those that arrive
// late because it was away are late by that much. They are waited for until each member has them that did not give up, at
// most for the plan's settle time. What arrives after that, while connections are being closed, counts for nobody. A member
// that never joined is expected to receive nothing, and is reported as such.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/ws"
)

const (
	// grace is how long after the end of the run messages that are due still go out.
	grace = time.Second
	// lookout is how much longer is waited when everybody has everything: for duplicates.
	lookout = 200 * time.Millisecond
	// lanesPerCore keeps goroutines from waiting for one another's histograms.
	lanesPerCore = 4
)

// A load is what differs from scenario to scenario: what is sent, and what is to come back.
type load interface {
	// probe sends something through the whole path once, before the run.
	probe(ctx context.Context) error
	// send issues message i and returns when the server has it, or an error when it does not.
	send(ctx context.Context, i uint32) error
	// receive takes a frame that a member got at a time counted from the run's creation.
	receive(m *member, f stamp.Frame, at time.Duration)
	// holds reports whether a member has all that it must have.
	holds(m *member) bool
	score(m *member) account.Score
	close()
}

// A Run carries out one plan, once.
type Run struct {
	// Static after New.
	plan     settings.Plan
	schedule schedule.Constant
	stamp    *stamp.Stamp
	reader   *stamp.Reader
	dialer   *ws.Dialer
	load     load
	created  time.Time // the zero of the run's own clock

	// Each safe for use by several goroutines.
	failures                                 *failure.Log
	latencies, connects, sends, lag, offline *latency.Recorder
	violations                               violations
	phase                                    atomic.Pointer[phase]
	start                                    atomic.Int64 // when message 0 is due, on the run's clock, in ns
	sent, failed, late                       atomic.Uint64
	p99                                      atomic.Int64 // of the last second, in ns
	live                                     atomic.Int64 // members connected now
	staying                                  atomic.Int64 // members that are connected or may still be
	broken, resumed                          atomic.Int64 // connections that ended too early, and those that replaced them
	over                                     atomic.Bool  // the score is made: what arrives now counts no more

	mu      sync.Mutex
	members []*member // joined; static once all have

	joined   atomic.Int64       // how many those are, once all have
	errands  sync.WaitGroup     // one per member: its reader, or its way back
	dialling chan struct{}      // a place for each member on its way back that may dial at the same time
	closing  context.Context    // ends when nobody is to come back any more
	forbid   context.CancelFunc // ends it
	deserted chan struct{}      // closed when the last member has given up
	refused  chan struct{}      // closed when the failed messages reach the plan's cap
}

// violations counts what [report.Violations] reports and the ledgers don't know.
type violations struct{ damaged, misrouted, unreadable, gaps atomic.Uint64 }

// A phase is a part of the run.
type phase struct {
	name  string
	since time.Time
	of    time.Duration
}

// New returns the run of a plan.
func New(plan settings.Plan) *Run {
	lanes := lanesPerCore * runtime.GOMAXPROCS(0)
	r := &Run{
		plan:      plan,
		schedule:  schedule.NewConstant(plan.Rate, plan.Duration),
		stamp:     stamp.New(stamp.NewRun(), plan.PayloadBytes),
		dialer:    ws.NewDialer(plan.Token),
		created:   time.Now(),
		failures:  failure.NewLog(),
		latencies: latency.New(lanes), connects: latency.New(1), sends: latency.New(1), lag: latency.New(1), offline: latency.New(1),
		dialling: make(chan struct{}, dialers),
		deserted: make(chan struct{}),
		refused:  make(chan struct{}),
	}
	r.staying.Store(int64(plan.Connections))
	r.closing, r.forbid = context.WithCancel(context.Background())
	r.reader = stamp.NewReader(r.stamp, plan.Room)
	r.load = newLoad(r)
	r.enter("check", 0)
	return r
}

func newLoad(r *Run) load {
	if r.plan.Scenario == settings.Echo {
		return &echo{run: r}
	}
	return newFanout(r)
}

func (r *Run) enter(name string, of time.Duration) {
	r.phase.Store(&phase{name: name, since: time.Now(), of: of})
}

// now returns the time on the run's clock.
func (r *Run) now() time.Duration { return time.Since(r.created) }

// Causes for which a run ends before its time.
var (
	errInterrupted = errors.New("interrupted")
	errRefused     = errors.New("too many messages were refused or unanswered")
	errDeserted    = errors.New("all connections were lost")
)

// Do carries out the run until it is over or ctx ends, and returns what was measured until then. The error is a
// [*TargetError] or a [*limits.DescriptorError] when there is nothing to measure, because the run could not begin.
func (r *Run) Do(ctx context.Context) (*report.Result, error) {
	defer r.load.close()
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	told := ctx
	ctx, cancel := r.untilItMakesNoSense(told)
	defer cancel()
	stopWatching := r.watchSeconds()
	defer stopWatching()

	res := r.newResult()
	defer r.disconnect()
	r.connect(ctx)
	switch {
	case told.Err() == nil && len(r.members) == 0:
		return r.finish(res, "no member could connect"), nil
	case ctx.Err() != nil:
		return r.finish(res, r.cause(ctx)), nil
	}

	res.usedBefore()
	res.result.StartedAt = time.Now().UTC()
	res.tally = r.send(ctx)
	r.settle()
	res.usedAfter()
	stopped := ""
	if ctx.Err() != nil && res.tally.Due < r.schedule.Count() {
		stopped = r.cause(ctx)
	}
	return r.finish(res, stopped), nil
}

// untilItMakesNoSense returns a context that ends with ctx, when too many messages were refused, and when no member is left.
func (r *Run) untilItMakesNoSense(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-r.refused:
			cancel(errRefused)
		case <-r.deserted:
			cancel(errDeserted)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// cause says why ctx ended, for the report.
func (r *Run) cause(ctx context.Context) string {
	switch err := context.Cause(ctx); {
	case errors.Is(err, errRefused):
		return fmt.Sprintf("%v (--max-errors %d)", err, r.plan.MaxErrors)
	case errors.Is(err, errDeserted) && r.plan.Reconnect > 0:
		return fmt.Sprintf("%v, and none came back within %v", err, r.plan.Reconnect)
	case errors.Is(err, errDeserted):
		return err.Error()
	}
	return errInterrupted.Error()
}

// send drives the schedule and returns what became of it.
func (r *Run) send(ctx context.Context) schedule.Tally {
	r.enter("run", r.plan.Duration)
	start := time.Now()
	r.start.Store(int64(start.Sub(r.created)))
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.plan.Settle, giveUp) })()

	pool := schedule.Pool{Workers: r.plan.Publishers, Grace: grace}
	return schedule.Drive(ctx, r.schedule, start, pool, func(i uint32, late time.Duration) {
		r.lag.Lane(0).Record(late)
		if late > report.LateAfter {
			r.late.Add(1)
		}
		if err := r.load.send(sending, i); err != nil {
			r.failures.Add("send", err)
			if r.failed.Add(1) == r.plan.MaxErrors {
				close(r.refused)
			}
			return
		}
		r.sent.Add(1)
	})
}

// settle waits until every member that has not given up has what it must have.
func (r *Run) settle() {
	r.enter("settle", r.plan.Settle)
	deadline := time.Now().Add(r.plan.Settle)
	for !r.complete() {
		if !time.Now().Before(deadline) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(min(lookout, r.plan.Settle))
}

func (r *Run) complete() bool {
	for _, m := range r.members {
		if !m.hasGivenUp() && !r.load.holds(m) {
			return false
		}
	}
	return true
}

// watchSeconds keeps the P99 of the last second until the returned function is called.
func (r *Run) watchSeconds() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				r.p99.Store(int64(r.latencies.Rotate().P99))
			}
		}
	}()
	return func() { close(done); <-ended }
}
