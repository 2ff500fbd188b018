//go:build linux

package worker

import (
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/delivery"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
)

// slowReadInterval is how often a slow member reads.
const slowReadInterval = 100 * time.Millisecond

// startBehaviour begins what members do beside receiving, from a step's start on.
func (w *Worker) startBehaviour(step Step) {
	w.behaviourOn = true
	switch b := w.job.Behaviour; b.Kind {
	case Storm:
		w.timers = append(w.timers, w.loop.At(step.Start+uint64(b.At), w.disconnectShare))
	case Flaky:
		for i, m := range w.joined {
			phase := b.Every * time.Duration(i) / time.Duration(len(w.joined))
			m.scheduleOffline(step.Start+uint64(phase), step.Start+uint64(step.Duration))
		}
	case Churn:
		w.startChurn(step)
	case Slow:
		w.every(client.Now(), slowReadInterval, func(uint64) { w.readSlowMembers() })
	}
}

// stopBehaviour cancels what is scheduled; members that are offline reconnect.
func (w *Worker) stopBehaviour() {
	w.behaviourOn = false
	for _, t := range w.timers {
		t.Stop()
	}
	w.timers = nil
	w.drainSlowMembers()
}

// drainSlowMembers lets the slow members read what is left, which counts for nothing: behind it
// they find whether the server has ended their connections. (A server that closes what nobody reads
// is not heard before.)
func (w *Worker) drainSlowMembers() {
	for _, m := range w.joined {
		if !m.slow || m.conn == nil || !m.joined {
			continue
		}
		w.loop.Drain(m.conn, func(error) {
			if !w.closed {
				w.counts.SlowBroken++
			}
			m.conn, m.joined = nil, false
		})
	}
}

// every does something again and again until the end of the step.
func (w *Worker) every(first uint64, interval time.Duration, do func(now uint64)) {
	slot := len(w.timers)
	w.timers = append(w.timers, nil)
	var arm func(at uint64)
	arm = func(at uint64) {
		w.timers[slot] = w.loop.At(at, func(now uint64) {
			arm(at + uint64(interval))
			do(now)
		})
	}
	arm(first)
}

// disconnectShare takes the connections of a share of the members away at once.
func (w *Worker) disconnectShare(now uint64) {
	for _, m := range w.joined {
		if m.joined && schedule.Share(w.job.First+int(m.index), w.job.Behaviour.Share) {
			m.disconnect(w.job.Behaviour.By)
			m.offlineSince = now
			m.closeErr = nil
			m.reconnect(now)
		}
	}
}

// disconnect ends a member's connection on purpose.
func (m *member) disconnect(by string) {
	conn := m.conn
	m.conn, m.joined = nil, false
	m.w.counts.Dropped++
	switch by {
	case ByClose:
		m.w.loop.CloseGracefully(conn)
	case BySilence:
		m.w.loop.Abandon(conn)
	default:
		m.w.loop.Reset(conn)
	}
}

// scheduleOffline disconnects a member at a time, lets it return, and repeats that until the end.
func (m *member) scheduleOffline(at, end uint64) {
	b := m.w.job.Behaviour
	if at+uint64(b.Offline) >= end {
		return // it would come back when nothing is sent any more
	}
	m.w.loop.At(at, func(now uint64) {
		if !m.w.behaviourOn || m.gaveUp {
			return
		}
		if m.joined {
			m.disconnect(ByReset)
		}
		m.offline = true
		m.timer.Stop()
		if m.conn != nil { // on its way back
			m.w.loop.Reset(m.conn)
			m.conn = nil
			m.w.dials--
		}
		m.w.loop.At(now+uint64(b.Offline), func(now uint64) {
			m.offline = false
			m.offlineSince, m.tries, m.reconnectStart = now, 0, 0
			m.w.waiting = append(m.w.waiting, m)
		})
		m.scheduleOffline(at+uint64(b.Every), end)
	})
}

// startChurn replaces members by new ones, one after the other.
func (w *Worker) startChurn(step Step) {
	rate := w.job.Behaviour.Rate
	if rate <= 0 || len(w.joined) == 0 {
		return
	}
	next := 0
	w.every(step.Start+uint64(time.Second), time.Duration(float64(time.Second)/rate), func(now uint64) {
		m := w.joined[next%len(w.joined)]
		next++
		if !m.joined || m.gaveUp {
			return
		}
		conn := m.conn
		m.conn, m.joined = nil, false
		w.history.member(m, "leave")
		w.counts.Dropped++
		w.loop.CloseGracefully(conn)
		w.counts.Visits.Add(m.tracker.VisitTotals())
		w.counts.Visited++
		m.tracker, m.everJoined = delivery.Tracker{}, false // a new member takes its place
		m.offlineSince, m.reconnectStart, m.catchUpTo, m.tries = now, 0, 0, 0
		w.waiting = append(w.waiting, m)
	})
}

// readSlowMembers lets the slow members read what they may.
func (w *Worker) readSlowMembers() {
	most := max(1, int(float64(w.job.Behaviour.BytesPerSec)*slowReadInterval.Seconds()))
	for _, m := range w.joined {
		if m.slow && m.conn != nil && m.joined {
			w.loop.Resume(m.conn, most)
		}
	}
}
