package publishing

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	// escalateEvery is how often alerts are looked at.
	escalateEvery = 5 * time.Second
	// maxAlertRooms bounds the rooms that are looked at because an alert was raised there through
	// this instance; those with members here are looked at as well.
	maxAlertRooms = 1000
	viaServer     = "server"
)

// An Escalator tells rooms that nobody has seen to an alert for too long, with ALERT_ESCALATED.
// Each instance has one; the idempotency key lets one of them tell.
type Escalator struct {
	Publisher *Publisher
	// After is for how long an alert may be open that does not say so itself; 0 for ever.
	After time.Duration
	// Rooms returns the rooms with members here that have alerts.
	Rooms func() []wire.Room
	Log   *slog.Logger
}

// Run works until ctx ends.
func (e *Escalator) Run(ctx context.Context) {
	tick := time.NewTicker(escalateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rooms := e.Publisher.raised.rooms()
		for _, room := range e.Rooms() {
			rooms[room] = true
		}
		for room := range rooms {
			if err := e.look(ctx, room); err != nil && ctx.Err() == nil {
				e.Log.Debug("alerts are looked at later", "room", room, "error", err)
			}
		}
	}
}

// look tells a room of what escalates there.
func (e *Escalator) look(ctx context.Context, room wire.Room) error {
	open, err := e.Publisher.OpenAlerts(ctx, room)
	if err != nil {
		return err
	}
	waiting := false
	for _, o := range open {
		at := o.EscalatesAt(e.After.Milliseconds())
		waiting = waiting || at > 0
		if at == 0 || at > time.Now().UnixMilli() {
			continue
		}
		data, err := json.Marshal(alert.Acknowledgement{ID: o.ID, At: at})
		if err != nil {
			return err
		}
		_, confirm, err := e.Publisher.send(ctx, viaServer, broker.Publication{Room: room, Event: wire.EventAlertEscalated, Data: data, Retain: true,
			IdempotencyKey: "escalate " + strconv.FormatInt(at, 36) + " " + alert.Key(o.ID), Caller: viaServer, Durable: e.Publisher.opts.Durable})
		if err == nil {
			err = confirm(ctx)
		}
		if err != nil {
			return err
		}
	}
	if !waiting {
		e.Publisher.raised.forget(room)
	}
	return nil
}

// raisedRooms are those in which alerts were raised through this instance.
type raisedRooms struct {
	mu  sync.Mutex
	all map[wire.Room]bool
}

func (r *raisedRooms) note(room wire.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[wire.Room]bool{}
	}
	if len(r.all) < maxAlertRooms {
		r.all[room] = true
	}
}

func (r *raisedRooms) forget(room wire.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, room)
}

func (r *raisedRooms) rooms() map[wire.Room]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Collect(maps.All(r.all))
}

// isAboutAlerts reports whether an event raises or lists alerts.
func isAboutAlerts(event string) bool {
	return slices.Contains([]string{wire.EventAlert, wire.EventShiftSnapshot}, event)
}
