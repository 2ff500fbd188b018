//go:build linux

package worker

import (
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/account"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/swarm"
)

// slowEvery is how often a slow member reads.
const slowEvery = 100 * time.Millisecond

// behave begins what members do beside receiving, from a step's start on.
func (w *Worker) behave(step Step) {
	w.behaving = true
	switch b := w.job.Behaviour; b.Kind {
	case Storm:
		w.at(step.Start+uint64(b.At), func(now uint64) { w.storm(now) })
	case Flaky:
		for i, m := range w.joined {
			phase := b.Every * time.Duration(i) / time.Duration(len(w.joined))
			m.flake(step.Start+uint64(phase), step.Start+uint64(step.Duration))
		}
	case Churn:
		w.churn(step)
	case Slow:
		w.every(swarm.Now(), slowEvery, func(uint64) { w.readSlowly() })
	}
}

// behaveNoMore ends it; who is away comes back.
func (w *Worker) behaveNoMore() {
	w.behaving = false
	for _, t := range w.timers {
		t.Stop()
	}
	w.timers = nil
}

// at does something at a time of the step.
func (w *Worker) at(when uint64, do func(now uint64)) {
	w.timers = append(w.timers, w.loop.At(when, do))
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

// storm takes the connections of a share of the members away at once.
func (w *Worker) storm(now uint64) {
	for _, m := range w.joined {
		if m.seated && schedule.Share(w.job.First+int(m.index), w.job.Behaviour.Share) {
			m.lose(w.job.Behaviour.By)
			m.away = now
			m.why = nil
			m.comeBack(now)
		}
	}
}

// lose ends a member's connection on purpose.
func (m *member) lose(by string) {
	conn := m.conn
	m.conn, m.seated = nil, false
	m.w.counts.Dropped++
	switch by {
	case ByClose:
		m.w.loop.Leave(conn)
	case BySilence:
		m.w.loop.Forsake(conn)
	default:
		m.w.loop.Drop(conn)
	}
}

// flake takes a member offline at a time, lets it come back, and so on until the end.
func (m *member) flake(at, end uint64) {
	b := m.w.job.Behaviour
	if at+uint64(b.Offline) >= end {
		return // it would come back when nothing is sent any more
	}
	m.w.loop.At(at, func(now uint64) {
		if !m.w.behaving || m.gone {
			return
		}
		if m.seated {
			m.lose(ByReset)
		}
		m.absent = true
		m.timer.Stop()
		if m.conn != nil { // on its way back
			m.w.loop.Drop(m.conn)
			m.conn = nil
			m.w.dials--
		}
		m.w.loop.At(now+uint64(b.Offline), func(now uint64) {
			m.absent = false
			m.away, m.tries, m.first = now, 0, 0
			m.w.waiting = append(m.w.waiting, m)
		})
		m.flake(at+uint64(b.Every), end)
	})
}

// churn lets members leave for good, one after the other, and new ones come in their places.
func (w *Worker) churn(step Step) {
	rate := w.job.Behaviour.Rate
	if rate <= 0 || len(w.joined) == 0 {
		return
	}
	next := 0
	w.every(step.Start+uint64(time.Second), time.Duration(float64(time.Second)/rate), func(now uint64) {
		m := w.joined[next%len(w.joined)]
		next++
		if !m.seated || m.gone {
			return
		}
		conn := m.conn
		m.conn, m.seated = nil, false
		w.counts.Dropped++
		w.loop.Leave(conn)
		w.counts.Visits.Add(m.ledger.Visit())
		w.counts.Visited++
		m.ledger, m.joined = account.Ledger{}, false
		m.renew(now)
	})
}

// renew lets a new member take an old one's place.
func (m *member) renew(now uint64) {
	m.away, m.first, m.behind, m.tries = now, 0, 0, 0
	m.w.waiting = append(m.w.waiting, m)
}

// readSlowly lets the slow members read what they may.
func (w *Worker) readSlowly() {
	most := max(1, int(float64(w.job.Behaviour.BytesPerSec)*slowEvery.Seconds()))
	for _, m := range w.joined {
		if m.slow && m.conn != nil && m.seated {
			w.loop.Resume(m.conn, most)
		}
	}
}
