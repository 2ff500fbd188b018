package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	toWarehouse = "/api/v1/warehouses/w1/broadcast"
	toZone      = "/api/v1/warehouses/w1/zones/a/broadcast"
	toMany      = "/api/v1/broadcast"
	health      = "/health/websocket/metrics"
)

var (
	whole = wire.Room{Warehouse: "w1"}
	zone  = wire.Room{Warehouse: "w1", Zone: "a"}
)

func TestBroadcast(t *testing.T) {
	tests := []struct {
		name, path, body string
		header           map[string]string
		room             wire.Room
		wantData         string
		wantRetain       bool
		wantConflate     string
	}{
		{name: "to a warehouse", path: toWarehouse, body: `{"event":"ALERT","data":{"a":1}}`, room: whole, wantData: `{"a":1}`},
		{name: "to a zone", path: toZone, body: `{"event":"ALERT","data":[]}`, room: zone, wantData: `[]`},
		{name: "data byte for byte", path: toZone, room: zone,
			body:     "{\"event\":\"ALERT\",\"data\":  { \"b\" :\t1,\"a\": [ ] ,\"b\":\"<ä>\\u0000\"}  }",
			wantData: "{ \"b\" :\t1,\"a\": [ ] ,\"b\":\"<ä>\\u0000\"}"},
		{name: "without data", path: toZone, body: `{"event":"ALERT"}`, room: zone, wantData: ``},
		{name: "data null", path: toZone, body: `{"event":"ALERT","data":null}`, room: zone, wantData: `null`},
		{name: "retained", path: toZone, body: `{"event":"ALERT","data":1,"retain":true}`, room: zone, wantData: `1`, wantRetain: true},
		{name: "the newest state of something", path: toZone, body: `{"event":"ALERT","data":1,"conflate":"zone-a"}`, room: zone, wantData: `1`,
			wantConflate: "zone-a"},
		{name: "as much data as is allowed", path: toZone, room: zone,
			body:     `{"event":"ALERT","data":"` + strings.Repeat("x", dataLimit-2) + `"}`,
			wantData: `"` + strings.Repeat("x", dataLimit-2) + `"`},
		{name: "names percent-encoded", path: "/api/v1/warehouses/w%31/zones/%61/broadcast", body: `{"event":"ALERT"}`, room: zone},
		{name: "a coding that changes nothing", path: toZone, body: `{"event":"ALERT"}`, room: zone, header: map[string]string{"Content-Encoding": "identity"}},
		{name: "a content type with its charset", path: toZone, body: `{"event":"ALERT","data":1}`, room: zone, wantData: `1`,
			header: map[string]string{"Content-Type": "Application/JSON; charset=utf-8"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, auth.Options{}, nil)
			got := wantJSON[wire.Position](t, s.do(request{path: tt.path, body: tt.body, header: tt.header}), http.StatusOK)
			all := s.kept(tt.room)
			if len(all) != 1 {
				t.Fatalf("the room has %d messages, want 1", len(all))
			}
			m := all[0]
			if got != wire.PositionOf(tt.room, m.Offset) || m.Event != "ALERT" || string(m.Data) != tt.wantData || m.Retain != tt.wantRetain ||
				m.Conflate() != tt.wantConflate {
				t.Errorf("answered %+v, kept %s %s %.80s retain=%v; want the data %.80s", got, m.Offset, m.Event, m.Data, m.Retain, tt.wantData)
			}
			if n := s.counted("zonecast_publishes_total", "result=ok", "via=http"); n != 1 {
				t.Errorf("%v publications were counted, want 1", n)
			}
			if n := s.counted("zonecast_publish_duration_seconds"); n != 1 {
				t.Errorf("%v durations were counted, want 1", n)
			}
		})
	}
}

func TestARepetitionWithTheSameKeyIsPublishedOnce(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	send := func(path, key string) wire.Position {
		t.Helper()
		return wantJSON[wire.Position](t, s.do(request{path: path, body: `{"event":"E","data":1}`,
			header: map[string]string{"Idempotency-Key": key}}), http.StatusOK)
	}
	first := send(toZone, "order-7")
	if again := send(toZone, "order-7"); again != first {
		t.Errorf("the repetition was answered with %+v, want %+v", again, first)
	}
	wantProblem(t, s.do(request{path: toZone, body: `{"event":"E","data":2}`, header: map[string]string{"Idempotency-Key": "order-7"}}),
		http.StatusConflict, wire.CodeIdempotencyConflict, "give each message a key of its own")
	if other := send(toZone, "order-8"); other == first {
		t.Error("another key got the same offset")
	}
	if none := send(toZone, ""); none == first {
		t.Error("no key was taken for one")
	}
	send(toWarehouse, "order-7") // of another room
	if n, m := len(s.kept(zone)), len(s.kept(whole)); n != 3 || m != 1 {
		t.Errorf("the zone has %d messages and the warehouse %d, want 3 and 1", n, m)
	}
	if n := s.counted("zonecast_publishes_total", "result=duplicate", "via=http"); n != 1 {
		t.Errorf("%v duplicates were counted, want 1", n)
	}
}

func TestWhatTheBrokerRefuses(t *testing.T) {
	tests := []struct {
		name       string
		give       error
		wantStatus int
		wantCode   wire.ErrorCode
		wantRetry  string
		says       string
	}{
		{name: "away", give: &wire.Error{Code: wire.CodeUnavailable, Message: "try again", RetryAfter: 1001},
			wantStatus: 503, wantCode: wire.CodeUnavailable, wantRetry: "2", says: "try again"},
		{name: "too many", give: &wire.Error{Code: wire.CodeRateLimited, Message: "slower", RetryAfter: 1000},
			wantStatus: 429, wantCode: wire.CodeRateLimited, wantRetry: "1", says: "slower"},
		{name: "a limit", give: wire.Errorf(wire.CodeLimitReached, "reuse a name"),
			wantStatus: 429, wantCode: wire.CodeLimitReached, says: "reuse a name"},
		{name: "its own fault", give: errors.New("dial 10.0.0.7: secret"),
			wantStatus: 500, wantCode: wire.CodeInternal, says: "internal error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, auth.Options{}, nil)
			s.broker.answer = tt.give
			answer := s.do(request{path: toZone, body: `{"event":"E"}`})
			if got := answer.Header.Get("Retry-After"); got != tt.wantRetry {
				t.Errorf("Retry-After is %q, want %q", got, tt.wantRetry)
			}
			wantProblem(t, answer, tt.wantStatus, tt.wantCode, tt.says)
			if n := s.counted("zonecast_publishes_total", "result="+string(tt.wantCode), "via=http"); n != 1 {
				t.Errorf("%v publications were counted as %s, want 1", n, tt.wantCode)
			}
			if told := strings.Contains(s.log.String(), "secret"); told != (tt.wantCode == wire.CodeInternal) {
				t.Errorf("the log is %q: the operator alone must learn of the server's own faults", s.log)
			}
		})
	}
}

// Who may publish is for package auth to say; here it is asked, and its answer is passed on.
func TestPublishingNeedsAKeyWhereThereAreKeys(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	claims := jwt.MapClaims{"warehouses": []string{"*"}, "exp": 4102444800}
	reader, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	testkit.Must(t, err)
	for _, tt := range []struct {
		name, authorization string
		status              int
		code                wire.ErrorCode
	}{
		{"nothing", "", http.StatusUnauthorized, wire.CodeUnauthenticated},
		{"a wrong key", "Bearer key-3", http.StatusUnauthorized, wire.CodeUnauthenticated},
		{"a token for reading", "Bearer " + reader, http.StatusForbidden, wire.CodeForbidden},
		{"a key", "Bearer key-2", http.StatusOK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, auth.Options{PublishKeys: []string{"key-1", "key-2"}, TokenSecret: secret}, nil)
			header := map[string]string{"Authorization": tt.authorization}
			answer := s.do(request{path: toZone, header: header, body: `{"event":"E"}`})
			if tt.status == http.StatusOK {
				wantJSON[wire.Position](t, answer, tt.status)
				return
			}
			wantProblem(t, answer, tt.status, tt.code, "")
			if tt.status == http.StatusUnauthorized {
				if got := answer.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
					t.Errorf("WWW-Authenticate is %q, want Bearer (RFC 9110 section 11.6.1)", got)
				}
				batch := request{path: toMany, header: header, body: `{"messages":[{"warehouse":"w1","event":"E"}]}`}
				wantProblem(t, s.do(batch), tt.status, tt.code, "")
			}
			if n := len(s.kept(zone)) + len(s.kept(whole)); n != 0 {
				t.Errorf("%d messages were published all the same", n)
			}
		})
	}
}

// Who looks needs no key: probes and scrapers have none.
func TestLookingNeedsNoKey(t *testing.T) {
	s := start(t, auth.Options{PublishKeys: []string{"key-1"}}, nil)
	for _, path := range []string{"/livez", "/readyz", "/metrics", health} {
		if answer := s.get(path); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}

func TestLogsNameTheKeyAndNeverShowIt(t *testing.T) {
	s := start(t, auth.Options{PublishKeys: []string{"key-1", "key-of-billing"}}, nil)
	answer := s.do(request{path: toZone, body: `{"event":"E"}`, header: map[string]string{"Authorization": "Bearer key-of-billing"}})
	if log := s.log.String(); answer.StatusCode != http.StatusOK || !strings.Contains(log, "key=PUBLISH_KEYS-") || strings.Contains(log, "billing") {
		t.Errorf("%s, logged %s", answer.Status, log)
	}
}
