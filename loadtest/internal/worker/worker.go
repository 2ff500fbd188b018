//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
)

const (
	// maxDialing is how many connections may be in the making at once.
	maxDialing = 512
	// joinTimeout is how long a connection may take from its beginning until it is in its room.
	joinTimeout = 10 * time.Second
	// duplicateWait is how much longer is waited when everybody has everything: for duplicates.
	duplicateWait = 200 * time.Millisecond
	// pollInterval is how often a loop checks its context.
	pollInterval = 20 * time.Millisecond
	// countsInterval is how often ticks have counts alone; latencies and CPU follow each second.
	countsInterval = 200 * time.Millisecond
	// tracedRooms is of how many rooms latencies are kept apart.
	tracedRooms = 1000
)

// LateAfter is the lag from which on a message counts as sent late.
const LateAfter = 10 * time.Millisecond

// What ends a step before its time.
var (
	ErrRefused = errors.New("too many messages were refused or unanswered")
	ErrAllLost = errors.New("all connections were lost")
)

// A Worker carries out one job. It belongs to one goroutine, which also calls tick.
type Worker struct {
	job      Job
	loop     *client.Loop
	targets  []*client.Target
	template *stamp.Template
	spread   schedule.Spread
	tick     func(*Tick)

	rooms   []room
	members []*member
	waiting []*member // that want to dial, first come first served
	dials   int       // connections in the making
	active  int       // members that are connected or may still be
	joined  []*member // in the order of their joining
	closed  bool      // the score is made: what ends now is no failure

	history   *history // nil without
	publisher publisher
	clients   *wsPublisher // nil without
	echoes    echoes

	counts  Counts // but for what partial adds
	tracked int    // messages that are followed to their last receiver

	behaviourOn bool
	timers      []*client.Timer // of the behaviour
	data        []byte
	text        []byte

	// What was measured since the last Settle.
	tallies Tallies
	// Since the last tick; live to members that were there, replayed what they missed at first.
	secondLive, secondReplayed, secondLag, sinceTick *latency.Tally
	last                                             uint64
	failures                                         *failure.Log
	lastTick, lastCounts                             uint64
	tickCPU                                          time.Duration
}

// A publisher sends messages: over HTTP or as clients.
type publisher interface {
	// publish sends the next message of a room, which is due at a time, as soon as it can.
	publish(room int, due, now uint64)
	// busy reports whether messages wait for being sent or for their answers.
	busy() bool
	// dropQueue returns how many wait for being sent, and forgets them.
	dropQueue() int
	// failPending counts what has no answer as failed.
	failPending()
	// accepted returns the numbers of the messages that the server took, by stream.
	accepted() []delivery.Set
}

type room struct {
	name     string
	required int // that must have everything
	latency  *latency.Tally
	arrivals [][]arrival // by stream of the room, by number
	sent     []uint32    // by stream of the room: the next number
}

// arrival is how many members have a message, and how many µs after it was due the last got it.
type arrival struct{ count, last uint32 }

// Open returns the worker of a job. tick is called each second, and with counts alone in between.
func Open(job Job, tick func(*Tick)) (*Worker, error) {
	job.EchoPosts, job.Publish.Batch = max(job.EchoPosts, 1), max(job.Publish.Batch, 1)
	job.Publish.Writers = max(job.Publish.Writers, 1)
	speech, err := job.codec()
	if err != nil {
		return nil, err
	}
	template, err := stamp.New(job.Run, job.PayloadBytes)
	if err != nil {
		return nil, err
	}
	loop, err := client.Open(client.Options{Protocol: speech, Deflate: job.Deflate, Sources: job.Sources, Roots: client.Roots(job.CA), Header: job.Header})
	if err != nil {
		return nil, err
	}
	w := &Worker{
		job: job, loop: loop, template: template, spread: schedule.NewSpread(max(len(job.Rooms), 1), job.Exponent), tick: tick,
		failures: failure.NewLog(), active: job.Members, tallies: NewTallies(), history: newHistory(&job),
	}
	for _, t := range []**latency.Tally{&w.secondLive, &w.secondReplayed, &w.secondLag, &w.sinceTick} {
		*t = latency.New(latency.Fine)
	}
	for i := range job.Targets {
		w.targets = append(w.targets, job.Targets[i].Target(job.Token))
	}
	w.assignRooms()
	if job.Publish.Publishers > 0 {
		if job.Publish.ByClients && job.Mode == client.WebSocket {
			w.clients = newWSPublisher(w, speech)
			w.publisher = w.clients
		} else {
			w.publisher = newHTTPPublisher(w, speech)
		}
	}
	w.echoes = echoes{w: w, codec: speech}
	return w, nil
}

func (w *Worker) assignRooms() {
	writers := w.job.Publish.Writers
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
			m.churning = true
		}
		w.members[i] = m
	}
}

// Close ends all connections.
func (w *Worker) Close() error {
	w.history.end(w.members)
	w.closed = true
	return w.loop.Close()
}

// Connect opens the job's connections at their rate and returns when each has joined or failed, or
// ctx ends. took is the time until the last one joined.
func (w *Worker) Connect(ctx context.Context) (took time.Duration, err error) {
	begun := client.Now()
	rate := w.job.ConnectRate
	for next := 0; ; {
		now := client.Now()
		due := len(w.members)
		if rate > 0 {
			due = int(schedule.ConstantOf(rate, uint32(len(w.members))).Due(time.Duration(now - begun)))
		}
		for ; next < due && w.dials < maxDialing; next++ {
			w.members[next].dial(now)
		}
		if next == len(w.members) && w.dials == 0 && len(w.waiting) == 0 {
			break
		}
		if err := w.pollCtx(ctx, min(pollInterval, time.Duration(float64(time.Second)/max(rate, 1000)))); err != nil {
			return 0, err
		}
	}
	took = time.Duration(client.Now() - begun)
	if w.clients != nil {
		if err := w.clients.connect(ctx); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// pollCtx is poll, unless ctx has ended.
func (w *Worker) pollCtx(ctx context.Context, most time.Duration) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return w.poll(most)
}

// poll handles events and timers, waiting at most so long.
func (w *Worker) poll(most time.Duration) error {
	if err := w.loop.Step(most); err != nil {
		return fmt.Errorf("wait for the sockets: %w", err)
	}
	w.dialWaiting()
	switch now := client.Now(); {
	case now-w.lastTick >= uint64(time.Second):
		w.tickSecond(now)
	case now-w.lastCounts >= uint64(countsInterval) && w.tick != nil:
		w.lastCounts = now
		w.tick(w.tickCounts())
	}
	return nil
}

func (w *Worker) tickCounts() *Tick {
	return &Tick{Connected: w.connected(), Sent: w.counts.Sent, Received: w.counts.Received, Failures: w.failures.Total()}
}

// Idle lets time pass.
func (w *Worker) Idle(ctx context.Context, d time.Duration) error {
	for until := client.Now() + uint64(d); client.Now() < until; {
		if err := w.pollCtx(ctx, pollInterval); err != nil {
			return err
		}
	}
	return nil
}

// streams returns the sets of a member's room.
func (w *Worker) streams(m *member, accepted []delivery.Set) []*delivery.Set {
	writers := w.job.Publish.Writers
	var sets []*delivery.Set
	for k := range writers {
		if i := int(m.room)*writers + k; i < len(accepted) {
			sets = append(sets, &accepted[i])
		}
	}
	return sets
}

func (w *Worker) hasAll(m *member, accepted []delivery.Set) bool {
	if m.echo != nil && !m.echo.answers.HasAll(&m.echo.sent) {
		return false
	}
	return m.tracker.HasAll(w.streams(m, accepted)...)
}

func (w *Worker) tickSecond(now uint64) {
	cpu, _ := machine.Used()
	t := w.tickCounts()
	w.mergeSecond()
	t.Second = true
	t.Latency, t.Lag = w.sinceTick.Take(), w.secondLag.Take()
	if elapsed := now - w.lastTick; w.lastTick > 0 && elapsed > uint64(time.Second/2) {
		t.CPU = float64(cpu-w.tickCPU) / float64(elapsed)
	}
	w.lastTick, w.lastCounts, w.tickCPU = now, now, cpu
	if w.tick != nil {
		w.tick(t)
	}
}

// mergeSecond adds the last second to the run: each delivery is recorded once, to stay fast.
func (w *Worker) mergeSecond() {
	w.tallies.Live.Merge(w.secondLive)
	for _, t := range []*latency.Tally{w.secondLive, w.secondReplayed} {
		w.tallies.Latency.Merge(t)
		w.sinceTick.Merge(t)
		t.Reset()
	}
}

func (w *Worker) connected() (n int) {
	for _, m := range w.members {
		if m.joined {
			n++
		}
	}
	return n
}
