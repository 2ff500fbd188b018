//go:build go1.26

package publish

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestPublishOverHTTP(t *testing.T) {
	tests := []struct {
		name string
		give Message
		path string
		body string
	}{
		{"zone", Message{Warehouse: "warehouse-1", Zone: "zone-a", Event: "ZONE_UPDATE", Data: map[string]int{"workers": 12}},
			"/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast", `{"event":"ZONE_UPDATE","data":{"workers":12}}`},
		{"warehouse, retained", Message{Warehouse: "w1", Event: "SHIFT_SNAPSHOT", Data: "x", Retain: true},
			"/api/v1/warehouses/w1/broadcast", `{"event":"SHIFT_SNAPSHOT","data":"x","retain":true}`},
		{"raw data byte for byte", Message{Warehouse: "w1", Event: "E", Data: json.RawMessage("{ \"a\" : 1.0,\n\"b\":\"<é>\" }")},
			"/api/v1/warehouses/w1/broadcast", "{\"event\":\"E\",\"data\":{ \"a\" : 1.0,\n\"b\":\"<é>\" }}"},
		{"no data", Message{Warehouse: "w1", Event: "E"},
			"/api/v1/warehouses/w1/broadcast", `{"event":"E","data":null}`},
		{"empty raw data", Message{Warehouse: "w1", Event: "E", Data: json.RawMessage{}},
			"/api/v1/warehouses/w1/broadcast", `{"event":"E","data":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, z := overHTTP(t, WithAPIKey("secret"))
			got, err := c.Publish(t.Context(), tt.give)
			must(t, err)
			room, _ := wire.NewRoom(tt.give.Warehouse, tt.give.Zone)
			if want := (Result{Room: room, Offset: wire.Offset{Epoch: "t0", N: 1}}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			r := z.requests[0]
			if r.path != tt.path || r.body != tt.body {
				t.Errorf("sent\n%s %s\nwant\n%s %s", r.path, r.body, tt.path, tt.body)
			}
			for name, want := range map[string]string{"Content-Type": "application/json", "Authorization": "Bearer secret"} {
				if got := r.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if key := r.header.Get("Idempotency-Key"); len(key) < 20 {
				t.Errorf("the idempotency key is %q", key)
			}
		})
	}
}

func TestBroadcast(t *testing.T) {
	c, z := overHTTP(t)
	must(t, c.BroadcastToZone("warehouse-1", "zone-a", "ZONE_UPDATE", struct{}{}))
	must(t, c.BroadcastToWarehouse("warehouse-1", "ALERT", struct{}{}))
	if z.accepted[0].Zone != "zone-a" || z.accepted[1].Zone != "" {
		t.Errorf("published %+v", z.accepted)
	}
	if z.accepted[0].Key == z.accepted[1].Key {
		t.Error("two messages share an idempotency key")
	}
	if got := z.requests[0].header.Get("Authorization"); got != "" {
		t.Errorf("Authorization is %q without a key", got)
	}
}

func TestPublishKeepsTheCallersIdempotencyKey(t *testing.T) {
	c, z := overHTTP(t)
	m := Message{Warehouse: "w1", Event: "E", IdempotencyKey: `order-17:"shipped"\`}
	first, err := c.Publish(t.Context(), m)
	must(t, err)
	second, err := c.Publish(t.Context(), m)
	must(t, err)
	if first != second || len(z.accepted) != 1 || z.accepted[0].Key != m.IdempotencyKey {
		t.Errorf("got %+v and %+v, published %+v", first, second, z.accepted)
	}
}

func TestMalformedMessagesAreNotSent(t *testing.T) {
	long := strings.Repeat("k", wire.MaxIdempotencyKeyLen+1)
	tests := []struct {
		name string
		give Message
		want string
		code wire.ErrorCode
	}{
		{"no warehouse", Message{Event: "E"}, "warehouse is missing", wire.CodeInvalidRoom},
		{"bad zone", Message{Warehouse: "w", Zone: "a/b", Event: "E"}, "zone name", wire.CodeInvalidRoom},
		{"warehouse that climbs the path", Message{Warehouse: "..", Event: "E"}, `".."`, wire.CodeInvalidRoom},
		{"zone that stays in the path", Message{Warehouse: "w", Zone: ".", Event: "E"}, `"."`, wire.CodeInvalidRoom},
		{"no event", Message{Warehouse: "w"}, "event is missing", wire.CodeInvalidEvent},
		{"reserved event", Message{Warehouse: "w", Event: "gap"}, "used by the protocol", wire.CodeInvalidEvent},
		{"raw data that is not JSON", Message{Warehouse: "w", Event: "E", Data: json.RawMessage(`1,"retain":true`)},
			"not valid JSON", wire.CodeInvalidData},
		{"data over the limit", Message{Warehouse: "w", Event: "E", Data: strings.Repeat("x", MaxDataBytes)},
			"at most 1048576", wire.CodeTooLarge},
		{"data that has no JSON", Message{Warehouse: "w", Event: "E", Data: math.NaN()}, "encode data", ""},
		{"key too long", Message{Warehouse: "w", Event: "E", IdempotencyKey: long}, "visible ASCII", ""},
		{"key with a line break", Message{Warehouse: "w", Event: "E", IdempotencyKey: "a\r\nb"}, "visible ASCII", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, f := newFlaky(t, nil)
			_, err := c.Publish(t.Context(), tt.give)
			wantText(t, err, tt.want)
			malformed, _ := errors.AsType[*wire.Error](err)
			if malformed == nil {
				malformed = &wire.Error{}
			}
			if malformed.Code != tt.code {
				t.Errorf("got code %q, want %q", malformed.Code, tt.code)
			}
			if len(f.calls) != 0 {
				t.Error("the message was sent")
			}
		})
	}
}

func TestBroadcastToZoneNeedsAZone(t *testing.T) {
	c, f := newFlaky(t, nil)
	wantText(t, c.BroadcastToZone("w1", "", "E", nil), "use BroadcastToWarehouse")
	if len(f.calls) != 0 {
		t.Error("the message was sent to the whole warehouse")
	}
}

func TestRefusals(t *testing.T) {
	const limit = 512
	tests := []struct {
		name string
		give fault
		want Error
		text string
	}{
		{"problem details", answers(http.StatusForbidden, "application/problem+json; charset=utf-8",
			`{"type":"about:blank","title":"Forbidden","status":403,"detail":"This key may not publish.","code":"forbidden"}`),
			Error{Status: 403, Code: wire.CodeForbidden, Type: "about:blank", Title: "Forbidden", Detail: "This key may not publish."},
			"the server answered 403 Forbidden (forbidden): This key may not publish."},
		{"a proxy's page", answers(http.StatusRequestEntityTooLarge, "text/html", "<html>413</html>"),
			Error{Status: 413}, "the server answered 413 Request Entity Too Large"},
		{"a problem that is not JSON", answers(http.StatusBadRequest, "application/problem+json", "<html>"),
			Error{Status: 400}, "the server answered 400 Bad Request"},
		{"a status that nobody knows", answers(599, "", ""), Error{Status: 599}, "the server answered 599"},
		{"a redirect", answers(http.StatusFound, "", "", "Location", "http://elsewhere.test/"),
			Error{Status: 302}, "the server answered 302 Found"},
		{"success without an offset", answers(http.StatusAccepted, "", ""),
			Error{Status: 202}, "the server answered 202 Accepted"},
		{"long sentences", answers(http.StatusBadRequest, "application/problem+json",
			`{"title":"T","detail":"`+strings.Repeat("é", limit)+`"}`),
			Error{Status: 400, Title: "T", Detail: strings.Repeat("é", limit/4) + "…"}, "400 T: éé"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, f := newFlaky(t, nil, tt.give)
			c.http.CheckRedirect = defaultHTTPClient().CheckRedirect
			_, err := c.Publish(t.Context(), Message{Warehouse: "w1", Event: "E"})
			wantText(t, err, tt.text)
			got, ok := errors.AsType[*Error](err)
			if !ok || *got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if len(f.calls) != 1 {
				t.Errorf("sent %d times, want once", len(f.calls))
			}
		})
	}
}

// An OK for a message that nobody will get must not pass for one.
func TestAnswersThatAreNotZonecasts(t *testing.T) {
	tests := []struct {
		name string
		body string
		want string
	}{
		{"a page", "<html>Welcome</html>", "not Zonecast's"},
		{"nothing", "", "not Zonecast's"},
		{"another JSON", `{"status":"ok"}`, `about room ""`},
		{"another room", `{"room":"warehouse:w2","offset":"t0-1"}`, `about room "warehouse:w2"`},
		{"no offset", `{"room":"warehouse:w1"}`, "offset"},
		{"endless", strings.Repeat(" ", maxAnswerBytes+1), "larger than 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, f := newFlaky(t, nil, answers(http.StatusOK, "application/json", tt.body))
			got, err := c.Publish(t.Context(), Message{Warehouse: "w1", Event: "E"})
			wantText(t, err, tt.want)
			if got != (Result{}) || len(f.calls) != 1 {
				t.Errorf("got %+v after %d requests", got, len(f.calls))
			}
		})
	}
}

func TestUntrustedCertificateIsFinal(t *testing.T) {
	srv := httptest.NewUnstartedServer(&zonecast{})
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	c, err := New(srv.URL)
	must(t, err)
	err = c.BroadcastToWarehouse("w1", "E", nil)
	wantText(t, err, "certificate")
	if err != nil && strings.Contains(err.Error(), "attempts") {
		t.Errorf("it tried again: %v", err)
	}
}

func TestPublishWithACancelledContext(t *testing.T) {
	c, z := overHTTP(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Publish(ctx, Message{Warehouse: "w1", Event: "E"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(z.accepted) != 0 {
		t.Error("the message was published")
	}
}

func TestOneClientForManyGoroutines(t *testing.T) {
	c, z := overHTTP(t)
	const writers, each = 8, 25
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := c.BroadcastToZone("w1", "a", "E", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	keys := map[string]bool{}
	for _, m := range z.accepted {
		keys[m.Key] = true
	}
	if len(keys) != writers*each {
		t.Errorf("published with %d different keys, want %d", len(keys), writers*each)
	}
}
