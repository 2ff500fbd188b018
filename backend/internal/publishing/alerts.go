package publishing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// OpenAlerts returns the alerts that are open in a room, the most severe first. The error is a
// *wire.Error, or the broker's.
func (p *Publisher) OpenAlerts(ctx context.Context, room wire.Room) ([]alert.Open, error) {
	messages, err := p.opts.Hub.RetainedIn(ctx, room)
	if err != nil {
		return nil, err
	}
	var state alert.State
	for _, m := range messages {
		state.Apply(m)
	}
	return state.At(time.Now().UnixMilli()), nil
}

// Acknowledge tells the room that someone has seen to an alert, and returns it as it stands then.
// One that is acknowledged already stays as it is. There is none when it is nil.
func (p *Publisher) Acknowledge(ctx context.Context, via string, room wire.Room, id, by string) (*alert.Open, error) {
	found, err := p.find(ctx, room, id)
	if err != nil || found == nil || found.Acknowledged {
		return found, err
	}
	found.Acknowledged, found.AcknowledgedBy, found.AcknowledgedAt = true, by, time.Now().UnixMilli()
	return found, p.tell(ctx, via, room, wire.EventAlertAcknowledged, alert.Acknowledgement{ID: id, By: by, At: found.AcknowledgedAt}, by)
}

// Clear ends an alert for all, and returns it as it was. There is none when it is nil.
func (p *Publisher) Clear(ctx context.Context, via string, room wire.Room, id, by string) (*alert.Open, error) {
	found, err := p.find(ctx, room, id)
	if err != nil || found == nil {
		return nil, err
	}
	return found, p.tell(ctx, via, room, wire.EventAlert, struct {
		alert.Alert
		ClearedAt int64  `json:"clearedAt"`
		ClearedBy string `json:"clearedBy,omitempty"`
	}{found.Alert, time.Now().UnixMilli(), by}, by)
}

func (p *Publisher) find(ctx context.Context, room wire.Room, id string) (*alert.Open, error) {
	open, err := p.OpenAlerts(ctx, room)
	for i := range open {
		if open[i].ID == id {
			return &open[i], nil
		}
	}
	return nil, err
}

func (p *Publisher) tell(ctx context.Context, via string, room wire.Room, event string, data any, by string) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("tell %s of %s: %w", room, event, err)
	}
	_, confirm, err := p.send(ctx, via, broker.Publication{Room: room, Event: event, Data: text, Retain: true, Caller: by,
		Durable: p.opts.Durable})
	if err != nil {
		return err
	}
	return confirm(ctx)
}
