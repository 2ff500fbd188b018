package hub

import "github.com/zonecast/zonecast/backend/wire"

// Load returns how many members the publishers to a room see, and how many bytes are in flight.
func (h *Hub) Load(name wire.Room) (members, inFlight int) {
	if load := h.load(name); load != nil {
		return load.Counts()
	}
	return 0, 0
}

// Recent returns what the recent frames of all rooms cost, in bytes, and what they may.
func (h *Hub) Recent() (cost, most int) { return int(h.recentBytes.Load()), recentTotal }

// KeptForReplay returns how many bytes the pages are charged that are kept for those who come back.
func (h *Hub) KeptForReplay() int {
	h.replays.mu.Lock()
	defer h.replays.mu.Unlock()
	return h.replays.bytes
}

// ReplayBytes bounds them.
const ReplayBytes = replayBytes

// Deferred returns how many bytes are deferred in rooms.
func (h *Hub) Deferred() int { return int(h.deferred.Load()) }
