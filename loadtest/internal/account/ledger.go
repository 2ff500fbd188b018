// Package account keeps, for each member, what it received, so that lost, duplicated and reordered messages are counted
// exactly and not estimated.
//
//	member ──▶ Ledger.Join      the room's offset when it joined
//	member ──▶ Ledger.Message   each message, in the order of its arrival
//	member ──▶ Ledger.Gap       what the server says is lost
//	member ◀── Ledger.Position  from where to go on after a reconnect
//	report ◀── Ledger.Score     against the Set of what was sent
//
// There are two sources of truth. The sequence number that the load tester wrote into the data says which message it is,
// whatever the server did with it: by it messages are received, lost or duplicated. The room's offset, which the server
// gave, says where the message stands among all messages of the room: by it messages are reordered, and a number that is
// missing between two others is a hole in what the server promised to be without holes.
//
// A member of a healthy server costs two ranges of 16 bytes, however many messages it receives. A Ledger is not safe for
// use by several goroutines at once.
package account

import "github.com/zonecast/zonecast/backend/wire"

// A Message is what the ledger has to know of one message that arrived.
type Message struct {
	// Seq is the sequence number in the data; without Ours the message is someone else's and has none.
	Seq  uint32
	Ours bool
	// Epoch and N are the room's offset. Epoch is read during the call only.
	Epoch []byte
	N     uint64
}

// A Ledger is the account of one member in one room. The zero Ledger is ready to use.
type Ledger struct {
	seqs    Set
	epoch   string
	offsets Set // of this epoch

	duplicated, reordered, foreign uint64
	reused, restarted, pastHoles   uint64
}

// Join notes the offset at which the member joined: the next message has the one that follows it.
func (l *Ledger) Join(o wire.Offset) {
	if !o.IsZero() {
		l.epoch = o.Epoch
		l.offsets.AddBelow(o.N + 1)
	}
}

// Position returns the highest offset that the member has, the zero Offset when it knows none.
func (l *Ledger) Position() wire.Offset {
	if l.epoch == "" {
		return wire.Offset{}
	}
	return wire.Offset{Epoch: l.epoch, N: max(l.offsets.Next(), 1) - 1}
}

// Gap notes that the server declared the offsets up to and including to as lost: they are no silent holes.
func (l *Ledger) Gap(to wire.Offset) {
	if to.Epoch != l.epoch {
		l.begin(to.Epoch)
	}
	l.offsets.AddBelow(to.N + 1)
}

// begin enters a new epoch.
func (l *Ledger) begin(epoch string) {
	if l.epoch != "" {
		l.restarted++
		l.pastHoles += l.offsets.Holes()
	}
	l.epoch, l.offsets = epoch, Set{}
}

// Message enters a message and reports whether it is one of ours that the member did not have yet.
func (l *Ledger) Message(m Message) bool {
	inOrder, newOffset := l.place(m.Epoch, m.N)
	if !m.Ours {
		l.foreign++
		if !newOffset {
			l.duplicated++
		} else if !inOrder {
			l.reordered++
		}
		return false
	}
	if !l.seqs.Add(uint64(m.Seq)) {
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

// Answer enters the answer to the echo with this number and reports whether the member did not have it yet. Answers have
// no offset; their numbers rise by one as the echoes were sent.
func (l *Ledger) Answer(k uint32) bool {
	inOrder := uint64(k) >= l.seqs.Next()
	switch {
	case !l.seqs.Add(uint64(k)):
		l.duplicated++
		return false
	case !inOrder:
		l.reordered++
	}
	return true
}

// place enters an offset. inOrder: it is above all others; fresh: it was not there yet.
func (l *Ledger) place(epoch []byte, n uint64) (inOrder, fresh bool) {
	if string(epoch) != l.epoch {
		first := uint64(1) // of every epoch
		if l.epoch == "" {
			first = n // joined without an offset: whatever comes first is the beginning
		}
		l.begin(string(epoch))
		l.offsets.AddBelow(first)
	}
	inOrder = n >= l.offsets.Next()
	return inOrder, l.offsets.Add(n)
}

// Holds reports whether the member has all messages of sent.
func (l *Ledger) Holds(sent *Set) bool { return l.seqs.Common(sent) == sent.Len() }

// A Score is the outcome for one member, or the sum of several.
type Score struct {
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
func (s Score) Lost() uint64 { return s.Expected - s.Received }

// Score returns the member's outcome against the messages that were sent and accepted.
func (l *Ledger) Score(sent *Set) Score {
	received := l.seqs.Common(sent)
	return Score{
		Expected:    sent.Len(),
		Received:    received,
		Duplicated:  l.duplicated,
		Reordered:   l.reordered,
		Unconfirmed: l.seqs.Len() - received,
		Foreign:     l.foreign,
		Holes:       l.pastHoles + l.offsets.Holes(),
		Reused:      l.reused,
		Restarted:   l.restarted,
	}
}

// Add adds another member's outcome to s.
func (s *Score) Add(o Score) {
	s.Expected += o.Expected
	s.Received += o.Received
	s.Duplicated += o.Duplicated
	s.Reordered += o.Reordered
	s.Unconfirmed += o.Unconfirmed
	s.Foreign += o.Foreign
	s.Holes += o.Holes
	s.Reused += o.Reused
	s.Restarted += o.Restarted
}
