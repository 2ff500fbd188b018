//go:build linux

package worker

import (
	"math/rand/v2"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
)

// The pauses of a member between two attempts to come back: the first, doubled each time, up to the
// longest.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
)

// backoff returns how long to wait before attempt n = 1, 2 …: between half of the pause and all of
// it, so that a thousand members don't come at the same moment.
func backoff(n int) time.Duration {
	pause := min(firstPause<<min(n-1, 10), longestPause)
	return pause/2 + rand.N(pause/2)
}

// reconnect lets a member whose connection ended connect again, from its last offset on: after what
// the server asked for, or a short pause. It gives up after the job's reconnect time, or at once
// when the server does not want it back.
func (m *member) reconnect(now uint64) {
	if m.w.closed || m.offline {
		return
	}
	if m.w.job.Reconnect == 0 || !client.ShouldReconnect(m.closeErr) {
		m.giveUp()
		return
	}
	wait := m.retryAfter
	m.retryAfter = 0
	if wait == 0 {
		wait = backoff(1)
	}
	m.scheduleDial(wait, now)
}

// scheduleDial dials after a pause. Members go from target to target, as a load balancer would send
// them: the one that they came from may be gone.
func (m *member) scheduleDial(wait time.Duration, now uint64) {
	m.tries++
	m.timer = m.w.loop.At(now+uint64(wait), func(uint64) { m.w.waiting = append(m.w.waiting, m) })
}

func (m *member) retryDial(why error, now uint64) {
	if m.w.closed || m.offline {
		return
	}
	left := m.w.job.Reconnect - time.Duration(now-m.offlineSince)
	wait := backoff(int(m.tries) + 1)
	if !client.ShouldReconnect(why) || wait >= left {
		m.w.failures.Add("reconnect", why)
		m.giveUp()
		return
	}
	m.scheduleDial(wait, now)
}

func (m *member) giveUp() {
	m.gaveUp = true
	m.w.active--
}

// dialWaiting lets members dial, as many as may at once.
func (w *Worker) dialWaiting() {
	for len(w.waiting) > 0 && w.dials < maxDialing {
		m := w.waiting[0]
		w.waiting[0] = nil
		w.waiting = w.waiting[1:]
		if w.closed || m.offline || m.gaveUp || m.conn != nil {
			continue
		}
		now := client.Now()
		if m.reconnectStart == 0 {
			m.reconnectStart = now
		}
		m.dial(now)
	}
}
