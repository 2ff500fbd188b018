// Package publishing is the one way in for a publication, however it was sent.
//
//	api (HTTP, batch) ─────────┐
//	transport (frames over     ├─ Request ──▶ Publisher.Publish: check, count, measure ──▶ hub ──▶ broker
//	WebSocket, POSTed frames) ─┘
//
// Callers decode what was sent and find out who sent it. Here is decided whether it is published.
package publishing

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/limit"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/tracing"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Request is a publication as it was sent: decoded, and not checked yet. It keeps Data.
type Request struct {
	Warehouse      string          `json:"warehouse"`
	Zone           string          `json:"zone"` // empty: the room of the whole warehouse
	Event          string          `json:"event"`
	Data           json.RawMessage `json:"data"`
	Retain         bool            `json:"retain"` // services only: a frame has no such field
	Conflate       string          `json:"conflate"`
	IdempotencyKey string          `json:"idempotencyKey"`
	Traceparent    string          `json:"traceparent"`
	Durable        bool            `json:"durable"`
}

// Options of a [Publisher]. Tracer, OnQuota, Alerts and Rate may be left out.
type Options struct {
	// Hub takes what passed the checks; hub.Hub is one. It may make the caller wait.
	Hub interface {
		Publish(context.Context, broker.Publication) (broker.Receipt, error)
		broker.Deleter
		// RetainedIn returns what a room retains, in the order of the offsets.
		RetainedIn(context.Context, wire.Room) ([]*wire.Message, error)
	}
	Metrics *metrics.Metrics
	// MaxFrameBytes bounds the data of one publication.
	MaxFrameBytes int
	// Tracer follows publications; nil for none.
	Tracer *tracing.Tracer
	// Rate is the quota of messages that a warehouse may be published to with, through this
	// instance; zero for no limit.
	Rate limit.Rate
	// Durable makes every publication durable.
	Durable bool
	// Unreadable says what becomes of well-known events that no screen can show.
	Unreadable Unreadable
	// Alerts is told what becomes of alerts; nil for nobody.
	Alerts *alertlog.Log
	// OnQuota, if not nil, is told the quota of each publication that one refuses.
	OnQuota func(quota string)
}

// A Publisher checks, passes on and counts publications. It is safe for concurrent use.
type Publisher struct {
	opts   Options
	recent recentZones
	raised raisedRooms

	unreadable unreadableRooms
	rates      *limit.Keyed // by warehouse
}

// SetRate puts another quota of messages in force.
func (p *Publisher) SetRate(r limit.Rate) { p.rates.SetRate(r) }

// New returns a publisher.
func New(opts Options) *Publisher {
	return &Publisher{opts: opts, recent: newRecentZones(), rates: limit.NewKeyed(opts.Rate)}
}

// Publish publishes what who asks for, and returns its place in the room. via is the way it came, a
// label of the metrics. The error is a *wire.Error, or the broker's.
func (p *Publisher) Publish(ctx context.Context, via string, who *auth.Identity, r Request) (wire.Position, error) {
	position, confirm, err := p.Accept(ctx, via, who, r)
	if err == nil {
		err = confirm(ctx)
	}
	if err != nil {
		return wire.Position{}, err
	}
	return position, nil
}

// Accept is Publish without the wait of a durable publication: that is confirm, which returns at
// once for others, and must be called. So several can wait together.
func (p *Publisher) Accept(ctx context.Context, via string, who *auth.Identity, r Request) (
	_ wire.Position, confirm func(context.Context) error, _ error) {
	publication, err := p.check(who, r)
	if err != nil {
		return wire.Position{}, nil, p.Reject(via, err)
	}
	publication.Traceparent = r.Traceparent
	return p.send(ctx, via, publication)
}

// send is Accept of what was checked.
func (p *Publisher) send(ctx context.Context, via string, publication broker.Publication) (
	_ wire.Position, confirm func(context.Context) error, _ error) {
	began := time.Now()
	if wait := p.rates.Spend(publication.Room.Warehouse, 1, began); wait > 0 {
		return wire.Position{}, nil, p.Reject(via, broker.RateExceeded(publication.Room.Warehouse, p.rates.Rate().Refill, wait))
	}
	ctx, span, carried := p.opts.Tracer.Publish(ctx, publication.Traceparent, via, publication.Room, publication.Event)
	publication.Traceparent = carried
	receipt, err := p.opts.Hub.Publish(ctx, publication)
	if publication.Implicit && retainsNoMore(err) { // nobody asked to keep it: it is delivered, and not there for newcomers
		publication.Retain, publication.Implicit = false, false
		receipt, err = p.opts.Hub.Publish(ctx, publication)
	}
	span.End(receipt.Offset, err)
	if err != nil {
		if _, quota := errors.AsType[*broker.QuotaError](err); !quota { // the warehouse can't help it
			p.rates.Return(publication.Room.Warehouse, 1)
		}
		return wire.Position{}, nil, p.Reject(via, err)
	}
	accepted := time.Now() // duplicates included
	p.opts.Metrics.PublishTook(accepted.Sub(began), span.TraceID())
	if receipt.Duplicate {
		p.opts.Metrics.PublishResult(via, metrics.ResultDuplicate)
	} else {
		p.opts.Metrics.PublishResult(via, metrics.ResultOK)
		p.opts.Metrics.PublishedTo(publication.Room.Warehouse)
		p.recent.note(publication.Room, accepted)
		p.opts.Alerts.Note(ctx, publication.Room, publication.Event, publication.Data, accepted)
		if publication.Retain && isAboutAlerts(publication.Event) {
			p.raised.note(publication.Room)
		}
	}
	position := wire.PositionOf(publication.Room, receipt.Offset)
	return position, func(ctx context.Context) error {
		if receipt.Confirm == nil {
			return nil
		}
		err := receipt.Confirm(ctx)
		if e, ok := errors.AsType[*wire.Error](err); ok {
			e.Accepted = &position
		}
		return err
	}, nil
}

// retainsNoMore reports whether nothing more is retained in the room.
func retainsNoMore(err error) bool {
	return err != nil && wire.AsError(err).Code == wire.CodeLimitReached
}

// Reject counts a publication that err keeps from being published, and returns err. Callers use it
// for what they can't decode.
func (p *Publisher) Reject(via string, err error) error {
	if quota, ok := errors.AsType[*broker.QuotaError](err); ok {
		p.opts.Metrics.QuotaRefusals.WithLabelValues(quota.Quota).Inc()
		if p.opts.OnQuota != nil {
			p.opts.OnQuota(quota.Quota)
		}
	}
	p.opts.Metrics.PublishResult(via, string(wire.AsError(err).Code))
	return err
}

// check returns the publication that r asks for, if who may publish it.
func (p *Publisher) check(who *auth.Identity, r Request) (broker.Publication, error) {
	room, err := wire.NewRoom(r.Warehouse, r.Zone)
	if err != nil {
		return broker.Publication{}, err
	}
	err = cmp.Or( // the first mistake is told
		who.MayPublish(room),
		who.MayPublishEvent(r.Event),
		wire.CheckEvent(r.Event),
		wire.CheckPayload(r.Data, p.opts.MaxFrameBytes),
		wire.CheckConflate(r.Conflate),
		wire.CheckIdempotencyKey(r.IdempotencyKey),
	)
	if err == nil && r.Retain {
		err = who.MayRetain(room)
	}
	if err == nil {
		err = p.checkReadable(room, r.Event, r.Data)
	}
	if err != nil {
		return broker.Publication{}, err
	}
	implicit := !r.Retain && broker.IsImplicit(r.Event, r.Data)
	return broker.Publication{Room: room, Event: r.Event, Data: r.Data, Retain: r.Retain || implicit, Implicit: implicit, Conflate: r.Conflate,
		IdempotencyKey: r.IdempotencyKey, Caller: who.Caller(), Durable: r.Durable || p.opts.Durable}, nil
}

// DeleteRetained deletes what is retained of an event, if who may publish to the room. It reports
// whether there was something. The error is a *wire.Error, or the broker's.
func (p *Publisher) DeleteRetained(ctx context.Context, who *auth.Identity, room wire.Room, event string) (bool, error) {
	if err := cmp.Or(who.MayPublish(room), who.MayPublishEvent(event), who.MayRetain(room), wire.CheckEvent(event)); err != nil {
		return false, err
	}
	return p.opts.Hub.DeleteRetained(ctx, room, event)
}

// DeleteRoom deletes all that is kept of a room, for an operator. It reports whether anything had
// been published there. The error is the broker's.
func (p *Publisher) DeleteRoom(ctx context.Context, room wire.Room) (bool, error) {
	return p.opts.Hub.DeleteRoom(ctx, room)
}

// RecentZones returns the zones published to lately, at most [MaxRecentZones], by name.
func (p *Publisher) RecentZones() []wire.Room { return p.recent.list(time.Now()) }
