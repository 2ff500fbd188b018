package outbox

import "time"

// Stalled reports whether the socket is full and the queue waits for it.
func (q *Queue) Stalled() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == stalled
}

// Between returns how long ago one moment was at another, both in milliseconds.
func Between(then, now uint32) time.Duration { return moment(now).since(moment(then)) }
