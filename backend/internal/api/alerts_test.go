package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// openAlerts are "id by" of those that are open where events are published by this path.
func (s *server) openAlerts(path string, header map[string]string) string {
	s.t.Helper()
	answer := wantJSON[struct {
		Room   string
		Alerts []alert.Open
	}](s.t, s.do(request{method: http.MethodGet, path: strings.TrimSuffix(path, "broadcast") + "alerts", header: header}), http.StatusOK)
	var all []string
	for _, a := range answer.Alerts {
		all = append(all, strings.TrimSpace(a.ID+" "+a.AcknowledgedBy))
		if a.Room != answer.Room || a.Acknowledged != (a.AcknowledgedAt > 0) {
			s.t.Errorf("%+v", a)
		}
	}
	return strings.Join(all, ", ")
}

// An ALERT as the contract has it opens an alert, which stands until it is cleared, however that is
// said.
func TestAnAlertIsOpenUntilItIsCleared(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	for _, path := range []string{toZone, toWarehouse} {
		tell := func(data string) {
			t.Helper()
			if answer := s.do(request{path: path, body: `{"event":"ALERT","data":` + data + `}`}); answer.StatusCode != http.StatusOK {
				t.Fatalf("%s", read(t, answer))
			}
		}
		change := func(what, body string) *http.Response {
			return s.do(request{path: strings.TrimSuffix(path, "broadcast") + "alerts/" + what, body: body})
		}
		want := func(want string) {
			t.Helper()
			if got := s.openAlerts(path, nil); got != want {
				t.Errorf("open are %q, want %q", got, want)
			}
		}
		want("")
		for i := range 3 {
			tell(fmt.Sprintf(`{"id":%d}`, i))
		}
		tell(`{"id":"fire/1","severity":"CRITICAL"}`)
		want("fire/1, 0, 1, 2")
		tell(`{"id":"1","cleared":true}`)
		tell(`[1]`) // none
		want("fire/1, 0, 2")
		first := wantJSON[alert.Open](t, change("acknowledge", `{"id":"fire/1","by":" Ben "}`), http.StatusOK)
		if again := wantJSON[alert.Open](t, change("acknowledge", `{"id":"fire/1","by":"Cem"}`), http.StatusOK); again != first {
			t.Errorf("acknowledged twice: %+v, then %+v", first, again)
		}
		want("fire/1 Ben, 0, 2")
		tell(`{"id":"fire/1","severity":"critical","detail":"Exits A and C"}`)
		want("fire/1 Ben, 0, 2")
		wantJSON[alert.Open](t, change("clear", `{"id":"fire/1"}`), http.StatusOK)
		want("0, 2")
		wantProblem(t, change("clear", `{"id":"fire/1"}`), http.StatusNotFound, "", "no alert of this id is open in")
		wantProblem(t, change("acknowledge", `{"id":"fire/1"}`), http.StatusNotFound, "", "no alert of this id is open in")
		wantProblem(t, change("acknowledge", `{"alert":"0"}`), http.StatusBadRequest, wire.CodeInvalidData, "alert")
		tell(`{"id":"fire/1","severity":"critical"}`) // another one, which nobody has seen to
		want("fire/1, 0, 2")
	}
}

// An alert is acknowledged by who may: a token with the claim, an operator, a PIN. All see who it
// was.
func TestAnAlertIsAcknowledgedByWhoMay(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	s := startWith(t, auth.Options{TokenSecret: secret, PublishKeys: []string{"key"}}, nil, 0, 0, "secret")
	room := strings.TrimSuffix(toZone, "broadcast")
	token := func(sub, warehouse string, acknowledge bool) string {
		claims := jwt.MapClaims{"sub": sub, "warehouses": []string{warehouse}, "acknowledge": acknowledge, "exp": 4102444800}
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		testkit.Must(t, err)
		return "Bearer " + signed
	}
	for i, tt := range []struct {
		name, authorization, pin string
		acknowledge, clear       int
		want                     string
	}{
		{"nobody", "", "", 401, 401, ""},
		{"a reader", token("eve", "w1", false), "", 403, 403, ""},
		{"a token", token("dana", "w1", true), "", 200, 403, "dana"},
		{"a token of another warehouse", token("dana", "w2", true), "", 403, 403, ""},
		{"a key", "Bearer key", "", 200, 200, ""},
		{"an operator", "Basic b3BlcmF0b3I6c2VjcmV0", "", 200, 200, "operator"},
		{"a PIN at a screen", token("wall", "w1", false), "480231", 200, 403, "Anna"},
		{"a PIN with a key", "Bearer key", "480231", 200, 200, "Anna"},
		{"another PIN", token("wall", "w1", false), "480232", 403, 403, ""},
		{"a PIN without a token", "", "480231", 401, 401, ""},
		{"a PIN at a screen of another warehouse", token("wall", "w2", false), "480231", 403, 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprint(i)
			s.do(request{path: toZone, body: `{"event":"ALERT","data":{"id":` + id + `}}`, header: map[string]string{"Authorization": "Bearer key"}})
			header := map[string]string{"Authorization": tt.authorization, "Zonecast-Pin": tt.pin}
			answer := s.do(request{path: room + "alerts/acknowledge", body: `{"id":"` + id + `","by":"forged"}`, header: header})
			if answer.StatusCode != tt.acknowledge {
				t.Errorf("acknowledge: %s %s, want %d", answer.Status, read(t, answer), tt.acknowledge)
			} else if tt.acknowledge == http.StatusOK {
				if got := wantJSON[alert.Open](t, answer, http.StatusOK); tt.want != "" && got.AcknowledgedBy != tt.want {
					t.Errorf("acknowledged by %q, want %q", got.AcknowledgedBy, tt.want)
				}
			}
			if answer := s.do(request{path: room + "alerts/clear", body: `{"id":"` + id + `"}`, header: header}); answer.StatusCode != tt.clear {
				t.Errorf("clear: %s %s, want %d", answer.Status, read(t, answer), tt.clear)
			}
		})
	}
	if !strings.Contains(s.log.String(), "action=acknowledge") {
		t.Error("nothing is logged")
	}
	var last *http.Response
	for range 12 {
		last = s.do(request{path: room + "alerts/acknowledge", body: `{"id":"1"}`, header: map[string]string{"Authorization": token("wall", "w1", false), "Zonecast-Pin": "000000"}})
	}
	wantProblem(t, last, http.StatusTooManyRequests, wire.CodeRateLimited, "too many wrong PINs")
}

// The history has the alerts of the rooms that the caller may join.
func TestTheHistoryOfAlertsIsForWhoMayJoin(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	s := startWith(t, auth.Options{TokenSecret: secret, PublishKeys: []string{"key"}}, nil, 0, 0, "secret")
	for _, path := range []string{toZone, toWarehouse} {
		for _, data := range []string{`{"id":"fire","severity":"critical"}`, `{"id":"fire","cleared":true}`} {
			s.do(request{path: path, body: `{"event":"ALERT","data":` + data + `}`, header: map[string]string{"Authorization": "Bearer key"}})
		}
	}
	token := func(warehouses any) string {
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"warehouses": warehouses, "exp": 4102444800}).SignedString([]byte(secret))
		testkit.Must(t, err)
		return "Bearer " + signed
	}
	ask := func(query, authorization string) *http.Response {
		return s.do(request{method: http.MethodGet, path: "/api/v1/warehouses/w1/alerts/history" + query, header: map[string]string{"Authorization": authorization}})
	}
	for _, tt := range []struct {
		query, authorization string
		want                 int
	}{
		{"", token([]string{"w1"}), 2}, {"", token(map[string][]string{"w1": {"a"}}), 1}, {"", token(map[string][]string{"w1": {"other"}}), 0},
		{"", "Basic b3BlcmF0b3I6c2VjcmV0", 2}, {"?since=4102444800000", token([]string{"w1"}), 0},
	} {
		answer := wantJSON[struct {
			Warehouse string
			Since     int64
			Complete  bool
			Alerts    []alertlog.Record
		}](t, ask(tt.query, tt.authorization), http.StatusOK)
		if len(answer.Alerts) != tt.want || !answer.Complete || tt.want > 0 && (answer.Alerts[0].ID != "fire" || answer.Alerts[0].Ended != "cleared") {
			t.Errorf("%s %.30s: %+v, want %d", tt.query, tt.authorization, answer, tt.want)
		}
	}
	wantProblem(t, ask("", ""), http.StatusUnauthorized, wire.CodeUnauthenticated, "token")
	wantProblem(t, ask("?since=yesterday", token([]string{"w1"})), http.StatusBadRequest, wire.CodeInvalidData, "since")
}
