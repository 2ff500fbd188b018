package hub

import "github.com/zonecast/zonecast/backend/wire"

// Wide returns how many members of the room count as being in many rooms.
func (h *Hub) Wide(name wire.Room) int {
	r := h.find(name)
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wide
}

// UnderWay returns how many bytes are on their way in the rooms with such members.
func (h *Hub) UnderWay() int {
	h.underway.mu.Lock()
	defer h.underway.mu.Unlock()
	return h.underway.taken
}

// Recent returns what the recent frames of all rooms cost, in bytes, and what they may.
func (h *Hub) Recent() (cost, most int) { return int(h.recent.Load()), recentTotal }

// KeptForReplay returns how many bytes the pages are charged that are kept for those who come back.
func (h *Hub) KeptForReplay() int {
	h.replays.mu.Lock()
	defer h.replays.mu.Unlock()
	return h.replays.bytes
}

// ReplayBytes bounds them.
const ReplayBytes = replayBytes

// Parked returns how many bytes wait in rooms.
func (h *Hub) Parked() int { return int(h.parked.Load()) }
