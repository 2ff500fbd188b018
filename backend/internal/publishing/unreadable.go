package publishing

import (
	"cmp"
	"slices"
	"sync"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/wire"
)

// What becomes of well-known events that no screen can show. The zero value is CountUnreadable.
const (
	CountUnreadable Unreadable = iota
	RefuseUnreadable
	IgnoreUnreadable
)

// An Unreadable says what becomes of events that no screen can show.
type Unreadable int

const (
	// maxUnreadableRooms bounds the rooms that are counted; the events of others are only in the
	// metric.
	maxUnreadableRooms = 1000
	// MaxUnreadable is how many rooms [Publisher.Unreadable] returns at most.
	MaxUnreadable = 12
)

// An UnreadableRoom had events that no screen can show.
type UnreadableRoom struct {
	Room  wire.Room
	Count int
	Last  string // what is wrong with the last one
}

// unreadableRooms counts them since the process began.
type unreadableRooms struct {
	mu  sync.Mutex
	all map[wire.Room]UnreadableRoom
}

func (u *unreadableRooms) note(room wire.Room, mistake error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[wire.Room]UnreadableRoom{}
	}
	if _, known := u.all[room]; known || len(u.all) < maxUnreadableRooms {
		u.all[room] = UnreadableRoom{room, u.all[room].Count + 1, mistake.Error()}
	}
}

// Unreadable returns the rooms with the most events that no screen can show, those with the most
// first. They were published through this instance.
func (p *Publisher) Unreadable() []UnreadableRoom {
	p.unreadable.mu.Lock()
	defer p.unreadable.mu.Unlock()
	var rooms []UnreadableRoom
	for _, r := range p.unreadable.all {
		rooms = append(rooms, r)
	}
	slices.SortFunc(rooms, func(a, b UnreadableRoom) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), byName(a.Room, b.Room))
	})
	return rooms[:min(len(rooms), MaxUnreadable)]
}

// checkReadable refuses or counts what no screen can show.
func (p *Publisher) checkReadable(room wire.Room, event string, data []byte) error {
	if p.opts.Unreadable == IgnoreUnreadable {
		return nil
	}
	mistake := alert.Check(event, data)
	if mistake == nil {
		return nil
	}
	if p.opts.Unreadable == RefuseUnreadable {
		return wire.Errorf(wire.CodeInvalidData, "no screen can show this %s", mistake)
	}
	p.opts.Metrics.UnreadableEvent(event)
	p.unreadable.note(room, mistake)
	return nil
}
