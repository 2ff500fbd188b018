//go:build linux

package scenario

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/progress"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// maxSeconds is how many seconds of a run are kept, more than half a day.
const maxSeconds = 50_000

// A recorder puts the workers' seconds together.
type recorder struct {
	run       *Run
	uncertain time.Duration     // of other machines' clocks; static once they are hired
	connects  []*worker.Partial // what was measured before the first message

	mu          sync.Mutex
	lastTicks   []worker.Tick // by worker: the last one, for the live line
	lastSeconds []worker.Tick // by worker: the last one of a second, for the series
	lat         *latency.Tally
	lag         *latency.Tally
	p99         time.Duration
	before      progress.Snapshot // at the end of the last second
	seconds     []report.Second
	logged      []logged
	running     struct{ cpu, n, busiest float64 } // of one worker, while messages were sent
	steps       []report.RampStep                 // of scenario ramp

	began, last time.Time // of the series, and of its last second
	end         func()    // ends the series, once
}

// logged is one second's latencies, encoded: they take little place so.
type logged struct {
	from, to time.Time
	tally    []byte
}

func newRecorder(r *Run) *recorder {
	return &recorder{run: r, lat: latency.New(latency.Fine), lag: latency.New(latency.Fine), end: func() {}}
}

// ticker returns what takes the ticks of worker i.
func (w *recorder) ticker(i int) func(*worker.Tick) {
	return func(t *worker.Tick) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for len(w.lastTicks) <= i {
			w.lastTicks, w.lastSeconds = append(w.lastTicks, worker.Tick{}), append(w.lastSeconds, worker.Tick{})
		}
		w.lastTicks[i] = *t
		if !t.Second {
			return
		}
		w.lat.Merge(t.Latency)
		w.lag.Merge(t.Lag)
		t.Latency, t.Lag = nil, nil
		if t.CPU == 0 { // too short a part of a second to tell
			t.CPU = w.lastSeconds[i].CPU
		}
		w.lastSeconds[i] = *t
		if p := w.run.phase.Load(); p.name == "run" && time.Since(p.since) > time.Second {
			w.running.cpu += t.CPU
			w.running.n++
			w.running.busiest = max(w.running.busiest, t.CPU)
		}
	}
}

func (w *recorder) snapshot() (s progress.Snapshot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sum(w.lastTicks)
}

func (w *recorder) sum(ticks []worker.Tick) (s progress.Snapshot) {
	for _, t := range ticks {
		s.Connected += t.Connected
		s.Sent += t.Sent
		s.Received += t.Received
		s.Errors += t.Failures
	}
	s.P99 = w.p99
	return s
}

// begin keeps the run's seconds until end.
func (w *recorder) begin() {
	w.began = time.Now()
	w.last = w.began
	stop := every(time.Second, w.second)
	w.end = sync.OnceFunc(func() {
		stop()
		w.second(time.Now())
	})
}

// every calls f at each interval until stop is called, which waits for the end of the last call.
func every(interval time.Duration, f func(now time.Time)) (stop func()) {
	var calling sync.WaitGroup
	ended := make(chan struct{})
	calling.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case now := <-tick.C:
				f(now)
			}
		}
	})
	return func() { close(ended); calling.Wait() }
}

func (w *recorder) second(to time.Time) {
	phase := w.run.phase.Load().name
	w.mu.Lock()
	defer w.mu.Unlock()
	from := w.last
	w.last = to
	s := w.lat.Summary()
	now := w.sum(w.lastSeconds) // as far as the latencies are
	w.p99 = s.P99
	second := report.Second{
		At: to.Sub(w.began).Seconds(), Phase: phase, Connected: now.Connected,
		Sent: now.Sent - min(now.Sent, w.before.Sent), Received: now.Received - min(now.Received, w.before.Received),
		Errors: now.Errors - min(now.Errors, w.before.Errors),
		P50:    report.Millis(s.P50), P99: report.Millis(s.P99), Max: report.Millis(s.Max), LagP99: report.Millis(w.lag.Summary().P99),
	}
	for _, t := range w.lastSeconds {
		second.CPU += 100 * t.CPU
	}
	w.before = now
	if len(w.seconds) < maxSeconds {
		w.seconds = append(w.seconds, second)
		if s.Count > 0 {
			if p, err := w.lat.Histogram().EncodeV2(); err == nil {
				w.logged = append(w.logged, logged{from: from, to: to, tally: p})
			}
		}
	}
	w.lat.Reset()
	w.lag.Reset()
}

// busy returns how much of a core a worker used while sending: on average, and at most in a second.
func (w *recorder) busy() (average, most float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running.n == 0 {
		return 0, 0
	}
	return w.running.cpu / w.running.n, w.running.busiest
}

// writeHDR writes an HdrHistogram log: times in seconds, values in microseconds.
func (w *recorder) writeHDR(out io.Writer) error {
	log := hdrhistogram.NewHistogramLogWriter(out)
	if err := errors.Join(
		log.OutputComment("[Latency in microseconds, from when a message was due; written by the load tester of Zonecast]"),
		log.OutputLogFormatVersion(), log.OutputStartTime(w.began.UnixMilli()), log.OutputLegend(),
	); err != nil {
		return err
	}
	options := hdrhistogram.DefaultHistogramLogOptions()
	for _, l := range w.logged {
		h, err := hdrhistogram.Decode(l.tally)
		if err != nil {
			return err
		}
		h.SetStartTimeMs(l.from.UnixMilli())
		h.SetEndTimeMs(l.to.UnixMilli())
		if err := log.OutputIntervalHistogramWithLogOptions(h, options); err != nil {
			return err
		}
	}
	return nil
}
