package hub

import (
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// Pressure carries between the instances which rooms are pressed, so that publishers wait wherever they are: an instance
// without members of a room does not see their queues. Its methods may be called by several goroutines.
type Pressure interface {
	// Tell tells the other instances that a room is pressed here. It must not block: it is called while the room's lock is
	// held. What can't be sent may be dropped, for a room that stays pressed is told of again each PressureRepeats.
	Tell(room wire.Room)
	// Told reports whether another instance has told so within PressureHolds. It answers at once, from memory: it is called
	// for each publication.
	Told(room wire.Room) bool
}

const (
	// PressureHolds is how long what an instance tells counts.
	PressureHolds = 300 * time.Millisecond
	// PressureRepeats is how often a room that stays pressed is told of.
	PressureRepeats = 100 * time.Millisecond
)

// tell tells the other instances that a room is pressed, or that something waits in it, if so, and goes on until it isn't. It is called with the room's
// mutex held.
func (h *Hub) tell(r *room) {
	if h.opts.Pressure == nil || r.press.telling || len(r.parked.arrivals) == 0 && !presses(r.press.backlog, len(r.queues)) {
		return
	}
	r.press.telling = true
	h.opts.Pressure.Tell(r.name)
	time.AfterFunc(PressureRepeats, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.press.telling = false
		h.recount(r) // publishers elsewhere wait, so no message does it
		h.tell(r)
	})
}
