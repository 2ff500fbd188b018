// Package broker gives each message of a room its offset, keeps recent ones, and delivers to the
// hub.
//
//	hub ── Publish, Subscribe, Unsubscribe, History ──▶ Broker
//	hub ◀── Handler.Message, Handler.Gap, in the order of the room ── Broker
//
// A broadcast goes through the broker with one instance too, so that there is one path with one
// semantics.
package broker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Publication is a request to send a message to a room. Its parts have been validated.
type Publication struct {
	Room  wire.Room
	Event string
	Data  json.RawMessage
	// IdempotencyKey, if not empty, makes a repetition within the idempotency window return the
	// first offset and send nothing. Keys belong to their caller and room. The same key with
	// another event, data, conflate or retain is refused with wire.CodeIdempotencyConflict.
	IdempotencyKey string
	// Caller is who publishes, as far as that is known.
	Caller string
	// Conflate, if not empty, names the state that the message updates: in the write queue of a
	// client that is behind it replaces one with the same name.
	Conflate string
	// Retain keeps the message as the room's latest of its event, for members that come later.
	Retain bool
	// Implicit says that Retain was not asked for: the event is about an alert.
	Implicit bool
	// Traceparent is the trace that the message is part of; empty for none. It is delivered with
	// the message, and not kept.
	Traceparent string
	// Durable asks for Receipt.Confirm. It is refused with wire.CodeDurableUnsupported, and nothing
	// is sent, where that can't be had.
	Durable bool
}

// A Receipt answers a publication that was accepted.
type Receipt struct {
	Offset wire.Offset
	// Duplicate is true when the idempotency key was known and nothing was sent again.
	Duplicate bool
	// Confirm waits until the message is kept as [Durability] asks, or returns an error of
	// wire.CodeNotDurable; the message stays accepted. nil unless the publication is durable.
	Confirm func(context.Context) error
}

// A Message is one that the broker accepted.
type Message struct {
	wire.Message
	// Accepted is the time of acceptance; Message.Time is the same in milliseconds.
	Accepted   wire.Micros
	Retain     bool        // the publication's
	clockAhead int32       // µs
	live       *attributes // nil for none
}

// attributes are what few messages have, and none that was read from the history: that was missed.
// Apart they cost the others nothing.
type attributes struct{ conflate, traceparent string }

// Conflate returns the publication's name of that kind.
func (m *Message) Conflate() string {
	if m.live == nil {
		return ""
	}
	return m.live.conflate
}

// Traceparent returns the trace that the message is part of.
func (m *Message) Traceparent() string {
	if m.live == nil {
		return ""
	}
	return m.live.traceparent
}

func (m *Message) setAttributes(conflate, traceparent string) {
	if conflate != "" || traceparent != "" {
		m.live = &attributes{conflate, traceparent}
	}
}

// ClockAhead returns how far the clock that Accepted is of was ahead of this machine's, up to half
// an hour.
func (m *Message) ClockAhead() time.Duration { return time.Duration(m.clockAhead) * time.Microsecond }

func (m *Message) setClockAhead(d time.Duration) {
	const most = 30 * time.Minute // what fits
	m.clockAhead = int32(min(max(d, -most), most).Microseconds())
}

// A Snapshot is how a room stands when a subscription begins.
type Snapshot struct {
	// Offset is that of the last message. Each message after it reaches the handler. A room that
	// nobody published to stands at number 0 of the epoch that its first message will have, and
	// nothing is kept for it.
	Offset wire.Offset
	// Retained are the latest messages of each retained event, in the order of their offsets.
	Retained []*Message
}

// A Page is a part of a room's history.
type Page struct {
	// Gap, if not nil, is what is lost between the offset asked for and Messages.
	Gap *Gap
	// Messages follow the offset asked for, or the gap, without holes.
	Messages []*Message
}

// A Gap is a range of messages that can't be recovered: those after From, up to and including To.
type Gap struct{ From, To wire.Offset }

// newPage decides whether there is a gap between the offset asked for and what was found after it,
// in a room that stands at current. found has no holes, and reaches up to current unless a limit
// cut it.
func newPage(after, current wire.Offset, found []*Message) Page {
	first := current.N + 1
	if len(found) > 0 {
		first = found[0].Offset.N
	}
	page := Page{Messages: found}
	if after.Epoch != current.Epoch || after.N+1 < first || after.N > current.N {
		page.Gap = &Gap{From: after, To: wire.Offset{Epoch: current.Epoch, N: first - 1}}
	}
	return page
}

// A Handler receives the messages of the rooms that are subscribed to. Calls for one room come one
// after the other, with rising offsets without holes; calls for different rooms may come at the
// same time. A call must not block and must not call the broker.
type Handler interface {
	Message(m *Message)
	// Gap tells that messages are lost; what follows comes next. retained replaces the room's
	// retained messages, since newer ones may be among what is lost. It may be ahead of the gap:
	// those are delivered in their turn, too.
	Gap(room wire.Room, gap Gap, retained []*Message)
	// Retained tells that retained events were deleted: of the messages up to s.Offset only
	// s.Retained are retained. Some of those may not have been delivered yet.
	Retained(room wire.Room, s Snapshot)
}

// A Broker connects the publishers and the hubs of all instances. Its methods may be called by
// several goroutines.
type Broker interface {
	// Publish accepts a message. When it returns without error the message has its offset and is
	// kept; it has reached or will reach each subscriber. Errors are *wire.Error for the publisher
	// to read. After wire.CodeUnavailable it can be tried again: it was not accepted or, when the
	// error says that the outcome is unknown, may have been, and only an idempotency key keeps it
	// from being sent twice.
	Publish(ctx context.Context, p Publication) (Receipt, error)
	// Subscribe begins the delivery of a room to the handler. It is called once per room until
	// Unsubscribe.
	Subscribe(ctx context.Context, room wire.Room) (Snapshot, error)
	// Unsubscribe ends the delivery. A message that is under way may still arrive.
	Unsubscribe(room wire.Room)
	// History returns at most limit messages after the offset, oldest first. An offset that this
	// room never had is answered with a gap, for there is nothing that follows it.
	History(ctx context.Context, room wire.Room, after wire.Offset, limit int) (Page, error)
	Deleter
	// Usage returns what each warehouse keeps that was published to through this instance lately.
	Usage() map[string]Usage
	// UsageOf returns what one warehouse keeps, also where this instance has not published to it
	// lately.
	UsageOf(ctx context.Context, warehouse string) (Usage, error)
	// Zones returns the zones of a warehouse that were published to and not deleted since, by name.
	// What is published through other instances is there after seconds.
	Zones(ctx context.Context, warehouse string) ([]string, error)
	// Health returns nil while the broker works, otherwise why it doesn't. It answers at once. An
	// error with the method Everywhere is the same for all instances.
	Health() error
	// Close ends all deliveries. Calls after it return an error of wire.CodeUnavailable.
	Close() error
}
