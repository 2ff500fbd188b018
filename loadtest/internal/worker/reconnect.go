//go:build linux

package worker

import (
	"math/rand/v2"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/client"
)

// The pauses between two attempts to reconnect: the first, doubled each time up to the longest.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
)

// backoff returns the pause before attempt n = 1, 2 …, with jitter, lest all reconnect at once.
func backoff(n int) time.Duration {
	pause := min(firstPause<<min(n-1, 10), longestPause)
	return pause/2 + rand.N(pause/2)
}

// reconnect schedules a connection that resumes from the last offset, after the server's pause or a
// short one. A member gives up after the job's reconnect time, or when the close code forbids it.
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

// scheduleDial dials the next target after a pause, as a balancer would: the last may be gone.
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

// dialWaiting dials for waiting members, up to the limit.
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
