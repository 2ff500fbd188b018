package hub

import (
	"maps"
	"slices"
	"time"
)

// A room whose last member has left may stay subscribed to for a while: members that come and go,
// as each long poll does, would else make two requests of the broker each time, and find no recent
// frames. r.subscribing is held by the callers of all of these.

// maxIdleRooms is the most rooms that linger. Above it they are forgotten at once, so that someone
// who joins one room after the other costs no more than that.
const maxIdleRooms = 4096

// delayUnsubscribe keeps a room that has no members, and reports whether it does.
func (h *Hub) delayUnsubscribe(r *room) bool {
	if h.opts.Linger == 0 {
		return false
	}
	if h.idleRooms.Add(1) > maxIdleRooms {
		h.idleRooms.Add(-1)
		return false
	}
	r.linger = time.AfterFunc(h.opts.Linger, func() {
		r.subscribing.Lock()
		defer r.subscribing.Unlock()
		if r.linger != nil { // else someone came just now
			h.cancelUnsubscribe(r)
			h.unsubscribe(r)
		}
	})
	return true
}

// cancelUnsubscribe ends the lingering of a room, if it does.
func (h *Hub) cancelUnsubscribe(r *room) {
	if r.linger != nil {
		r.linger.Stop()
		r.linger = nil
		h.idleRooms.Add(-1)
	}
}

// unsubscribe ends the subscription. The broker is told before the room is forgotten, so that a
// subscription that begins anew comes after the end of the old one.
func (h *Hub) unsubscribe(r *room) {
	if r.subscribed {
		h.broker.Unsubscribe(r.name)
		r.subscribed = false
	}
	r.mu.Lock()
	r.begun = false // what is under way still is not kept
	h.dropRecent(r)
	h.dropDeferred(r)
	r.mu.Unlock()
	s := h.shard(r.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.refs == 0 && s.rooms[r.name] == r {
		delete(s.rooms, r.name)
		h.dropRoom(r.name)
	}
}

// CloseIdleRooms forgets all rooms that linger, at the end of the instance.
func (h *Hub) CloseIdleRooms() {
	for i := range h.rooms {
		for _, r := range h.rooms[i].all() {
			r.subscribing.Lock()
			if r.linger != nil {
				h.cancelUnsubscribe(r)
				h.unsubscribe(r)
			}
			r.subscribing.Unlock()
		}
	}
	h.resuming.Wait()
}

func (s *shard) all() []*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.rooms))
}
