package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

// Each mistake is told with what to change, and nothing is published.
func TestMistakes(t *testing.T) {
	const ok = `{"event":"E","data":1}`
	long := strings.Repeat("x", wire.MaxNameLen+1)
	kind := func(value string) map[string]string { return map[string]string{"Content-Type": value} }
	tests := []struct {
		name   string
		give   request
		status int
		code   wire.ErrorCode // not compared when empty
		says   string
	}{
		{name: "no content type", give: request{path: toZone, body: ok, header: kind("")}, status: 415, says: "Content-Type: application/json"},
		{name: "a form", give: request{path: toZone, body: ok, header: kind("application/x-www-form-urlencoded")}, status: 415, says: "Content-Type: application/json"},
		{name: "text", give: request{path: toMany, body: ok, header: kind("text/plain")}, status: 415, says: "Content-Type: application/json"},
		{name: "a content type that is none", give: request{path: toZone, body: ok, header: kind("json;;")}, status: 415, says: "Content-Type: application/json"},

		{name: "another charset", give: request{path: toZone, body: ok, header: kind("application/json; charset=iso-8859-1")}, status: 415, says: "UTF-8"},
		{name: "a compressed body", give: request{path: toZone, body: ok, header: map[string]string{"Content-Encoding": "gzip"}}, status: 415, says: "without Content-Encoding"},

		{name: "no body", give: request{path: toZone}, status: 400, code: wire.CodeInvalidData, says: "body"},
		{name: "not JSON", give: request{path: toZone, body: `event=E`}, status: 400, code: wire.CodeInvalidData, says: "body"},
		{name: "JSON that ends early", give: request{path: toZone, body: `{"event":"E"`}, status: 400, code: wire.CodeInvalidData, says: "body"},
		{name: "more than one JSON value", give: request{path: toZone, body: ok + ok}, status: 400, code: wire.CodeInvalidData, says: "body"},
		{name: "a list", give: request{path: toZone, body: `[` + ok + `]`}, status: 400, code: wire.CodeInvalidData, says: "object"},
		{name: "data that is not JSON", give: request{path: toZone, body: `{"event":"E","data":{bad}}`}, status: 400, code: wire.CodeInvalidData, says: "JSON"},
		{name: "data that is not UTF-8", give: request{path: toZone, body: "{\"event\":\"E\",\"data\":\"\xff\"}"}, status: 400, code: wire.CodeInvalidData, says: "UTF-8"},
		{name: "retain as text", give: request{path: toZone, body: `{"event":"E","retain":"yes"}`}, status: 400, code: wire.CodeInvalidData, says: "retain"},

		{name: "a field mistyped", give: request{path: toZone, body: `{"event":"E","retian":true}`}, status: 400, code: wire.CodeInvalidData, says: `body has no field "retian": write`},
		{name: "a field in capitals", give: request{path: toZone, body: `{"Event":"E"}`}, status: 400, code: wire.CodeInvalidData, says: `body has no field "Event"`},
		{name: "a warehouse beside the path's", give: request{path: toZone, body: `{"event":"E","warehouse":"w2"}`}, status: 400, code: wire.CodeInvalidData, says: "the path names the room"},
		{name: "a zone beside the path's", give: request{path: toWarehouse, body: `{"event":"E","zone":"a"}`}, status: 400, code: wire.CodeInvalidData, says: "/zones/{zone}/broadcast"},
		{name: "a key in the body", give: request{path: toZone, body: `{"event":"E","idempotencyKey":"k"}`}, status: 400, code: wire.CodeInvalidData, says: "header Idempotency-Key"},

		{name: "no event", give: request{path: toZone, body: `{"data":1}`}, status: 400, code: wire.CodeInvalidEvent, says: "event is missing"},
		{name: "an event of another type", give: request{path: toZone, body: `{"event":5}`}, status: 400, code: wire.CodeInvalidData, says: "event is a JSON number"},
		{name: "a reserved event", give: request{path: toZone, body: `{"event":"heartbeat"}`}, status: 400, code: wire.CodeInvalidEvent, says: "choose another name"},
		{name: "an event with a space", give: request{path: toZone, body: `{"event":"a b"}`}, status: 400, code: wire.CodeInvalidEvent, says: "only A-Z a-z 0-9"},
		{name: "an event that is too long", give: request{path: toZone, body: `{"event":"` + long + `"}`}, status: 400, code: wire.CodeInvalidEvent, says: "at most 64"},

		{name: "no warehouse", give: request{path: "/api/v1/warehouses//broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "warehouse"},
		{name: "a warehouse with a space", give: request{path: "/api/v1/warehouses/w%201/broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "only A-Z a-z 0-9"},
		{name: "a warehouse with a slash", give: request{path: "/api/v1/warehouses/w%2F1/broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "only A-Z a-z 0-9"},
		{name: "a warehouse with a colon", give: request{path: "/api/v1/warehouses/w:1/broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "only A-Z a-z 0-9"},
		{name: "a warehouse that is too long", give: request{path: "/api/v1/warehouses/" + long + "/broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "at most 64"},
		{name: "an empty zone", give: request{path: "/api/v1/warehouses/w1/zones//broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "zone"},
		{name: "a zone with an umlaut", give: request{path: "/api/v1/warehouses/w1/zones/k%C3%BChl/broadcast", body: ok}, status: 400, code: wire.CodeInvalidRoom, says: "zone name"},

		{name: "too much data", give: request{path: toZone, body: `{"event":"E","data":"` + strings.Repeat("x", dataLimit) + `"}`}, status: 413, code: wire.CodeTooLarge, says: "at most 1024"},
		{name: "too much body", give: request{path: toZone, body: `{"event":"E","data":"` + strings.Repeat("x", 64<<10) + `"}`}, status: 413, code: wire.CodeTooLarge, says: "bytes"},
		{name: "a key that is too long", status: 400, code: wire.CodeInvalidData, says: "at most 255",
			give: request{path: toZone, body: ok, header: map[string]string{"Idempotency-Key": strings.Repeat("k", wire.MaxIdempotencyKeyLen+1)}}},

		{name: "a batch of nothing", give: request{path: toMany, body: `{}`}, status: 400, code: wire.CodeInvalidData, says: `{"messages":[`},
		{name: "an empty batch", give: request{path: toMany, body: `{"messages":[]}`}, status: 400, code: wire.CodeInvalidData, says: "messages"},
		{name: "a batch that is no list", give: request{path: toMany, body: `{"messages":{}}`}, status: 400, code: wire.CodeInvalidData, says: "messages"},
		{name: "a batch with a field mistyped", give: request{path: toMany, body: `{"mesages":[]}`}, status: 400, code: wire.CodeInvalidData, says: `no field "mesages": write messages`},
		{name: "a batch of too many", give: request{path: toMany, body: batchOf(wire.BatchMessages+1, `{}`)}, status: 413, code: wire.CodeTooLarge, says: "at most 1000"},
		{name: "a batch of too many bytes", give: request{path: toMany, body: `{"messages":[{"data":"` + strings.Repeat("x", 32*dataLimit) + `"}]}`}, status: 413, code: wire.CodeTooLarge, says: "bytes"},

		{name: "another path", give: request{path: "/api/v1/rooms", body: ok}, status: 404, says: "/api/v1/rooms"},
		{name: "another method", give: request{method: http.MethodGet, path: toZone}, status: 405, says: "POST"},
		{name: "posting to what is read", give: request{path: health, body: `{}`}, status: 405, says: "GET"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, auth.Options{}, nil)
			wantProblem(t, s.do(tt.give), tt.status, tt.code, tt.says)
			if n := len(s.kept(zone)) + len(s.kept(whole)); n != 0 {
				t.Errorf("%d messages were published all the same", n)
			}
			wantJSON[wire.Position](t, s.do(request{path: toZone, body: ok}), http.StatusOK)
		})
	}
}

// batchOf returns a batch of n messages that all read like this.
func batchOf(n int, message string) string {
	return `{"messages":[` + strings.TrimSuffix(strings.Repeat(message+",", n), ",") + `]}`
}

// Whoever may not publish learns nothing about what else is wrong.
func TestTheKeyIsAskedForFirst(t *testing.T) {
	s := start(t, auth.Options{PublishKeys: []string{"key-1"}}, nil)
	wantProblem(t, s.do(request{path: toZone, body: `nonsense`, header: map[string]string{"Content-Type": "text/plain"}}),
		http.StatusUnauthorized, wire.CodeUnauthenticated, "Authorization: Bearer")
}
