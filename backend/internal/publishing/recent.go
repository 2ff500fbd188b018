package publishing

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// MaxRecentZones is how many zones [Publisher.RecentZones] returns at most.
	MaxRecentZones = 12
	// recentFor is how long a zone counts as published to lately.
	recentFor = 10 * time.Minute
	// recentSlots bounds what is remembered.
	recentSlots = 256
	// recentWays is how many slots a zone may be in.
	recentWays = 4
)

// recentZones remembers which zones were published to lately, without a lock in the way of
// publishers: a zone has one of a few slots, by its hash. The one that was published to longest ago
// gives way.
type recentZones struct {
	seed  maphash.Seed
	slots []atomic.Pointer[recentZone]
}

type recentZone struct {
	room wire.Room
	last atomic.Int64 // seconds since 1970
}

func newRecentZones() recentZones {
	return recentZones{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[recentZone], recentSlots)}
}

// note remembers a publication to room, if that is one of a zone.
func (r *recentZones) note(room wire.Room, now time.Time) {
	if room.Zone == "" {
		return
	}
	first, second := maphash.Comparable(r.seed, room), now.Unix()
	for !r.tryNote(first, room, second) {
	}
}

// tryNote reports false when somebody else took the slot meanwhile.
func (r *recentZones) tryNote(first uint64, room wire.Room, second int64) bool {
	var slot *atomic.Pointer[recentZone]
	var oldest *recentZone
	before := int64(math.MaxInt64)
	for i := range uint64(recentWays) {
		s, last := &r.slots[(first+i)%recentSlots], int64(0)
		z := s.Load()
		if z != nil {
			if last = z.last.Load(); z.room == room {
				if last != second { // so that a busy zone writes once a second
					z.last.Store(second)
				}
				return true
			}
		}
		if last < before {
			slot, oldest, before = s, z, last
		}
	}
	z := &recentZone{room: room}
	z.last.Store(second)
	return slot.CompareAndSwap(oldest, z)
}

// list returns the zones published to last, in the order of their names, which does not change with
// each message.
func (r *recentZones) list(now time.Time) []wire.Room {
	type seen struct {
		room wire.Room
		last int64
	}
	var all []seen
	for i := range r.slots {
		if z := r.slots[i].Load(); z != nil {
			if last := z.last.Load(); now.Sub(time.Unix(last, 0)) < recentFor {
				all = append(all, seen{z.room, last})
			}
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return cmp.Or(cmp.Compare(b.last, a.last), byName(a.room, b.room)) })
	var rooms []wire.Room
	for _, s := range all[:min(len(all), MaxRecentZones)] {
		rooms = append(rooms, s.room)
	}
	slices.SortFunc(rooms, byName)
	return slices.Compact(rooms) // two that noted one at the same time may have taken two slots
}

func byName(a, b wire.Room) int {
	return cmp.Or(cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
}
