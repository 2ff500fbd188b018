//go:build linux

package scenario

import (
	"fmt"
	"runtime"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// A total is a result in the making: what all workers measured in all steps.
type total struct {
	run *Run
	worker.Tallies
	accepted []delivery.Set
	parts    []*worker.Partial // the last one of each worker: its counts are of its whole life
	rooms    []*latency.Tally  // by room

	start         uint64        // when the first message of the last step is due
	first         uint64        // of the first step
	at            time.Time     // of the first step, for people
	cut           time.Duration // how long the last step took if it ended before its time
	before, after usage
}

// usage is what was used until a time.
type usage struct {
	at        time.Time
	cpu, idle time.Duration
}

func readUsage() (u usage) {
	u.at = time.Now()
	u.cpu, _ = machine.Used()
	u.idle, _ = machine.Idle()
	return u
}

func newTotal(r *Run) *total {
	return &total{run: r, Tallies: worker.NewTallies(), parts: make([]*worker.Partial, len(r.workers)), rooms: make([]*latency.Tally, len(r.plan.Rooms))}
}

func (t *total) began() { t.before = readUsage() }
func (t *total) ended() { t.after = readUsage() }

func (t *total) starts(at uint64) {
	t.start, t.cut = at, 0
	if t.first == 0 {
		t.first, t.at = at, time.Now().Add(time.Duration(at-client.Now())).UTC()
	}
}

// add takes what the workers measured since the last time. The members of one that failed are not
// connected any more, and what they received since then is not known.
func (t *total) add(answers []worker.Reply) {
	for i, a := range answers {
		if a.Partial == nil {
			if t.parts[i] != nil {
				t.parts[i].Missing = t.parts[i].Joined
			}
			continue
		}
		t.parts[i] = a.Partial
		t.Merge(&a.Partial.Tallies)
		for k := range a.Partial.Rooms {
			if tally := a.Partial.Rooms[k].Latency; tally != nil {
				if t.rooms[k] == nil {
					t.rooms[k] = latency.New(latency.Coarse)
				}
				t.rooms[k].Merge(tally)
			}
		}
	}
}

// sum adds the workers' counts up.
func (t *total) sum() (all worker.Partial) {
	all.Rooms = make([]worker.RoomPart, len(t.run.plan.Rooms))
	for _, p := range t.parts {
		if p != nil {
			addPart(&all, p)
		}
	}
	all.Messages.Add(all.Echoes)
	all.Messages.Add(all.Visits)
	return all
}

func addPart(all, p *worker.Partial) {
	all.Counts.Add(p.Counts)
	all.Last = max(all.Last, p.Last)
	all.Failures = append(all.Failures, p.Failures...)
	for k := range p.Rooms {
		room, part := &all.Rooms[k], &p.Rooms[k]
		room.Members += part.Members
		room.Required += part.Required
		room.Totals.Add(part.Totals)
		for s, arrivals := range part.Arrivals {
			if s == len(room.Arrivals) {
				room.Arrivals = append(room.Arrivals, arrivals)
			} else {
				room.Arrivals[s] = room.Arrivals[s].Merge(arrivals)
			}
		}
	}
}

// result enters everything that was counted.
func (r *Run) result(t *total, stopped string) *report.Result {
	for _, p := range r.recorder.connects {
		t.Connects.Merge(p.Connects)
	}
	r.recorder.end()
	all := t.sum()
	res := &report.Result{
		Schema: report.Schema, Settings: r.reportSettings(), StartedAt: t.at, Stopped: stopped,
		Connections: report.Connections{
			Asked: r.plan.Connections, Joined: int(all.Joined), Broken: int(all.Broken), Resumed: int(all.Resumed),
			Lost: int(all.Missing), Dropped: int(all.Dropped),
		},
		Messages: messagesOf(all.Counts), Violations: violationsOf(all.Counts), SuccessPercent: successOf(all.Messages),
		Latency: report.TimesOf(t.Latency.Summary()), Live: report.TimesOf(t.Live.Summary()),
		Connect: report.TimesOf(t.Connects.Summary()), Offline: report.TimesOf(t.Offline.Summary()),
		Replay: report.TimesOf(t.Replay.Summary()), Publish: report.TimesOf(t.Sends.Summary()), Lag: report.TimesOf(t.Lag.Summary()),
		Errors: all.FailureTotal, ErrorsBy: failure.Merge(all.Failures), Churn: int(all.Visited),
		Servers: r.servers.reports(), Seconds: r.recorder.seconds, Ramp: r.recorder.steps,
	}
	if r.plan.Scenario == settings.Slow {
		res.Slow = &report.Slow{Members: int(all.SlowMembers), Closed: int(all.SlowBroken), Expected: all.Slow.Expected, Received: all.Slow.Received,
			Latency: report.TimesOf(t.SlowLatency.Summary())}
	}
	if d := t.duration(&all); d > 0 {
		res.DurationMs = report.Millis(d)
		res.Throughput = report.Throughput{
			Sent: float64(res.Messages.Sent) / d.Seconds(), Received: float64(res.Messages.Received) / d.Seconds(),
		}
	}
	r.addRooms(res, t, &all)
	r.addGenerator(res, t)
	res.Cost = res.ServerCost()
	return res
}

func messagesOf(c worker.Counts) report.Messages {
	return report.Messages{
		Scheduled: c.Due, Sent: c.Sent, Failed: c.Failed, NotSent: c.NotSent, Late: c.Late,
		Expected: c.Messages.Expected, Received: c.Messages.Received, Lost: c.Messages.Lost(),
		Duplicated: c.Messages.Duplicated, Reordered: c.Messages.Reordered, Unconfirmed: c.Messages.Unconfirmed, Foreign: c.Messages.Foreign,
	}
}

func violationsOf(c worker.Counts) report.Violations {
	return report.Violations{
		Holes: c.Messages.Holes, Reused: c.Messages.Reused, Restarted: c.Messages.Restarted,
		Damaged: c.Damaged, Misrouted: c.Misrouted, Unreadable: c.Unreadable, Gaps: c.Gaps,
	}
}

func successOf(s delivery.Totals) float64 {
	if s.Expected == 0 {
		return 0
	}
	return 100 * float64(s.Received) / float64(s.Expected)
}

func (r *Run) reportSettings() report.Settings {
	p := r.plan
	s := report.Settings{
		Name: p.Name, Scenario: p.Scenario, Protocol: p.Protocol, Transport: p.Transport,
		WSURLs: []string{}, PublishURLs: append([]string{}, p.PublishBases...), Room: p.Rooms[0], Rooms: len(p.Rooms), Zipf: p.Zipf,
		Workers: len(r.workers), Connections: p.Connections, MsgPerSec: p.Rate, DurationMs: report.Millis(p.Duration),
		PayloadBytes: p.PayloadBytes, Publishers: p.Publishers, ConnectRate: p.ConnectRate,
		SettleMs: report.Millis(p.Settle), ReconnectMs: report.Millis(p.Reconnect),
	}
	for _, u := range p.WSURLs {
		s.WSURLs = append(s.WSURLs, withoutQuery(u))
	}
	return s
}

// duration is from the first message being due to the end of the sending or the last arrival.
func (t *total) duration(all *worker.Partial) time.Duration {
	if t.first == 0 {
		return 0
	}
	sending := t.run.plan.Duration
	if t.run.plan.Scenario == settings.Ramp {
		sending = 0
	}
	if t.cut != 0 {
		sending = max(t.cut, 0)
	}
	end := max(t.start+uint64(sending), all.Last)
	return time.Duration(end - t.first)
}

// addRooms adds the figures by room and by warehouse, and the completion times.
func (r *Run) addRooms(res *report.Result, t *total, all *worker.Partial) {
	completion := latency.New(latency.Fine)
	warehouses := map[string]*report.Room{}
	tallies := map[string]*latency.Tally{}
	res.Rooms, res.Warehouses = []report.Room{}, []report.Room{}
	var order []string
	if len(t.rooms) == 1 && r.plan.Scenario != settings.Echo && r.plan.Scenario != settings.Mixed {
		t.rooms[0] = t.Latency // the workers keep no other
	}
	for k, name := range r.plan.Rooms {
		part := &all.Rooms[k]
		own := latency.New(latency.Coarse)
		for _, arrivals := range part.Arrivals {
			arrivals.Each(func(_ int, count, last uint32) {
				if part.Required > 0 && int(count) >= part.Required {
					completion.Record(time.Duration(last) * time.Microsecond)
					own.Record(time.Duration(last) * time.Microsecond)
				}
			})
		}
		room := report.Room{
			Name: name, Members: part.Members, Expected: part.Totals.Expected, Received: part.Totals.Received,
			Duplicated: part.Totals.Duplicated, Reordered: part.Totals.Reordered,
			Latency: report.TimesOf(t.rooms[k].Summary()), Completion: report.Millis(own.Summary().P99),
		}
		if len(res.Rooms) < report.MaxRooms {
			res.Rooms = append(res.Rooms, room)
		}
		place, err := wire.ParseRoom(name)
		if err != nil {
			continue
		}
		w := warehouses[place.Warehouse]
		if w == nil {
			w = &report.Room{Name: place.Warehouse}
			warehouses[place.Warehouse], tallies[place.Warehouse] = w, latency.New(latency.Coarse)
			order = append(order, place.Warehouse)
		}
		w.Members += room.Members
		w.Expected += room.Expected
		w.Received += room.Received
		w.Duplicated += room.Duplicated
		w.Reordered += room.Reordered
		tallies[place.Warehouse].Merge(t.rooms[k])
	}
	for _, name := range order[:min(len(order), report.MaxRooms)] {
		warehouses[name].Latency = report.TimesOf(tallies[name].Summary())
		res.Warehouses = append(res.Warehouses, *warehouses[name])
	}
	res.Completion = report.TimesOf(completion.Summary())
}

// What makes a run's figures the load tester's and not the server's.
const (
	// busy is the part of a core at which a worker's one thread has reached its limit.
	busy = 0.95
	// full is the idle part of the machine below which it is saturated, whoever did it.
	full = 0.05
	// fewest is how many messages tell something about the lag.
	fewest = 100
)

// addGenerator adds what the load tester used, and whether it was the bottleneck.
func (r *Run) addGenerator(res *report.Result, t *total) {
	own, peak := machine.Used()
	g := report.Generator{CPUSeconds: own.Seconds(), PeakMemoryBytes: peak, Machine: machine.Describe().String()}
	for i, p := range t.parts {
		if p != nil && !r.addresses.shares[i].local {
			g.CPUSeconds += p.CPUSeconds
			g.PeakMemoryBytes += p.PeakMemory
		}
	}
	average, most := r.recorder.busy()
	g.BusiestPercent = 100 * most
	if wall := t.after.at.Sub(t.before.at); wall > 0 && !t.before.at.IsZero() {
		g.CPUPercent = 100 * float64(t.after.cpu-t.before.cpu) / float64(wall)
		g.IdlePercent = 100 * float64(t.after.idle-t.before.idle) / float64(wall) / float64(runtime.NumCPU())
		if len(r.workers) > 1 {
			g.CPUPercent = 100 * average * float64(len(r.workers))
		}
	}
	res.Generator = g
	lag := t.Lag.Summary()
	switch {
	case res.Stopped != "":
	case lag.Count >= fewest && lag.P99 > r.plan.MaxLag:
		res.Invalid = fmt.Sprintf("the load tester could not keep its schedule: one message in a hundred was %s late or more (--max-lag %v), "+
			"and %.0f %% of the machine was idle; lower the rate, give it a machine of its own, or more processes (--workers)",
			report.Ms(report.Millis(lag.P99)), r.plan.MaxLag, g.IdlePercent)
	case average > busy && g.IdlePercent > 100*full:
		res.Invalid = fmt.Sprintf("the load tester was the bottleneck: its process used %.0f %% of the core that it can use, while %.0f %% of the machine "+
			"was idle; give it more processes (--workers)", 100*average, g.IdlePercent)
	case r.recorder.uncertain > 0 && 10*r.recorder.uncertain > t.Latency.Summary().P50 && t.Latency.Count() > 0:
		res.Invalid = fmt.Sprintf("the clock offset between the machines is uncertain by %v: too much for latencies of %v",
			r.recorder.uncertain, t.Latency.Summary().P50)
	}
}
