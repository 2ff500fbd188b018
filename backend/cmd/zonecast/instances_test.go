package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/instances"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// listed returns an instance as another one lists it; nil for none.
func (s *server) listed(t *testing.T, name string) *instances.Info {
	t.Helper()
	answer, body := s.act(t, http.MethodGet, "/api/v1/instances", "")
	var list instances.List
	if err := json.Unmarshal([]byte(body), &list); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %s", answer.Status, err, body)
	}
	return list.Find(name)
}

// An operator drains an instance from the page of any other: its clients are told to come back
// elsewhere, it lets nobody in and goes on answering, until it is put back.
func TestAnInstanceIsDrainedFromAnyOther(t *testing.T) {
	redis := stacktest.Redis(t, stack.Single).Redis
	flags := []string{"--redis-url=" + redis.URL, "--operator-password=" + operatorPassword, "--drain-delay=10ms"}
	a, b := serving(t, append(flags, "--node-name=a")...), serving(t, append(flags, "--node-name=b")...)
	awaitCluster(t, a, 2)
	awaitCluster(t, b, 2)
	client, _ := a.connectTo(t, "warehouse=w&zone=a")
	if i := b.listed(t, "a"); i == nil || i.State != cluster.Ready || i.Usage == nil || i.Usage.MemoryBytes == 0 || !i.Broker.Up || i.Broker.Since.IsZero() ||
		i.Connections != 1 || i.Drain != nil {
		t.Errorf("before: %+v", i)
	}
	form := url.Values{"id": {b.listed(t, "a").ID}, "reason": {"new kernel"}}.Encode()
	testkit.Eventually(t, "the drain begins", func() bool { // it is refused while a busy machine keeps the instances from one another
		answer, _ := b.act(t, http.MethodPost, "/ui/drain", form, "Content-Type", "application/x-www-form-urlencoded")
		return answer.StatusCode == http.StatusSeeOther && answer.Header.Get("Location") == "/ui/instances/a"
	})
	if err := closed(client); !websocket.IsCloseError(err, int(wire.CloseRestart)) {
		t.Errorf("its client ends with %v", err)
	}
	testkit.Eventually(t, "the other instance says that nobody is left", func() bool {
		i := b.listed(t, "a")
		return i.State == cluster.Draining && i.Connections == 0 && i.Drain != nil && i.Drain.Connections == 1 && i.Drain.By == "operator"
	})
	if answer, body := a.ask(t, http.MethodGet, "/readyz"); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "drained by an operator") {
		t.Errorf("it is %s: %s", answer.Status, body)
	}
	if _, refusal, err := a.dial(); err == nil || refusal == nil || refusal.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a newcomer: %v", err)
	}
	if answer, body := a.ask(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`); answer.StatusCode != http.StatusOK {
		t.Errorf("a publication: %s %s", answer.Status, body)
	}
	testkit.Eventually(t, "the drain is announced", func() bool {
		return !slices.ContainsFunc(b.cluster.View().Nodes, func(n cluster.Node) bool { return n.Name == "a" && n.State == cluster.Ready })
	})
	if answer, body := b.act(t, http.MethodPost, "/api/v1/instances/b/drain", ""); answer.StatusCode != http.StatusConflict ||
		!strings.Contains(body, "no other instance is ready") {
		t.Errorf("the last one that is ready: %s %s", answer.Status, body)
	}
	testkit.Eventually(t, "it is put back", func() bool {
		answer, _ := b.act(t, http.MethodDelete, "/api/v1/instances/a/drain", "")
		return answer.StatusCode == http.StatusAccepted
	})
	if answer, _ := a.ask(t, http.MethodGet, "/readyz"); answer.StatusCode != http.StatusOK {
		t.Errorf("put back it is %s", answer.Status)
	}
	a.connectTo(t, "warehouse=w&zone=a")
	for _, want := range []audit.Entry{{Action: audit.Drain, Target: "instance a", Reason: "new kernel", Result: audit.Done},
		{Action: audit.Drain, Target: "instance b", Result: audit.Refused}, {Action: audit.EndDrain, Target: "instance a", Result: audit.Done}} {
		entries := b.recorded(t, want.Action)
		if !slices.ContainsFunc(entries, func(e audit.Entry) bool {
			return e.Target == want.Target && e.Result == want.Result && (want.Reason == "" || e.Reason == want.Reason)
		}) {
			t.Errorf("%+v is not among %+v", want, entries)
		}
	}
}

// An instance that is alone has nobody to send its clients to; one that there is not is not found;
// who may only look drains nothing.
func TestWhatCantBeDrainedIsNot(t *testing.T) {
	s, _ := guarded(t, []string{"ann:operator", "bob:viewer", "eve:operator@w"}, "--node-name=alone")
	for _, tt := range []struct {
		name, method, path string
		want               int
	}{
		{"ann", http.MethodPost, "/api/v1/instances/alone/drain", 409},
		{"ann", http.MethodPost, "/api/v1/instances/nobody/drain", 404},
		{"ann", http.MethodDelete, "/api/v1/instances/alone/drain", 202}, // it is in service
		{"ann", http.MethodGet, "/api/v1/instances/alone", 200},
		{"ann", http.MethodGet, "/api/v1/instances/nobody", 404},
		{"bob", http.MethodPost, "/api/v1/instances/alone/drain", 403},
		{"bob", http.MethodGet, "/api/v1/instances", 200},
		{"eve", http.MethodPost, "/api/v1/instances/alone/drain", 403},
		{"eve", http.MethodPost, "/ui/drain", 403},
		{"eve", http.MethodGet, "/ui/instances", 200}, // the overview has them, too
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, s.url()+tt.path, http.NoBody)
		testkit.Must(t, err)
		r.SetBasicAuth(tt.name, tt.name+"'s password")
		answer, err := http.DefaultTransport.RoundTrip(r)
		testkit.Must(t, err)
		answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%s %s by %s: %s, want %d", tt.method, tt.path, tt.name, answer.Status, tt.want)
		}
	}
	if answer, _ := s.ask(t, http.MethodGet, "/readyz"); answer.StatusCode != http.StatusOK {
		t.Errorf("it is %s afterwards", answer.Status)
	}
}
