package outbox

import (
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// lookAround is how far a skipped range looks for its neighbour in the same room.
	lookAround = 64
	// searchUpTo is up to how many frames are looked through for a name; more have an index.
	searchUpTo = 32
	// nameBytes is what an entry of the index costs; frames with a name are charged for it.
	nameBytes = 128
)

// conflateLocked takes out a waiting message that is replaced by a newer one, and puts the notice
// of it in its place, so that the client knows which offsets it will not see. Notices of
// neighbouring offsets become one: a client that is slow for long gets one notice and the newest
// state, however much was published meanwhile.
func (q *Queue) conflateLocked(by Identity) {
	i := q.findLocked(by)
	if i < 0 {
		return
	}
	old := q.frames[i]
	q.pool.opts.Meter.Conflated()
	r := skipped{old.frame.Message.Offset.N, old.frame.Message.Offset.N}
	freed := int(old.charge)
	if j := q.neighbourLocked(i, +1); j >= 0 && q.frames[j].frame.skipped.from == r.to+1 {
		r.to = q.frames[j].frame.skipped.to
		freed += q.removeLocked(j)
	}
	if j := q.neighbourLocked(i, -1); j >= 0 && q.frames[j].frame.skipped.to+1 == r.from && q.frames[j].frame.skipped.from > 0 {
		r.from, old.at = q.frames[j].frame.skipped.from, q.frames[j].at
		freed += q.removeLocked(j)
	}
	f := notice(by, r)
	charge := f.in(q.encoding).charge
	q.frames[i] = entry{f, uint32(charge), old.at}
	q.chargeBothLocked(charge - freed)
	if int(q.holes) > searchUpTo+len(q.frames)/2 {
		q.compactLocked()
	}
}

// findLocked returns the index of the waiting message that one of this identity replaces, or -1.
func (q *Queue) findLocked(by Identity) int {
	same := func(e entry) bool {
		if e.frame == nil {
			return false
		}
		m := &e.frame.Message
		return m.Conflate == by.Conflate && m.Room == by.Room && m.Offset.Epoch == by.Offset.Epoch
	}
	if q.names == nil && len(q.frames) <= searchUpTo {
		return slices.IndexFunc(q.frames, same)
	}
	if q.names == nil {
		q.indexLocked()
	}
	if i, ok := q.names.index(by); ok && same(q.frames[i]) {
		return i
	}
	return -1
}

// removeLocked leaves a hole, so that no other frame moves, and returns what it frees.
func (q *Queue) removeLocked(i int) (freed int) {
	freed = int(q.frames[i].charge)
	q.frames[i] = entry{at: q.frames[i].at}
	q.holes++
	return freed
}

// compactLocked closes the holes. There is one for each message that was conflated since the last
// time, so it costs each of them a few moves.
func (q *Queue) compactLocked() {
	q.frames = slices.DeleteFunc(q.frames, func(e entry) bool { return e.frame == nil })
	q.holes = 0
	if q.names != nil {
		q.indexLocked()
	}
}

// indexLocked makes the index anew.
func (q *Queue) indexLocked() {
	q.names = &names{at: make(map[name]int, len(q.frames))}
	for i, e := range q.frames {
		if e.frame != nil && e.frame.Message.Conflate != "" {
			q.names.set(e.frame.Message, i)
		}
	}
}

// names says where in Queue.frames the latest message of each name is. It is made when a queue is
// long and a name is looked for, and lasts until the queue was empty.
type names struct {
	gone int // frames that have left since: their places come before the first one
	at   map[name]int
}

type name struct {
	room     wire.Room
	conflate string
}

func (n *names) set(id Identity, i int) { n.at[name{id.Room, id.Conflate}] = n.gone + i }

func (n *names) index(id Identity) (i int, ok bool) {
	place, ok := n.at[name{id.Room, id.Conflate}]
	return place - n.gone, ok
}

// leave forgets the first frames.
func (n *names) leave(first []entry) {
	if n == nil {
		return
	}
	for i, e := range first {
		if e.frame == nil || e.frame.Message.Conflate == "" {
			continue
		}
		if at, ok := n.index(e.frame.Message); ok && at == i {
			delete(n.at, name{e.frame.Message.Room, e.frame.Message.Conflate})
		}
	}
	n.gone += len(first)
}

// skipped are the numbers of the messages that a notice stands for; 0, 0 in every other frame.
type skipped struct{ from, to uint64 }

func notice(of Identity, r skipped) *Frame {
	at := func(n uint64) string { return wire.Offset{Epoch: of.Offset.Epoch, N: n}.String() }
	json := wire.AppendFrame(nil, wire.EventConflated,
		wire.Conflated{Room: of.Room.String(), From: at(r.from - 1), To: at(r.to)})
	return &Frame{Kind: Advance, Event: wire.EventConflated, JSON: json, skipped: r,
		Message: Identity{Room: of.Room, Offset: wire.Offset{Epoch: of.Offset.Epoch, N: r.to}}}
}

// neighbourLocked returns the index of the nearest frame of the same room before (-1) or after (+1)
// i, or -1.
func (q *Queue) neighbourLocked(i, step int) int {
	m := &q.frames[i].frame.Message
	for j, n := i+step, 0; j >= 0 && j < len(q.frames) && n < lookAround; j, n = j+step, n+1 {
		if q.frames[j].frame == nil {
			continue
		}
		if other := &q.frames[j].frame.Message; other.Room == m.Room {
			if other.Offset.Epoch != m.Offset.Epoch {
				return -1
			}
			return j
		}
	}
	return -1
}
