// Package delivery counts exactly which messages of each member are lost, doubled or reordered.
//
//	member ──▶ Tracker.Join      the room's offset when it joined
//	member ──▶ Tracker.Record    each message, in the order of its arrival
//	member ──▶ Tracker.Gap       what the server says is lost
//	member ◀── Tracker.Position  from where to go on after a reconnect
//	report ◀── Tracker.Totals    against the Sets of what was sent
//	report ◀── Tracker.VisitTotals  of a member that left before the end
//
// There are two sources of truth. The sequence number that the load tester wrote into the data says
// which message it is, whatever the server did with it: by it messages are received, lost or
// duplicated. The room's offset, which the server gave, says where the message stands among all
// messages of the room: by it messages are reordered, and a number that is missing between two
// others is a hole in what the server promised to be without holes. Servers that give no offsets
// are held to the order in which each publisher sent: that of the numbers of a stream.
//
// A member of a healthy server costs two ranges of 16 bytes, however many messages it receives. A
// Tracker is not safe for use by several goroutines at once.
package delivery

import "github.com/zonecast/zonecast/backend/wire"

// A Message is what the tracker needs to know about a message that arrived.
type Message struct {
	// Seq is the number in the data, within its Stream of the room: 0, 1, 2 …; none without Ours.
	Seq    uint32
	Stream int
	Ours   bool
	// Epoch and N are the room's offset, none without an Epoch, which is read during the call only.
	Epoch []byte
	N     uint64
}

// A Tracker counts what one member received in one room. The zero Tracker is ready to use.
type Tracker struct {
	seqs    []Set // by stream
	epoch   string
	offsets Set // of this epoch

	duplicated, reordered, foreign uint64
	reused, restarted, pastHoles   uint64
}

// Join notes the offset at which the member joined: the next message has the one that follows it.
func (l *Tracker) Join(o wire.Offset) {
	if !o.IsZero() {
		l.epoch = o.Epoch
		l.offsets.AddBelow(o.N + 1)
	}
}

// Position returns the highest offset that the member has, the zero Offset when it knows none.
func (l *Tracker) Position() wire.Offset {
	if l.epoch == "" {
		return wire.Offset{}
	}
	return wire.Offset{Epoch: l.epoch, N: max(l.offsets.Next(), 1) - 1}
}

// Gap notes that the server declared the offsets up to and including to lost: no silent holes.
func (l *Tracker) Gap(to wire.Offset) {
	if to.Epoch != l.epoch {
		l.startEpoch(to.Epoch)
	}
	l.offsets.AddBelow(to.N + 1)
}

func (l *Tracker) startEpoch(epoch string) {
	if l.epoch != "" {
		l.restarted++
		l.pastHoles += l.offsets.Holes()
	}
	l.epoch, l.offsets = epoch, Set{}
}

// Record enters a message and reports whether it is one of ours that the member did not have yet.
func (l *Tracker) Record(m Message) bool {
	if len(m.Epoch) == 0 && m.Ours {
		return l.addInOrder(l.stream(m.Stream), uint64(m.Seq))
	}
	if len(m.Epoch) == 0 {
		l.foreign++
		return false
	}
	inOrder, newOffset := l.addOffset(m.Epoch, m.N)
	if !m.Ours {
		l.foreign++
		if !newOffset {
			l.duplicated++
		} else if !inOrder {
			l.reordered++
		}
		return false
	}
	if !l.stream(m.Stream).Add(uint64(m.Seq)) {
		l.duplicated++
		return false
	}
	if !newOffset {
		l.reused++
	} else if !inOrder {
		l.reordered++
	}
	return true
}

func (l *Tracker) stream(i int) *Set {
	for len(l.seqs) <= i {
		l.seqs = append(l.seqs, Set{})
	}
	return &l.seqs[i]
}

// RecordEcho enters the answer to the echo with this number and reports whether the member did not
// have it yet. Answers have no offset; their numbers rise by one as the echoes were sent.
func (l *Tracker) RecordEcho(k uint32) bool { return l.addInOrder(l.stream(0), uint64(k)) }

// RecordUnorderedEcho is RecordEcho for echoes that are requests: their answers have no order.
func (l *Tracker) RecordUnorderedEcho(k uint32) bool {
	if !l.stream(0).Add(uint64(k)) {
		l.duplicated++
		return false
	}
	return true
}

// addInOrder enters a number that must be above all others of its stream.
func (l *Tracker) addInOrder(stream *Set, n uint64) bool {
	inOrder := n >= stream.Next()
	switch {
	case !stream.Add(n):
		l.duplicated++
		return false
	case !inOrder:
		l.reordered++
	}
	return true
}

// addOffset enters an offset. inOrder: it is above all others; fresh: it was not there yet.
func (l *Tracker) addOffset(epoch []byte, n uint64) (inOrder, fresh bool) {
	if string(epoch) != l.epoch {
		first := uint64(1) // of every epoch
		if l.epoch == "" {
			first = n // joined without an offset: whatever comes first is the beginning
		}
		l.startEpoch(string(epoch))
		l.offsets.AddBelow(first)
	}
	inOrder = n >= l.offsets.Next()
	return inOrder, l.offsets.Add(n)
}

// HasAll reports whether the member has all messages that were sent, by stream.
func (l *Tracker) HasAll(sent ...*Set) bool {
	for i, s := range sent {
		if s.Len() > 0 && (i >= len(l.seqs) || l.seqs[i].CountCommon(s) != s.Len()) {
			return false
		}
	}
	return true
}

// A Totals is the outcome for one member, or the sum of several.
type Totals struct {
	Expected    uint64 // messages that were sent and accepted
	Received    uint64 // those that arrived, each counted once
	Duplicated  uint64 // arrivals of a message that had arrived before
	Reordered   uint64 // messages that arrived after one with a higher offset
	Unconfirmed uint64 // messages that arrived though sending them had failed
	Foreign     uint64 // messages in the room that are not of this run
	Holes       uint64 // offsets missing without a word between two that arrived, or after the one at which the member joined
	Reused      uint64 // offsets given to two different messages
	Restarted   uint64 // changes of the room's epoch
}

// Lost returns how many expected messages did not arrive.
func (s Totals) Lost() uint64 { return s.Expected - s.Received }

// Totals returns the member's outcome against the messages that were sent and accepted, by stream.
func (l *Tracker) Totals(sent ...*Set) Totals {
	score := l.offsetTotals()
	for i, s := range sent {
		score.Expected += s.Len()
		if i < len(l.seqs) {
			score.Received += l.seqs[i].CountCommon(s)
		}
	}
	for i := range l.seqs {
		score.Unconfirmed += l.seqs[i].Len()
	}
	score.Unconfirmed -= score.Received
	return score
}

// VisitTotals returns the outcome of a member that left on its own account, by the offsets alone:
// it must have all from the one at which it joined up to the last one that it saw. What was on its
// way when it left is nobody's loss.
func (l *Tracker) VisitTotals() Totals {
	score := l.offsetTotals()
	for i := range l.seqs {
		score.Received += l.seqs[i].Len()
	}
	score.Expected = score.Received + score.Holes
	return score
}

func (l *Tracker) offsetTotals() Totals {
	return Totals{
		Duplicated: l.duplicated, Reordered: l.reordered, Foreign: l.foreign,
		Holes: l.pastHoles + l.offsets.Holes(), Reused: l.reused, Restarted: l.restarted,
	}
}

// Add adds another member's outcome to s.
func (s *Totals) Add(o Totals) {
	added := o.Fields()
	for i, field := range s.Fields() {
		*field += *added[i]
	}
}

// Fields returns all counts, always in the same order.
func (s *Totals) Fields() []*uint64 {
	return []*uint64{&s.Expected, &s.Received, &s.Duplicated, &s.Reordered, &s.Unconfirmed, &s.Foreign, &s.Holes, &s.Reused, &s.Restarted}
}
