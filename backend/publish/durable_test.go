//go:build go1.26

package publish

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestADurableMessageSaysSo(t *testing.T) {
	c, z := overHTTP(t)
	m := Message{Warehouse: "w1", Event: "E", Data: 1, IdempotencyKey: "k", Durable: true}
	_, err := c.Publish(t.Context(), m)
	must(t, err)
	_, err = c.PublishBatch(t.Context(), []Message{m})
	must(t, err)
	for _, r := range z.requests {
		if !strings.Contains(r.body, `"data":1,"durable":true`) {
			t.Errorf("sent %s", r.body)
		}
	}
}

// An event that was accepted, and is not known to be durable, says where it stands, and is tried
// again: with the same key, which waits again.
func TestNotDurableIsNotASilentLoss(t *testing.T) {
	answer := &http.Response{StatusCode: http.StatusGatewayTimeout, Header: http.Header{"Content-Type": {"application/problem+json"}, "Retry-After": {"1"}}}
	err := readError(answer, []byte(`{"code":"not_durable","detail":"the event was published, …","accepted":{"room":"zone:w1:a","offset":"t0-7"}}`))
	if err.Code != wire.CodeNotDurable || err.Accepted == nil || err.Accepted.Offset != "t0-7" || !err.Temporary() {
		t.Errorf("got %+v", err)
	}
	answer.StatusCode = http.StatusNotImplemented
	if err := readError(answer, []byte(`{"code":"durable_unsupported"}`)); err.Temporary() {
		t.Errorf("%v is tried again", err)
	}
	if item := (*refusal)(&wire.Error{Code: wire.CodeNotDurable, RetryAfter: 1000, Accepted: &wire.Position{Room: "r", Offset: "t0-7"}}).asError(); item.Accepted == nil ||
		!item.Temporary() || !errors.As(error(item), new(*Error)) {
		t.Errorf("an item of a batch: %+v", item)
	}
}
