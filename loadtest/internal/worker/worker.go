//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

const (
	// dialling is how many connections may be in the making at once.
	dialling = 512
	// patience is how long a connection may take from its beginning until it is in its room.
	patience = 10 * time.Second
	// lookout is how much longer is waited when everybody has everything: for duplicates.
	lookout = 200 * time.Millisecond
	// pause is how often a loop looks whether it was told to end.
	pause = 20 * time.Millisecond
	// countEvery is how often counts are told, so that a terminal shows them moving; latencies and CPU are told each second.
	countEvery = 200 * time.Millisecond
	// tracedRooms is of how many rooms latencies are kept apart.
	tracedRooms = 1000
)

// LateAfter is the lag from which on a message counts as sent late.
const LateAfter = 10 * time.Millisecond

// What ends a step before its time.
var (
	ErrRefused  = errors.New("too many messages were refused or unanswered")
	ErrDeserted = errors.New("all connections were lost")
)

// A Worker carries out one job. It belongs to one goroutine, but for Tick's callback, which is called from it.
type Worker struct {
	job      Job
	loop     *swarm.Loop
	targets  []*swarm.Target
	template *stamp.Template
	spread   schedule.Spread
	tick     func(*Tick)

	rooms   []room
	members []*member
	waiting []*member // that want to dial, first come first served
	dials   int       // connections in the making
	staying int       // members that are connected or may still be
	joined  []*member // in the order of their joining
	over    bool      // the score is made: what ends now is no failure

	publisher publisher
	clients   *speakers // nil without
	echoes    echoes

	start   uint64 // of the step
	counts  Counts // but for what partial adds
	tracked int    // messages that are followed to their last receiver

	behaving bool
	timers   []*swarm.Timer // of the behaviour
	data     []byte
	text     []byte

	// What was measured since the last Settle.
	tallies Tallies
	// What was measured since the last tick: of messages to members that were there, and of those that were missed at first.
	secondLive, secondReplayed, secondLag, untold *latency.Tally
	last                                          uint64
	failures                                      *failure.Log
	ticked, counted                               uint64
	tickCPU                                       time.Duration
}

// publisher is who issues messages: over HTTP or as clients.
type publisher interface {
	// issue sends the next message of a room, which is due at a time, as soon as it can.
	issue(room int, due, now uint64)
	// busy reports whether messages wait for being sent or for their answers.
	busy() bool
	// giveUpWaiting returns how many wait for being sent, and forgets them.
	giveUpWaiting() int
	// giveUp counts what has no answer as failed.
	giveUp()
	// accepted returns the numbers of the messages that the server took, by stream.
	accepted() []account.Set
	close()
}

type room struct {
	name     string
	members  int // that must have everything
	latency  *latency.Tally
	arrivals [][]arrival // by stream of the room, by number
	sent     []uint32    // by stream of the room: the next number
}

// arrival is what became of a message: how many members have it, and when the last of them got it, in µs after it was due.
type arrival struct{ count, last uint32 }

// Open returns the worker of a job. tick is called each second, and with counts alone in between.
func Open(job Job, tick func(*Tick)) (*Worker, error) {
	speech, err := job.dialect()
	if err != nil {
		return nil, err
	}
	template, err := stamp.New(job.Run, job.PayloadBytes)
	if err != nil {
		return nil, err
	}
	loop, err := swarm.Open(swarm.Options{Dialect: speech, Deflate: job.Deflate, Sources: job.Sources})
	if err != nil {
		return nil, err
	}
	w := &Worker{
		job: job, loop: loop, template: template, spread: schedule.NewSpread(max(len(job.Rooms), 1), job.Exponent), tick: tick,
		failures: failure.NewLog(), staying: job.Members, tallies: NewTallies(),
	}
	for _, t := range []**latency.Tally{&w.secondLive, &w.secondReplayed, &w.secondLag, &w.untold} {
		*t = latency.New(latency.Fine)
	}
	for i := range job.Targets {
		w.targets = append(w.targets, job.Targets[i].Target(job.Token))
	}
	w.seat()
	if job.Publish.Publishers > 0 {
		if job.Publish.ByClients && job.Mode == swarm.WebSocket {
			w.clients = newSpeakers(w, speech)
			w.publisher = w.clients
		} else {
			w.publisher = newPublishing(w, speech)
		}
	}
	w.echoes = echoes{w: w, dialect: speech}
	return w, nil
}

// seat gives each member its room.
func (w *Worker) seat() {
	writers := max(w.job.Publish.Writers, 1)
	for i, name := range w.job.Rooms {
		r := room{name: name, arrivals: make([][]arrival, writers), sent: make([]uint32, writers)}
		if i < tracedRooms && len(w.job.Rooms) > 1 {
			r.latency = latency.New(latency.Coarse)
		}
		w.rooms = append(w.rooms, r)
	}
	w.members = make([]*member, w.job.Members)
	for i := range w.members {
		n := w.job.First + i
		m := &member{w: w, index: int32(i), room: int32(w.spread.Of(n)), home: int32(n % len(w.targets))}
		switch b := w.job.Behaviour; b.Kind {
		case Slow:
			m.slow = schedule.Share(n, b.Share)
		case Churn:
			m.fleeting = true
		}
		w.members[i] = m
	}
}

// Close ends all connections.
func (w *Worker) Close() error {
	w.over = true
	if w.publisher != nil {
		w.publisher.close()
	}
	return w.loop.Close()
}

// Connect opens the job's connections at their rate and returns when each has joined or failed, or ctx ends. took is the
// time until the last one joined.
func (w *Worker) Connect(ctx context.Context) (took time.Duration, err error) {
	begun := swarm.Now()
	rate := w.job.ConnectRate
	for next := 0; ; {
		now := swarm.Now()
		due := len(w.members)
		if rate > 0 {
			due = int(schedule.ConstantOf(rate, uint32(len(w.members))).Due(time.Duration(now - begun)))
		}
		for ; next < due && w.dials < dialling; next++ {
			w.members[next].dial(now)
		}
		if next == len(w.members) && w.dials == 0 && len(w.waiting) == 0 {
			break
		}
		if err := w.step(ctx, min(pause, time.Duration(float64(time.Second)/max(rate, 1000)))); err != nil {
			return 0, err
		}
	}
	took = time.Duration(swarm.Now() - begun)
	if w.clients != nil {
		if err := w.clients.connect(ctx); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// step handles what happened, waiting for it at most the time given.
func (w *Worker) step(ctx context.Context, most time.Duration) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return w.turn(most)
}

// turn is a step whatever the caller was told.
func (w *Worker) turn(most time.Duration) error {
	if err := w.loop.Step(most); err != nil {
		return fmt.Errorf("wait for the sockets: %w", err)
	}
	w.dialWaiting()
	switch now := swarm.Now(); {
	case now-w.ticked >= uint64(time.Second):
		w.report(now)
	case now-w.counted >= uint64(countEvery) && w.tick != nil:
		w.counted = now
		w.tick(w.countsNow())
	}
	return nil
}

// countsNow returns a tick with counts alone.
func (w *Worker) countsNow() *Tick {
	return &Tick{Connected: w.connected(), Staying: w.staying, Sent: w.counts.Sent, Received: w.counts.Received, Failures: w.failures.Total()}
}

// Idle lets time pass.
func (w *Worker) Idle(ctx context.Context, d time.Duration) error {
	for until := swarm.Now() + uint64(d); swarm.Now() < until; {
		if err := w.step(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// streams returns the sets of a member's room.
func (w *Worker) streams(m *member, accepted []account.Set) []*account.Set {
	writers := max(w.job.Publish.Writers, 1)
	var sets []*account.Set
	for k := range writers {
		if i := int(m.room)*writers + k; i < len(accepted) {
			sets = append(sets, &accepted[i])
		}
	}
	return sets
}

func (w *Worker) holds(m *member, accepted []account.Set) bool {
	if m.echo != nil && !m.echo.answers.Holds(&m.echo.sent) {
		return false
	}
	return m.ledger.Holds(w.streams(m, accepted)...)
}

// report tells what this second was like.
func (w *Worker) report(now uint64) {
	cpu, _ := machine.Used()
	t := w.countsNow()
	w.roll()
	t.Second = true
	t.Latency, t.Lag = w.untold.Take(), w.secondLag.Take()
	if elapsed := now - w.ticked; w.ticked > 0 && elapsed > uint64(time.Second/2) {
		t.CPU = float64(cpu-w.tickCPU) / float64(elapsed)
	}
	w.ticked, w.counted, w.tickCPU = now, now, cpu
	if w.tick != nil {
		w.tick(t)
	}
}

// roll adds the last second to the run: recording each delivery once is what keeps the load tester ahead of the server.
func (w *Worker) roll() {
	w.tallies.Live.Merge(w.secondLive)
	for _, t := range []*latency.Tally{w.secondLive, w.secondReplayed} {
		w.tallies.Latency.Merge(t)
		w.untold.Merge(t)
		t.Reset()
	}
}

func (w *Worker) connected() (n int) {
	for _, m := range w.members {
		if m.seated {
			n++
		}
	}
	return n
}
