package stamp

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/account"
)

// A Kind is what a frame turned out to be.
type Kind uint8

// The kinds of frames.
const (
	// Unreadable: not a frame of the protocol. Event says why.
	Unreadable Kind = iota
	// Published: an event of the run's room. Message says which.
	Published
	// Damaged: a message of the run whose data is not byte for byte what was sent.
	Damaged
	// Elsewhere: an event of another room. Ours is set if it belongs to the run's room.
	Elsewhere
	// Retained: the copy of an event from before the member joined; it is no part of the counting.
	Retained
	// Answer: the ack with the number ID. Seq is set, and Ours, if its data is that of a message of the run.
	Answer
	// Control: a frame that the server sent on its own behalf. Event and Data say which.
	Control
)

// A Frame is what a Reader made of one frame. Its slices are parts of the frame that was read.
type Frame struct {
	Kind Kind
	account.Message
	ID    int64
	Event string
	Data  json.RawMessage
}

// A Reader recognises the frames that a member of one room receives. It is safe for use by several goroutines at once.
type Reader struct {
	stamp *Stamp
	room  string
	head  []byte // of a published event, up to its epoch
}

// NewReader returns the reader for messages of a stamp in a room.
func NewReader(s *Stamp, room wire.Room) *Reader {
	return &Reader{stamp: s, room: room.String(), head: fmt.Appendf(nil, `{"event":%q,"room":%q,"offset":"`, Event, room)}
}

const ackHead = `{"event":"ack","id":`

// Read says what a frame is.
func (r *Reader) Read(p []byte) Frame {
	if f, ok := r.message(p); ok {
		return f
	}
	if f, ok := r.ack(p); ok {
		return f
	}
	return r.decode(p)
}

// message reads a message of the run in the form that the server gives it, and nothing else.
func (r *Reader) message(p []byte) (Frame, bool) {
	rest, ok := bytes.CutPrefix(p, r.head)
	if !ok {
		return Frame{}, false
	}
	f := Frame{Kind: Published}
	if f.Epoch, rest, ok = epoch(rest); !ok {
		return Frame{}, false
	}
	if f.N, rest, ok = number(rest); !ok {
		return Frame{}, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`","time":`)); !ok {
		return Frame{}, false
	}
	if _, rest, ok = number(rest); !ok {
		return Frame{}, false
	}
	f.Seq, f.Ours = r.data(rest)
	return f, f.Ours
}

// epoch reads the epoch that p begins with, and the dash behind it.
func epoch(p []byte) (epoch, rest []byte, ok bool) {
	i := 0
	for i < len(p) && (p[i] >= 'a' && p[i] <= 'z' || p[i] >= '0' && p[i] <= '9') {
		i++
	}
	if i == 0 || i > wire.MaxEpochLen || i == len(p) || p[i] != '-' {
		return nil, p, false
	}
	return p[:i], p[i+1:], true
}

// ack reads the ack of an echo of the run in the form that the server gives it, and nothing else.
func (r *Reader) ack(p []byte) (Frame, bool) {
	rest, ok := bytes.CutPrefix(p, []byte(ackHead))
	if !ok {
		return Frame{}, false
	}
	id, rest, ok := number(rest)
	if !ok {
		return Frame{}, false
	}
	f := Frame{Kind: Answer, ID: int64(id)}
	f.Seq, f.Ours = r.data(rest)
	return f, f.Ours
}

// data reads the end of a frame, from the comma before the key on.
func (r *Reader) data(p []byte) (uint32, bool) {
	p, ok := bytes.CutPrefix(p, []byte(`,"data":`))
	if !ok {
		return 0, false
	}
	if p, ok = bytes.CutSuffix(p, []byte("}")); !ok {
		return 0, false
	}
	return r.stamp.Seq(p)
}

// decode reads any frame.
func (r *Reader) decode(p []byte) Frame {
	w, err := wire.DecodeServer(p)
	if err != nil {
		return Frame{Kind: Unreadable, Event: err.Error()}
	}
	switch w.Event {
	case wire.EventConnected, wire.EventHeartbeat, wire.EventError, wire.EventGap, wire.EventDrain,
		wire.EventConflated:
		return Frame{Kind: Control, Event: w.Event, ID: w.ID, Data: w.Data}
	case wire.EventAck:
		f := Frame{Kind: Answer, ID: w.ID}
		f.Seq, f.Ours = r.stamp.Seq(w.Data)
		return f
	}
	return r.event(w)
}

// event judges a published event.
func (r *Reader) event(w wire.ServerFrame) Frame {
	o, err := wire.ParseOffset(w.Offset)
	if err != nil {
		return Frame{Kind: Unreadable, Event: fmt.Sprintf("event %s: %v", w.Event, err)}
	}
	f := Frame{Kind: Published}
	f.Epoch, f.N = []byte(o.Epoch), o.N
	f.Seq, f.Ours = r.stamp.Seq(w.Data)
	switch {
	case w.Retained:
		f.Kind = Retained
	case w.Room != r.room:
		f.Kind = Elsewhere
	case !f.Ours && r.ours(w):
		f.Kind = Damaged
	}
	return f
}

// ours reports whether an event that is not byte for byte one of ours was made from one.
func (r *Reader) ours(w wire.ServerFrame) bool {
	var data struct {
		Run string `json:"run"`
		Seq *uint32
	}
	return w.Event == Event && json.Unmarshal(w.Data, &data) == nil && data.Seq != nil &&
		bytes.Equal(fmt.Appendf(nil, `{"run":%q,"seq":`, data.Run), r.stamp.head)
}
