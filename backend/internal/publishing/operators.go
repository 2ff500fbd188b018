package publishing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// testFor is for how long screens show a test.
const testFor = 2 * time.Minute

// SendTest publishes an alert to a room, for an operator, that says of itself that it is a test,
// and ends by itself. The same key sends it once; again it is refused with
// wire.CodeIdempotencyConflict. The error is a *wire.Error, or the broker's.
func (p *Publisher) SendTest(ctx context.Context, via string, room wire.Room, text, by, key string) (wire.Position, error) {
	err := wire.CheckIdempotencyKey(key)
	if key == "" || text == "" {
		err = wire.Errorf(wire.CodeInvalidData, "a test has a text, and the key of its form: open the form again and write one")
	}
	if err != nil {
		return wire.Position{}, p.Reject(via, err)
	}
	data, err := json.Marshal(map[string]any{"id": "test-" + key, "severity": "info", "title": "TEST: " + text, "detail": "Nothing has happened. It ends by itself.",
		"test": true, "by": by, "expiresAt": time.Now().Add(testFor).UnixMilli(), "escalateAfter": -1})
	if err != nil {
		return wire.Position{}, fmt.Errorf("send a test to %s: %w", room, err)
	}
	position, confirm, err := p.send(ctx, via, broker.Publication{Room: room, Event: wire.EventAlert, Data: data, Retain: true, Implicit: true,
		Caller: "operator " + by, IdempotencyKey: key, Durable: p.opts.Durable})
	if err == nil {
		err = confirm(ctx)
	}
	return position, err
}

// WithdrawRetained is DeleteRetained for an operator.
func (p *Publisher) WithdrawRetained(ctx context.Context, room wire.Room, event string) (bool, error) {
	if err := wire.CheckEvent(event); err != nil {
		return false, err
	}
	return p.opts.Hub.DeleteRetained(ctx, room, event)
}
