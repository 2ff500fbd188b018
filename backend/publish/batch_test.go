//go:build go1.26

package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

func TestPublishBatchOverHTTP(t *testing.T) {
	c, z := overHTTP(t, WithAPIKey("secret"))
	got, err := c.PublishBatch(t.Context(), []Message{
		{Warehouse: "w1", Zone: "a", Event: "ZONE_UPDATE", Data: json.RawMessage(`{ "n": 1 }`), IdempotencyKey: "k1"},
		{Warehouse: "w1", Event: "SHIFT_SNAPSHOT", Data: 2, Retain: true, IdempotencyKey: `k"2`},
		{Warehouse: "w1", Zone: "a", Event: "ZONE_UPDATE", Data: 3},
	})
	must(t, err)
	text := fmt.Sprintf("%s %s, %s %s, %s %s", got[0].Room, got[0].Offset, got[1].Room, got[1].Offset, got[2].Room, got[2].Offset)
	if want := "zone:w1:a t0-1, warehouse:w1 t0-1, zone:w1:a t0-2"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if len(z.requests) != 1 || z.requests[0].path != "/api/v1/broadcast" {
		t.Fatalf("sent %+v", z.requests)
	}
	want := `{"messages":[{"warehouse":"w1","zone":"a","event":"ZONE_UPDATE","data":{ "n": 1 },"idempotencyKey":"k1"},` +
		`{"warehouse":"w1","event":"SHIFT_SNAPSHOT","data":2,"retain":true,"idempotencyKey":"k\"2"},` +
		`{"warehouse":"w1","zone":"a","event":"ZONE_UPDATE","data":3,"idempotencyKey":"` + z.accepted[2].Key + `"}]}`
	if z.requests[0].body != want {
		t.Errorf("sent\n%s\nwant\n%s", z.requests[0].body, want)
	}
	if !json.Valid([]byte(z.requests[0].body)) || len(z.accepted[2].Key) < 20 {
		t.Errorf("sent an invalid body or key")
	}
}

func TestPublishBatchOfNothing(t *testing.T) {
	c, f := newFlaky(t, nil)
	if got, err := c.PublishBatch(t.Context(), nil); len(got) != 0 || err != nil || len(f.calls) != 0 {
		t.Errorf("got %v, %v after %d requests", got, err, len(f.calls))
	}
}

// room returns messages of the events to the zone.
func room(zone string, events ...string) []Message {
	var m []Message
	for _, e := range events {
		m = append(m, Message{Warehouse: "w1", Zone: zone, Event: e})
	}
	return m
}

// published lists what the server accepted, as zone/event.
func published(z *zonecast) string {
	var s []string
	for _, m := range z.accepted {
		s = append(s, m.Zone+"/"+m.Event)
	}
	return strings.Join(s, " ")
}

// outcome lists the results: an offset's number, or the code of the refusal.
func outcome(results []Result) string {
	var s []string
	for _, r := range results {
		refused, _ := errors.AsType[*Error](r.Err)
		malformed, _ := errors.AsType[*wire.Error](r.Err)
		switch {
		case r.Err == nil:
			s = append(s, fmt.Sprint(r.Offset.N))
		case refused != nil:
			s = append(s, string(refused.Code))
		case malformed != nil:
			s = append(s, "malformed")
		default:
			s = append(s, r.Err.Error())
		}
	}
	return strings.Join(s, " ")
}

func TestBatchItems(t *testing.T) {
	unavailable := &wire.Error{Code: wire.CodeUnavailable, Message: "the broker is away", RetryAfter: 3000}
	forbidden := &wire.Error{Code: wire.CodeForbidden, Message: "not in this zone"}
	tests := []struct {
		name      string
		give      []Message
		refuse    map[string][]*wire.Error // by event, one for each attempt
		outcome   string
		published string
		calls     int
		took      time.Duration
	}{
		{"a malformed one does not hold up the others", append(room("a", "E1", "gap"), room("b", "E2")...), nil,
			"1 malformed 1", "a/E1 b/E2", 1, 0},
		{"a refused one does not hold up the others", room("a", "E1", "E2", "E3"),
			map[string][]*wire.Error{"E2": {forbidden}}, "1 forbidden 2", "a/E1 a/E3", 1, 0},
		{"refused for the moment: sent again alone, after the wait", append(room("a", "E1", "E2"), room("b", "E3")...),
			map[string][]*wire.Error{"E2": {unavailable, unavailable}}, "1 2 1", "a/E1 b/E3 a/E2", 3, 6 * time.Second},
		{"the rest of a room keeps its order", room("a", "E1", "E2", "E3"),
			map[string][]*wire.Error{"E2": {unavailable}, "E3": {unavailable}}, "1 2 3", "a/E1 a/E2 a/E3", 2, 3 * time.Second},
		{"never behind a newer one of its room", room("a", "E1", "E2", "E3"),
			map[string][]*wire.Error{"E2": {unavailable}}, "1 unavailable 2", "a/E1 a/E3", 1, 0},
		{"whatever the code, if the server says when", room("a", "E1"),
			map[string][]*wire.Error{"E1": {{Code: wire.CodeLimitReached, RetryAfter: 500}}}, "1", "a/E1", 2, time.Second / 2},
		{"until the attempts are over", append(room("a", "E1"), room("b", "E2")...),
			map[string][]*wire.Error{"E1": {unavailable, unavailable, unavailable}}, "unavailable 1", "b/E2", 3, 6 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newFlaky(t, []Option{noJitter(3)})
				attempts := map[string]int{}
				f.server.refuse = func(m accepted) *wire.Error {
					n := attempts[m.Event]
					attempts[m.Event]++
					if n < len(tt.refuse[m.Event]) {
						return tt.refuse[m.Event][n]
					}
					return nil
				}
				start := time.Now()
				results, err := c.PublishBatch(t.Context(), tt.give)
				if took := time.Since(start); took != tt.took || len(f.calls) != tt.calls {
					t.Errorf("sent %d times in %v, want %d in %v", len(f.calls), took, tt.calls, tt.took)
				}
				if got := outcome(results); got != tt.outcome {
					t.Errorf("got %s, want %s", got, tt.outcome)
				}
				if got := published(f.server); got != tt.published {
					t.Errorf("published %s, want %s", got, tt.published)
				}
				failed := 0
				for _, r := range results {
					if r.Err != nil {
						failed++
					}
				}
				if (err == nil) != (failed == 0) {
					t.Errorf("%d failed, and the error is %v", failed, err)
				}
			})
		})
	}
}

func TestBatchIsRetriedAsAWhole(t *testing.T) {
	for name, fault := range map[string]fault{
		"refused": refused, "lost answer": lostAnswer, "unavailable": problem(http.StatusServiceUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := newFlaky(t, nil, fault)
				results, err := c.PublishBatch(t.Context(), room("a", "E1", "E2"))
				must(t, err)
				if got := published(f.server); got != "a/E1 a/E2" || outcome(results) != "1 2" {
					t.Errorf("published %s, got %s", got, outcome(results))
				}
			})
		})
	}
}

func TestLargeBatchesAreSplit(t *testing.T) {
	half := json.RawMessage(`"` + strings.Repeat("x", maxBatchBytes/2) + `"`)
	tests := []struct {
		name  string
		n     int
		data  json.RawMessage
		calls int
	}{
		{"by number", wire.BatchMessages + 1, nil, 2},
		{"by size", 3, half, 3},
		{"not at all", wire.BatchMessages, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, f := newFlaky(t, nil)
			var give []Message
			for range tt.n {
				give = append(give, Message{Warehouse: "w1", Event: "E", Data: tt.data})
			}
			results, err := c.PublishBatch(t.Context(), give)
			must(t, err)
			for i, r := range results {
				if r.Offset.N != uint64(i+1) {
					t.Fatalf("message %d got offset %v", i+1, r.Offset)
				}
			}
			if len(f.calls) != tt.calls {
				t.Errorf("sent %d requests, want %d", len(f.calls), tt.calls)
			}
		})
	}
}

func TestWhatFollowsAFailedRequestIsNotSent(t *testing.T) {
	c, f := newFlaky(t, []Option{noJitter(1)}, healthy, refused)
	var give []Message
	for range 3 * wire.BatchMessages {
		give = append(give, Message{Warehouse: "w1", Event: "E"})
	}
	results, err := c.PublishBatch(t.Context(), give)
	wantText(t, err, "2000 of 3000 messages were not published, the first: publish E to warehouse:w1")
	wantText(t, results[wire.BatchMessages].Err, "connection refused")
	if last := results[len(results)-1].Err; !errors.Is(last, errNotSent) {
		t.Errorf("the last one says %v", last)
	}
	if len(f.calls) != 2 {
		t.Errorf("sent %d requests, want 2", len(f.calls))
	}
}

func TestBatchAnswersThatAreNotZonecasts(t *testing.T) {
	tests := []struct {
		name string
		body string
		want string
	}{
		{"a page", "<html>", "not Zonecast's"},
		{"too few results", `{"results":[{"room":"zone:w1:a","offset":"t0-1"}]}`, "1 results for 2 messages"},
		{"another room", `{"results":[{"room":"zone:w1:a","offset":"t0-1"},{"room":"zone:w1:b","offset":"t0-1"}]}`,
			"1 of 2 messages were not published"},
		{"an item that is nothing", `{"results":[{"room":"zone:w1:a","offset":"t0-1"},null]}`, `about room ""`},
		{"an error that says nothing", `{"results":[{"error":{}},{"error":{}}]}`, "the message was refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, f := newFlaky(t, nil, answers(http.StatusOK, "application/json", tt.body))
			_, err := c.PublishBatch(t.Context(), room("a", "E1", "E2"))
			wantText(t, err, tt.want)
			if len(f.calls) != 1 {
				t.Errorf("sent %d times, want once", len(f.calls))
			}
		})
	}
}

func TestBatchWithACancelledContext(t *testing.T) {
	c, z := overHTTP(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := c.PublishBatch(ctx, room("a", "E1", "E2"))
	if !errors.Is(err, context.Canceled) || !errors.Is(results[1].Err, context.Canceled) {
		t.Errorf("got %v and %v", results, err)
	}
	if len(z.accepted) != 0 {
		t.Error("messages were published")
	}
}
