package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestARetainedEventIsDeletedByWhoMayPublishIt(t *testing.T) {
	s := start(t, auth.Options{PublishKeys: []string{"key"}}, nil)
	key := map[string]string{"Authorization": "Bearer key"}
	for _, path := range []string{toZone, toWarehouse} {
		room := strings.TrimSuffix(path, "/broadcast")
		if answer := s.do(request{path: path, body: `{"event":"STATE","retain":true}`, header: key}); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s", read(t, answer))
		}
		remove := request{method: http.MethodDelete, path: room + "/retained/STATE"}
		wantProblem(t, s.do(remove), http.StatusUnauthorized, wire.CodeUnauthenticated, "Authorization")
		remove.header = key
		if answer := s.do(remove); answer.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %s %s", remove.path, answer.Status, read(t, answer))
		}
		wantProblem(t, s.do(remove), http.StatusNotFound, "", "no event STATE is retained in")
		remove.path = room + "/retained/gap"
		wantProblem(t, s.do(remove), http.StatusBadRequest, wire.CodeInvalidEvent, "gap")
	}
	wantProblem(t, s.do(request{method: http.MethodDelete, path: "/api/v1/warehouses/w%2F/retained/E", header: key}),
		http.StatusBadRequest, wire.CodeInvalidRoom, "only A-Z")
}

func TestARoomIsDeletedByOperatorsAlone(t *testing.T) {
	s := startWith(t, auth.Options{PublishKeys: []string{"key"}}, nil, 0, 0, "secret")
	key := map[string]string{"Authorization": "Bearer key"}
	operator := map[string]string{"Authorization": "Basic b3BlcmF0b3I6c2VjcmV0"}
	for _, path := range []string{toZone, toWarehouse} {
		room := strings.TrimSuffix(path, "/broadcast")
		s.do(request{path: path, body: `{"event":"STATE","retain":true}`, header: key})
		wantProblem(t, s.do(request{method: http.MethodDelete, path: room, header: key}), http.StatusUnauthorized, wire.CodeUnauthenticated, "log in")
		if answer := s.do(request{method: http.MethodDelete, path: room, header: operator}); answer.StatusCode != http.StatusNoContent {
			t.Errorf("%s: %s %s", room, answer.Status, read(t, answer))
		}
		wantProblem(t, s.do(request{method: http.MethodDelete, path: room, header: operator}), http.StatusNotFound, "", "nothing was published")
	}
	if n := len(s.kept(zone)) + len(s.kept(whole)); n != 0 {
		t.Errorf("%d messages are kept", n)
	}
	if !strings.Contains(s.log.String(), "action=delete_room") {
		t.Error("nothing is logged")
	}
}

// A publication beyond a quota is refused with the quota's name, value and setting, and counted.
func TestAQuotaIsNamedToThePublisher(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	var answer *http.Response
	for i := range roomQuota + 1 {
		answer = s.do(request{path: fmt.Sprintf("/api/v1/warehouses/w1/zones/%d/broadcast", i), body: `{"event":"E"}`})
	}
	wantProblem(t, answer, http.StatusInsufficientStorage, wire.CodeQuotaExceeded, "the warehouse w1 has its quota of 50 rooms")
	batch := read(t, s.do(request{path: "/api/v1/broadcast", body: `{"messages":[{"warehouse":"w1","zone":"z","event":"E"},{"warehouse":"w2","event":"E"}]}`}))
	if !strings.Contains(string(batch), `"quota_exceeded"`) || !strings.Contains(string(batch), `"warehouse:w2"`) {
		t.Errorf("a batch is answered %s", batch)
	}
	if n := s.counted("zonecast_quota_refusals_total", "quota=rooms"); n != 2 {
		t.Errorf("%v refusals are counted, want 2", n)
	}
}

// everywhere is an error of a broker that all instances have.
type everywhere struct{ error }

func (everywhere) Everywhere() bool { return true }

// What no other instance can do better is no reason to send traffic elsewhere, but it is said.
func TestReadinessDoesNotFailOnWhatAllInstancesLack(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	s.broker.health = everywhere{errors.New("Redis is out of memory")}
	got := wantJSON[struct {
		Status     string
		Warnings   []string
		Components []any
	}](t, s.get("/readyz"), http.StatusOK)
	if got.Status != "ready" || len(got.Warnings) != 1 || got.Warnings[0] != "broker: Redis is out of memory" {
		t.Errorf("%+v", got)
	}
	s.readiness.Leave()
	if answer := s.get("/readyz"); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while leaving: %s", answer.Status)
	}
}
