package outbox

import "github.com/zonecast/zonecast/backend/wire"

// Waiting returns how many messages of each room wait to be written.
func (q *Queue) Waiting() map[wire.Room]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := map[wire.Room]int{}
	for _, e := range q.frames {
		if e.frame != nil && e.frame.isMessage() {
			waiting[e.frame.Message.Room]++
		}
	}
	return waiting
}
