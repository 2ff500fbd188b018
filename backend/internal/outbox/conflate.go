package outbox

import (
	"slices"

	"github.com/zonecast/zonecast/backend/wire"
)

// lookAround is how far a skipped range looks for its neighbour in the same room.
const lookAround = 64

// conflateLocked takes out a waiting message that is replaced by a newer one, and puts the notice of it in its place, so that
// the client knows which offsets it will not see. Notices of neighbouring offsets become one: a client that is slow for
// long gets one notice and the newest state, however much was published meanwhile.
func (q *Queue) conflateLocked(by Identity) {
	i := slices.IndexFunc(q.frames, func(f *Frame) bool {
		m := &f.Message
		return m.Conflate == by.Conflate && m.Room == by.Room && m.Offset.Epoch == by.Offset.Epoch
	})
	if i < 0 {
		return
	}
	old := q.frames[i]
	q.pool.opts.Meter.Conflated()
	r := skipped{old.Message.Offset.N, old.Message.Offset.N}
	freed := len(old.In(q.form))
	if j := q.neighbourLocked(i, +1); j >= 0 && q.frames[j].skipped.from == r.to+1 {
		r.to = q.frames[j].skipped.to
		freed += len(q.frames[j].In(q.form))
		q.frames = slices.Delete(q.frames, j, j+1)
	}
	if j := q.neighbourLocked(i, -1); j >= 0 && q.frames[j].skipped.to+1 == r.from && q.frames[j].skipped.from > 0 {
		r.from = q.frames[j].skipped.from
		freed += len(q.frames[j].In(q.form))
		q.frames = slices.Delete(q.frames, j, j+1)
		i--
	}
	q.frames[i] = notice(by, r)
	q.settleLocked(len(q.frames[i].In(q.form)) - freed)
}

// skipped are the numbers of the messages that a notice stands for; 0, 0 in every other frame.
type skipped struct{ from, to uint64 }

func notice(of Identity, r skipped) *Frame {
	at := func(n uint64) string { return wire.Offset{Epoch: of.Offset.Epoch, N: n}.String() }
	json := wire.AppendFrame(nil, wire.EventConflated, wire.Conflated{Room: of.Room.String(), From: at(r.from - 1), To: at(r.to)})
	return &Frame{JSON: json, kind: passing, skipped: r,
		Message: Identity{Room: of.Room, Offset: wire.Offset{Epoch: of.Offset.Epoch, N: r.to}}}
}

// neighbourLocked returns the index of the nearest frame of the same room before (-1) or after (+1) i, or -1.
func (q *Queue) neighbourLocked(i, step int) int {
	m := &q.frames[i].Message
	for j, n := i+step, 0; j >= 0 && j < len(q.frames) && n < lookAround; j, n = j+step, n+1 {
		if other := &q.frames[j].Message; other.Room == m.Room {
			if other.Offset.Epoch != m.Offset.Epoch {
				return -1
			}
			return j
		}
	}
	return -1
}
