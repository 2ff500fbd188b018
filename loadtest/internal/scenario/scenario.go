//go:build linux

// Package scenario carries out a run with its workers, and adds up what they measured.
//
//	main ──▶ New(plan) ──▶ Run.Do        preflight, start workers, connect, send, settle, add up
//	                       Run.Snapshot  for the progress line, meanwhile
//	              │
//	              ├─ preflight.go   whether it can work at all, in seconds
//	              ├─ jobs.go        who does what: workers, members, addresses
//	              ├─ recorder.go    the seconds of the run, and the servers' memory and CPU
//	              ├─ ramp.go        faster and faster
//	              └─ result.go      the result
package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/progress"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
	"github.com/zonecast/zonecast/loadtest/internal/workers"
)

// headStart is how long before its first message a step is ordered, for all workers to know of it.
const headStart = 100 * time.Millisecond

// A Run carries out one plan, once.
type Run struct {
	plan settings.Plan
	name string // in the stamps
	// Spawn returns the command that starts a worker; needed for several processes only.
	Spawn func() *exec.Cmd
	// History, unless nil, is what --history is written to; it keeps its errors.
	History io.Writer

	addresses addresses
	workers   []*workers.Client
	recorder  *recorder
	phase     atomic.Pointer[phase]
	servers   *servers
	rate      float64 // of the step under way
}

// A phase is a part of the run.
type phase struct {
	name  string
	since time.Time
	of    time.Duration
}

// New returns the run of a plan.
func New(plan settings.Plan) *Run {
	r := &Run{plan: plan, name: stamp.NewRun(), rate: plan.Rate, servers: &servers{}}
	r.recorder = newRecorder(r)
	r.setPhase("check", 0)
	return r
}

func (r *Run) setPhase(name string, of time.Duration) {
	r.phase.Store(&phase{name: name, since: time.Now(), of: of})
}

// Snapshot returns the state of the run for its progress line. It may be called at any time.
func (r *Run) Snapshot() progress.Snapshot {
	p := r.phase.Load()
	s := r.recorder.snapshot()
	s.Phase, s.Elapsed, s.Of, s.Connections = p.name, time.Since(p.since), p.of, r.plan.Connections
	return s
}

// WriteHDR writes each second's latencies as an HDR histogram log, once Do has returned.
func (r *Run) WriteHDR(w io.Writer) error { return r.recorder.writeHDR(w) }

// errInterrupted is the cause of the end of a run that a person ended; the others are worker's.
var errInterrupted = errors.New(report.Interrupted)

// Do carries out the run until it is over or ctx ends, and returns what was measured until then.
// The error is a [*TargetError], a [*limits.DescriptorError] or a [*limits.PortError] when there is
// nothing to measure, because the run could not begin.
func (r *Run) Do(ctx context.Context) (*report.Result, error) {
	if err := r.preflight(ctx); err != nil {
		return nil, err
	}
	defer r.closeWorkers()
	if err := r.startWorkers(ctx); err != nil {
		return nil, err
	}
	r.servers = r.findServers(ctx)
	r.recorder.begin()
	defer r.recorder.end()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := newTotal(r)
	joined, err := r.connect(ctx, t)
	if err != nil {
		return r.result(t, stopText(ctx, err, r.plan)), nil
	}
	r.servers.start(ctx)
	t.began()
	var stopped string
	switch {
	case joined == 0 && ctx.Err() == nil:
		stopped = "no member could connect"
		err = r.settle(ctx, t, 0)
	case ctx.Err() != nil:
		stopped = errInterrupted.Error()
		err = r.settle(ctx, t, 0)
	case r.plan.Scenario == settings.Ramp:
		stopped, err = r.ramp(ctx, cancel, t)
	default:
		var why error
		if why, err = r.send(ctx, cancel, t, r.plan.Duration); why != nil {
			stopped = stopText(ctx, why, r.plan)
		}
		err = cmp.Or(err, r.settle(ctx, t, r.plan.Settle)) // what the other workers measured counts when one of them failed
	}
	t.ended()
	r.servers.finish(context.WithoutCancel(ctx))
	if err != nil {
		stopped = err.Error()
	}
	r.setPhase("close", 0)
	return r.result(t, stopped), nil
}

// stopText says why a run ended before its time, for the report.
func stopText(ctx context.Context, why error, plan settings.Plan) string {
	switch {
	case errors.Is(why, worker.ErrRefused):
		return fmt.Sprintf("%v (--max-errors %d)", worker.ErrRefused, plan.MaxErrors)
	case errors.Is(why, worker.ErrAllLost) && plan.Reconnect > 0:
		return fmt.Sprintf("%v, and none came back within %v", worker.ErrAllLost, plan.Reconnect)
	case errors.Is(why, worker.ErrAllLost):
		return worker.ErrAllLost.Error()
	case ctx.Err() != nil || errors.Is(why, errInterrupted):
		return errInterrupted.Error()
	}
	return why.Error()
}

// sendAll sends every worker its command at once and returns their replies.
func (r *Run) sendAll(ctx context.Context, command func(i int) worker.Command) ([]worker.Reply, error) {
	answers, errs := make([]worker.Reply, len(r.workers)), make([]error, len(r.workers))
	var doing sync.WaitGroup
	for i, w := range r.workers {
		doing.Go(func() { answers[i], errs[i] = w.Do(ctx, command(i)) })
	}
	doing.Wait()
	return answers, errors.Join(errs...)
}

func (r *Run) connect(ctx context.Context, t *total) (joined int, err error) {
	s := schedule.ConstantOf(r.plan.ConnectRate, uint32(r.plan.Connections))
	r.setPhase("connect", s.At(s.Count()))
	_, err = r.sendAll(ctx, func(int) worker.Command { return worker.Command{Do: worker.DoConnect} })
	r.setPhase("joined", 0)
	answers, late := r.sendAll(ctx, func(int) worker.Command { return worker.Command{Do: worker.DoSettle} })
	for i, a := range answers {
		if a.Partial != nil {
			joined += int(a.Partial.Joined)
			t.parts[i] = a.Partial
			r.recorder.connects = append(r.recorder.connects, a.Partial)
		}
	}
	return joined, cmp.Or(err, late)
}

// send carries out one step, and returns why it ended before its time, nil if it did not.
func (r *Run) send(ctx context.Context, cancel context.CancelCauseFunc, t *total, d time.Duration) (why, err error) {
	r.setPhase("run", d)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	step := r.step(d)
	t.starts(step.Start)
	answers := make([]worker.Reply, len(r.workers))
	errs := make([]error, len(r.workers))
	var deserted atomic.Int32
	withMembers := int32(0) // workers
	for _, share := range r.addresses.shares {
		withMembers += int32(min(share.members, 1))
	}
	var sending sync.WaitGroup
	for i, w := range r.workers {
		share := r.addresses.shares[i]
		sending.Go(func() {
			own := step
			own.Echo *= float64(share.members) / float64(max(r.plan.Connections, 1))
			if !share.publishes {
				own.Rate, own.Window = 0, 0
			}
			answers[i], errs[i] = w.Do(ctx, worker.Command{Do: worker.DoSend, Step: &own})
			switch {
			case errs[i] != nil:
				stop(errs[i])
			case answers[i].Stopped == worker.StoppedRefused:
				stop(worker.ErrRefused)
			case answers[i].Stopped == worker.StoppedAllLost && deserted.Add(1) == withMembers:
				stop(worker.ErrAllLost)
			}
		})
	}
	sending.Wait()
	for _, a := range answers {
		if a.Accepted != nil {
			t.accepted = a.Accepted
		}
	}
	if ctx.Err() != nil {
		why = context.Cause(ctx)
		if errors.Is(why, context.Canceled) {
			why = errInterrupted
		}
		t.cut = time.Duration(client.Now() - step.Start)
	}
	return why, errors.Join(errs...)
}

// step returns what is sent in one stretch by all workers together.
func (r *Run) step(d time.Duration) worker.Step {
	s := worker.Step{Start: client.Now() + uint64(headStart), Duration: d}
	switch r.plan.Scenario {
	case settings.Idle:
	case settings.Echo:
		s.Echo = r.rate
	case settings.Mixed:
		s.Echo = r.rate * r.plan.EchoShare
		s.Rate = r.rate - s.Echo
	case settings.Flood:
		s.Window = r.plan.Window
	default:
		s.Rate = r.rate
	}
	return s
}

// settle waits for what is still on its way and collects what was measured.
func (r *Run) settle(ctx context.Context, t *total, most time.Duration) error {
	r.setPhase("settle", most)
	answers, err := r.sendAll(context.WithoutCancel(ctx), func(int) worker.Command {
		return worker.Command{Do: worker.DoSettle, Accepted: t.accepted, Most: most}
	})
	t.add(answers)
	return err
}

func (r *Run) startWorkers(ctx context.Context) error {
	for i, share := range r.addresses.shares {
		w, err := r.startWorker(ctx, i, share)
		if err != nil {
			return &TargetError{err.Error()}
		}
		r.workers = append(r.workers, w)
	}
	jobs := r.jobs()
	_, err := r.sendAll(ctx, func(i int) worker.Command { return worker.Command{Do: worker.DoOpen, Job: &jobs[i]} })
	if err != nil {
		return &TargetError{err.Error()}
	}
	return nil
}

func (r *Run) startWorker(ctx context.Context, i int, share share) (*workers.Client, error) {
	tick := r.recorder.ticker(i)
	switch {
	case share.at != "":
		w, uncertain, err := workers.Dial(ctx, share.at, r.plan.WorkerKey, tick)
		r.recorder.uncertain = max(r.recorder.uncertain, uncertain)
		return w, err
	case share.local:
		return workers.Local(tick), nil
	}
	return workers.Spawn(fmt.Sprintf("worker %d", i), r.Spawn(), tick)
}

func (r *Run) closeWorkers() {
	var ending sync.WaitGroup
	for _, w := range r.workers {
		ending.Go(w.Close)
	}
	ending.Wait()
}
