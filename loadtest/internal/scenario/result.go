package scenario

import (
	"net/url"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/limits"
	"github.com/zonecast/zonecast/loadtest/internal/progress"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
)

// Snapshot returns the state of the run for its progress line. It may be called at any time.
func (r *Run) Snapshot() progress.Snapshot {
	p := r.phase.Load()
	return progress.Snapshot{
		Phase: p.name, Elapsed: time.Since(p.since), Of: p.of,
		Connected: int(r.live.Load()), Connections: r.plan.Connections,
		Sent: r.sent.Load(), Received: r.latencies.Count(), Errors: r.failures.Total(),
		P99: time.Duration(r.p99.Load()),
	}
}

// A draft is a result in the making.
type draft struct {
	result *report.Result
	tally  schedule.Tally

	began time.Time
	cpu   time.Duration // used before the run
}

func (r *Run) newResult() *draft {
	p := r.plan
	s := report.Settings{
		Scenario: p.Scenario, PublishURLs: append([]string{}, p.PublishBases...), Room: p.Room.String(),
		Connections: p.Connections, MsgPerSec: p.Rate, DurationMs: report.Millis(p.Duration), PayloadBytes: p.PayloadBytes,
		Publishers: p.Publishers, ConnectRate: p.ConnectRate,
		SettleMs: report.Millis(p.Settle), ReconnectMs: report.Millis(p.Reconnect),
	}
	for _, u := range p.WSURLs {
		s.WSURLs = append(s.WSURLs, withoutQuery(u))
	}
	return &draft{result: &report.Result{Schema: report.Schema, Settings: s}}
}

// withoutQuery leaves out what names the room already, and what may be a secret.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.RawQuery = ""
	return u.String()
}

func (d *draft) usedBefore() {
	d.began = time.Now()
	d.cpu, _ = limits.Used()
}

func (d *draft) usedAfter() {
	cpu, _ := limits.Used()
	if elapsed := time.Since(d.began); elapsed > 0 {
		d.result.Generator.CPUPercent = 100 * float64(cpu-d.cpu) / float64(elapsed)
	}
}

// finish enters everything that was counted.
func (r *Run) finish(d *draft, stopped string) *report.Result {
	res := d.result
	res.Stopped = stopped
	r.over.Store(true)
	score, last, lost := r.total()

	res.Connections = report.Connections{
		Asked: r.plan.Connections, Joined: len(r.members),
		Broken: int(r.broken.Load()), Resumed: int(r.resumed.Load()), Lost: lost,
	}
	res.Messages = report.Messages{
		Scheduled: uint64(d.tally.Due), Sent: r.sent.Load(), Failed: r.failed.Load(),
		NotSent: uint64(d.tally.NotSent), Late: r.late.Load(),
		Expected: score.Expected, Received: score.Received, Lost: score.Lost(),
		Duplicated: score.Duplicated, Reordered: score.Reordered, Unconfirmed: score.Unconfirmed, Foreign: score.Foreign,
	}
	res.Violations = r.violations.report(score)
	if score.Expected > 0 {
		res.SuccessPercent = 100 * float64(score.Received) / float64(score.Expected)
	}
	if duration := r.duration(d, last); duration > 0 {
		res.DurationMs = report.Millis(duration)
		res.Throughput = report.Throughput{
			Sent:     float64(res.Messages.Sent) / duration.Seconds(),
			Received: float64(res.Messages.Received) / duration.Seconds(),
		}
	}
	res.Latency = report.TimesOf(r.latencies.Total())
	res.Connect = report.TimesOf(r.connects.Total())
	res.Offline = report.TimesOf(r.offline.Total())
	res.Publish = report.TimesOf(r.sends.Total())
	res.Lag = report.TimesOf(r.lag.Total())
	res.Errors, res.ErrorsBy = r.failures.Total(), r.failures.Counts()
	cpu, peak := limits.Used()
	res.Generator.CPUSeconds, res.Generator.PeakMemoryBytes = cpu.Seconds(), peak
	return res
}

// duration returns the time from the first message being due to the end of the sending or the last arrival, whichever came
// later.
func (r *Run) duration(d *draft, last time.Duration) time.Duration {
	if d.tally.Due == 0 {
		return 0
	}
	sending := r.plan.Duration
	if d.tally.Due < r.schedule.Count() {
		sending = r.schedule.At(d.tally.Due)
	}
	return max(sending, last-time.Duration(r.start.Load()))
}
