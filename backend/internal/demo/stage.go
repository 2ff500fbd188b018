package demo

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// updateBeats is how many beats pass between two updates of a zone: 1.5 s.
	updateBeats = 6
	// snapshotBeats is the fewest beats between two snapshots of a room: 1 s.
	snapshotBeats = 4
	// snapshotEvery is the simulated time between two snapshots of a room, in seconds.
	snapshotEvery = 30
)

// A stage decides what the rooms are due at each beat. Its only real time is the number of beats.
type stage struct {
	floor *floor.Floor
	beats int
	rooms []*room
	// alerts wait to be published, in the order in which they were raised and cleared. While
	// nothing can be published, at most those remain that were open when that began or are open
	// now: see [stage.note].
	alerts []pendingAlert
	// sent are the alerts at the head of the messages that due returned last.
	sent int
}

// A room is what the stage knows about one room.
type room struct {
	warehouse, zone string
	snapshot        func() any
	update          func() any // nil for a whole warehouse
	turn            int        // spreads the rooms over beats and seconds

	last  int    // the beat of the last snapshot
	slot  int64  // of simulated time
	shift string // that the last snapshot was about
	owed  bool   // the room missed something
}

type pendingAlert struct {
	floor.Notice
	key   string // the idempotency key: tried twice is published once
	tried bool   // and failed
}

func newStage(f *floor.Floor) *stage {
	s := &stage{floor: f}
	add := func(r *room) {
		r.turn, r.last, r.owed = len(s.rooms), -snapshotBeats, true
		s.rooms = append(s.rooms, r)
	}
	for _, w := range f.Warehouses() {
		add(&room{warehouse: w.Name(), snapshot: func() any { return w.Snapshot() }})
		for _, z := range w.Zones() {
			add(&room{warehouse: w.Name(), zone: z.Name(), snapshot: func() any { return z.Snapshot() },
				update: func() any { return z.Update() }})
		}
	}
	return s
}

// advance begins the next beat, at this simulated time.
func (s *stage) advance(to time.Time) {
	s.beats++
	s.note(s.floor.Advance(to))
}

// note adds alerts to those that wait. One whose raising was tried in vain and that is over now is
// nobody's news any more: it is forgotten as a whole, and the snapshot that its room is owed says
// the same to whoever got hold of it all the same.
func (s *stage) note(notices []floor.Notice) {
	for _, n := range notices {
		if n.Alert.ClearedAt == 0 || !s.forget(n.Alert.ID) {
			s.alerts = append(s.alerts, pendingAlert{Notice: n, key: rand.Text()})
		}
	}
}

// forget removes the alert of this id if it was tried in vain.
func (s *stage) forget(id string) bool {
	before := len(s.alerts)
	s.alerts = slices.DeleteFunc(s.alerts, func(a pendingAlert) bool { return a.Alert.ID == id && a.tried })
	return len(s.alerts) < before
}

// due returns what is to be published in this beat: alerts first, because they must not wait, then
// each room's snapshot before its update, so that nobody sees a new shift's numbers under the old
// shift's name.
func (s *stage) due() []publish.Message {
	var due []publish.Message
	for _, a := range s.alerts {
		due = append(due, publish.Message{Warehouse: a.Warehouse, Zone: a.Zone, Event: wire.EventAlert, Data: a.Alert,
			IdempotencyKey: a.key})
	}
	s.sent = len(s.alerts)
	for _, r := range s.rooms {
		if s.snapshotDue(r) {
			due = append(due, r.message(wire.EventShiftSnapshot, r.snapshot(), true))
		}
		if r.update != nil && s.beats%updateBeats == r.turn%updateBeats {
			update := r.message(wire.EventZoneUpdate, r.update(), false)
			update.Conflate = wire.EventZoneUpdate // who is behind needs the newest one only
			due = append(due, update)
		}
	}
	return due
}

func (r *room) message(event string, data any, retain bool) publish.Message {
	return publish.Message{Warehouse: r.warehouse, Zone: r.zone, Event: event, Data: data, Retain: retain}
}

// snapshotDue reports whether r gets a snapshot in this beat, and counts on it being published.
func (s *stage) snapshotDue(r *room) bool {
	shift := s.floor.Shift()
	// Each room has its own second within the 30, so that the snapshots do not all come at once.
	slot := (s.floor.Now().Unix() + int64(r.turn*snapshotEvery/len(s.rooms))) / snapshotEvery
	rested := s.beats-r.last >= snapshotBeats
	if shift == r.shift && (!rested || slot == r.slot && !r.owed) {
		return false
	}
	r.last, r.slot, r.shift, r.owed = s.beats, slot, shift, false
	return true
}

// settle takes note of what became of the messages of due: alerts that failed wait on, rooms that
// missed something are owed a snapshot.
func (s *stage) settle(due []publish.Message, results []publish.Result) {
	batch := s.alerts[:s.sent]
	var waiting []pendingAlert
	over := map[string]bool{} // alerts that were raised in vain and cleared in this batch
	for i, r := range results {
		if r.Err == nil {
			continue
		}
		s.owe(due[i].Warehouse, due[i].Zone)
		if i >= len(batch) {
			continue
		}
		a := batch[i]
		if a.Alert.ClearedAt == 0 && isCleared(batch[i+1:], a.Alert.ID) {
			over[a.Alert.ID] = true // published now, the raising would come after the clearing
		}
		if !over[a.Alert.ID] {
			a.tried = true
			waiting = append(waiting, a)
		}
	}
	s.alerts = append(waiting, s.alerts[s.sent:]...)
	s.sent = 0
}

func isCleared(later []pendingAlert, id string) bool {
	return slices.ContainsFunc(later, func(a pendingAlert) bool { return a.Alert.ID == id })
}

func (s *stage) owe(warehouse, zone string) {
	for _, r := range s.rooms {
		if r.warehouse == warehouse && r.zone == zone {
			r.owed = true
		}
	}
}
