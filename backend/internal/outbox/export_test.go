package outbox

// Stalled reports whether the socket is full and the queue waits for it.
func (q *Queue) Stalled() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state == stalled
}
