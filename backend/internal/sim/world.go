// Package sim simulates a cluster: the real hub, broker, outbox and transports over connections in
// memory, a model of Redis that runs the real scripts, and clients written from docs/protocol.md.
//
//	seed ──▶ Scenario ──▶ world: one event at a time ──▶ instances, Redis, clients, publishers
//	                        │  ▲ what they wrote, in links with delays
//	                        └──┴──▶ transcript, records ──▶ history.Check
//
// Everything runs in one testing/synctest bubble. The world makes one thing happen, waits until all
// goroutines have come to rest, and chooses the next. A seed decides the scenario, each delay and
// so the order of all that happens: the same seed has the same transcript.
package sim

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/chance"
	"github.com/zonecast/zonecast/backend/internal/history"
)

// A Result is what came of a simulation.
type Result struct {
	Transcript string
	Records    []history.Record
	Violations []string
}

type world struct {
	scenario *Scenario
	rand     *rand.Rand
	net      *network
	redis    *redisModel
	began    time.Time

	instances   []*instance
	started     int
	clients     []*client
	publishers  []*publisher
	connections int
	timers      []timer
	calm        bool // all faults are over

	steps *atomic.Int64 // that the world made, for the watchdog

	out    strings.Builder
	epochs map[string]string // short names of them, as they come
	result Result
}

type timer struct {
	at time.Time
	do func()
}

func (w *world) logf(who, format string, args ...any) {
	fmt.Fprintf(&w.out, "%9.6f %-3s ", time.Since(w.began).Seconds(), who)
	fmt.Fprintf(&w.out, format+"\n", args...)
}

func (w *world) failf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.logf("!", "%s", text)
	w.result.Violations = append(w.result.Violations, text)
}

func (w *world) record(r history.Record) {
	r.At = time.Since(w.began).Milliseconds()
	w.result.Records = append(w.result.Records, r)
}

var offsets = regexp.MustCompile(`\b[a-z0-9]{8,32}-\d+`)

// text gives the epochs in a text short names: e1, e2 …
func (w *world) text(text string) string {
	return offsets.ReplaceAllStringFunc(text, func(offset string) string {
		epoch, n, _ := strings.Cut(offset, "-")
		if w.epochs[epoch] == "" {
			w.epochs[epoch] = fmt.Sprintf("e%d", len(w.epochs)+1)
		}
		return w.epochs[epoch] + "-" + n
	})
}

// pick returns an instance that takes connections, or nil.
func (w *world) pick(r *rand.Rand) *instance {
	var open []*instance
	for _, in := range w.instances {
		if !in.leaving {
			open = append(open, in)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[r.IntN(len(open))]
}

func (w *world) after(d time.Duration, do func()) {
	w.timers = append(w.timers, timer{time.Now().Add(d), do})
}

func (w *world) randOf(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return rand.New(rand.NewPCG(w.scenario.Seed, h.Sum64()))
}

// startInstance starts one beside the world, since it waits for Redis.
func (w *world) startInstance() {
	w.started++
	name := fmt.Sprintf("i%d", w.started)
	w.logf(name, "starts")
	type started struct {
		in  *instance
		err error
	}
	done := make(chan started, 1)
	go func() {
		in, err := startInstance(name, w.redis, w.scenario)
		done <- started{in, err}
	}()
	var look func()
	look = func() {
		select {
		case s := <-done:
			if s.err != nil {
				w.logf(name, "could not start: Redis is away")
				w.after(500*time.Millisecond, w.startInstance)
				return
			}
			w.instances = append(w.instances, s.in)
			w.logf(name, "is ready")
		default:
			w.after(10*time.Millisecond, look)
		}
	}
	w.after(time.Millisecond, look)
}

// Run simulates a scenario.
func Run(t *testing.T, s *Scenario) Result { return run(t, s, false) }

// run simulates one. With a trace the transcript has each delivery of the network, too.
func run(t *testing.T, s *Scenario, trace bool) Result {
	chance.FollowClock()
	var result Result
	steps := new(atomic.Int64)
	defer watch(s.Seed, steps)()
	synctest.Test(t, func(t *testing.T) {
		w := &world{scenario: s, rand: rand.New(rand.NewPCG(s.Seed, 2)), net: &network{seed: s.Seed}, began: time.Now(),
			epochs: map[string]string{}, steps: steps}
		if trace {
			w.net.trace = func(l *link, what string) { w.logf("net", "%s %s", l.name, what) }
		}
		time.Sleep(time.Duration(w.rand.Int64N(1e6)) * time.Microsecond) // each seed draws at moments of its own
		w.run(t)
		w.result.Transcript = s.String() + w.out.String()
		result = w.result
	})
	broken := history.Check(result.Records, history.Limits{Messages: s.History, UnseenLossUntold: true, LateMS: s.late()})
	slices.SortStableFunc(broken, func(a, b history.Violation) int {
		return cmp.Or(cmp.Compare(a.Lines[0], b.Lines[0]), strings.Compare(a.Text, b.Text))
	})
	for _, v := range broken {
		result.Violations = append(result.Violations, v.Error())
	}
	return result
}

// settle is how long everything has, once healed, to come to rest: a stale subscription is found
// within two rounds of the broker's comparison.
const settle = 35 * time.Second

func (w *world) run(t *testing.T) {
	var err error
	if w.redis, err = newRedisModel(w.net); err != nil {
		t.Fatal(err)
	}
	w.redis.skew = w.scenario.Skew
	w.redis.onLose = func(c *redisConn, channel string) {
		w.logf("bus", "a message of %s to %s is lost", channel, c.instance)
	}
	for range w.scenario.Instances {
		w.startInstance()
		w.until(time.Now().Add(60 * time.Millisecond))
	}
	for _, a := range w.scenario.Clients {
		w.clients = append(w.clients, newClient(w, a, time.Now().Add(time.Duration(w.rand.Int64N(int64(3*time.Second))))))
	}
	for _, a := range w.scenario.Publishers {
		p := &publisher{w: w, Actor: a, rand: w.randOf(a.Name), next: time.Now().Add(time.Duration(w.rand.Int64N(int64(time.Second)))), last: map[string]bool{}}
		for _, room := range a.Rooms {
			p.last[room] = true
		}
		w.publishers = append(w.publishers, p)
	}
	for _, f := range w.scenario.Faults {
		w.after(f.At, func() { w.fault(f) })
	}
	w.until(time.Now().Add(w.scenario.Length))
	w.heal()
	w.until(time.Now().Add(settle))
	w.rest()
	w.end()
}

// until lets everything happen up to a time: one thing, until all are at rest, then the next. What
// happens next follows from the seed: nothing else is chosen here.
func (w *world) until(end time.Time) {
	for {
		synctest.Wait()
		now := time.Now()
		if !now.Before(end) {
			return
		}
		do, at := w.next()
		if do != nil && !at.After(now) {
			do()
			w.steps.Add(1)
			time.Sleep(step)
			continue
		}
		// What the instances write meanwhile is seen when it ends.
		quantum := 20 * time.Millisecond
		if w.calm {
			quantum = 100 * time.Millisecond
		}
		wake := now.Add(quantum)
		if do != nil && at.Before(wake) {
			wake = at
		}
		time.Sleep(wake.Add(time.Microsecond - 1).Truncate(time.Microsecond).Sub(now)) // see moment
	}
}

// step is the time between two things that the world does, in which the writers of an instance have
// their rounds: each takes a nanosecond.
const step = 10 * time.Microsecond

// next returns what is due first, and when; nil for nothing.
func (w *world) next() (do func(), at time.Time) {
	first := func(due time.Time, what func()) {
		if !due.IsZero() && (do == nil || due.Before(at)) {
			do, at = what, due
		}
	}
	for i, t := range w.timers {
		first(t.at, func() {
			w.timers = append(w.timers[:i:i], w.timers[i+1:]...)
			t.do()
		})
	}
	for _, c := range w.clients {
		first(c.due(), c.act)
	}
	for _, p := range w.publishers {
		first(p.due(), p.act)
	}
	if l, due := w.net.next(); l != nil {
		first(due, func() { w.net.deliverNext(l) })
	}
	return do, at
}

// rest asks where the rooms stand, by clients that join afresh.
func (w *world) rest() {
	var askers []*client
	for _, room := range roomNames {
		askers = append(askers, newClient(w, Actor{"ask-" + room, "ws", []string{room}}, time.Now()))
	}
	clients := w.clients
	w.clients = append(append([]*client{}, clients...), askers...)
	w.until(time.Now().Add(3 * time.Second))
	for _, c := range askers {
		if c.at[c.rooms[0]] == "" {
			w.failf("liveness: nobody can join %s at rest", c.rooms[0])
			continue
		}
		w.record(history.Record{Kind: history.Newest, Room: c.rooms[0], Offset: c.at[c.rooms[0]]})
	}
	w.clients = clients
}

// end lets go of everything, so that no goroutine is left.
func (w *world) end() {
	all := w.instances
	for _, in := range all {
		if !in.leaving {
			in.kill(w.redis)
		}
	}
	w.clients, w.publishers, w.timers = nil, nil, nil
	for _, in := range all {
		for over := false; !over; w.until(time.Now().Add(100 * time.Millisecond)) {
			select {
			case <-in.ended:
				over = true
			default:
			}
		}
	}
	w.redis.store.mini.Close()
}
