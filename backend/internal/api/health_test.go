package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// contract are the five fields of the figures that other people's programs depend on, with their
// JSON types.
type contract struct {
	TotalConnections         *int            `json:"totalConnections"`
	AvgMessagesPerConnection *int            `json:"avgMessagesPerConnection"`
	ConnectionsByWarehouse   *map[string]int `json:"connectionsByWarehouse"`
	ConnectionsByZone        *map[string]int `json:"connectionsByZone"`
	AvgConnectionDuration    *int            `json:"avgConnectionDuration"`
}

// figures returns the five fields; each must be there, be of its type and not be null.
func (s *server) figures() (c contract) {
	s.t.Helper()
	answer := s.get(health)
	p := read(s.t, answer)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "application/json") {
		s.t.Fatalf("%s %s: %s", answer.Status, kind, p)
	}
	if err := json.Unmarshal(p, &c); err != nil {
		s.t.Fatalf("%s: %v", p, err)
	}
	for i := range reflect.ValueOf(c).NumField() {
		if reflect.ValueOf(c).Field(i).IsNil() {
			s.t.Fatalf("%s is missing or null in %s", reflect.TypeOf(c).Field(i).Tag.Get("json"), p)
		}
	}
	return c
}

// lines is how frames look to the members of a room here.
var lines = &outbox.Encoding{
	Transport: "websocket",
	Append:    func(dst []byte, f *outbox.Frame) []byte { return append(append(dst, f.JSON...), '\n') },
	Closing:   func(wire.CloseCode, string) []byte { return nil },
}

// member opens a session in these rooms; its client reads and forgets.
func (s *server) member(rooms ...wire.Room) *hub.Session {
	s.t.Helper()
	end, client := net.Pipe()
	go io.Copy(io.Discard, client)
	m := s.hub.Open(fmt.Sprint("c-", s.hub.Connections()), "", s.pool.NewQueue(end, lines, nil), nil)
	s.t.Cleanup(func() { m.Close(); m.Queue.Hangup(wire.CloseGoingAway); client.Close() })
	var joins []hub.Join
	for _, r := range rooms {
		joins = append(joins, hub.Join{Room: r})
	}
	testkit.Must(s.t, m.Join(s.t.Context(), joins, func(wire.Cursor) {}))
	return m
}

func TestHealthFiguresOfNobody(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	c := s.figures()
	if *c.TotalConnections != 0 || *c.AvgMessagesPerConnection != 0 || *c.AvgConnectionDuration != 0 ||
		len(*c.ConnectionsByWarehouse) != 0 || len(*c.ConnectionsByZone) != 0 {
		t.Errorf("nobody is connected, yet the figures are %s", read(t, s.get(health)))
	}
}

func TestHealthFigures(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	room := func(warehouse, zone string) wire.Room { return wire.Room{Warehouse: warehouse, Zone: zone} }
	s.member()
	s.member(room("w1", ""))
	s.member(room("w1", ""), room("w1", "a"))
	last := s.member(room("w1", "a"), room("w1", "b"), room("w2", "a")) // the zones of both warehouses have this name
	for range 6 {
		_, err := s.broker.Publish(t.Context(), broker.Publication{Room: room("w1", "a"), Event: "E"})
		testkit.Must(t, err)
	}
	testkit.Eventually(t, "four connections have 3 messages on average, two of them 6", func() bool {
		return *s.figures().AvgMessagesPerConnection == 3
	})
	c := s.figures()
	if *c.TotalConnections != 4 {
		t.Errorf("%d connections, want 4", *c.TotalConnections)
	}
	if want := map[string]int{"w1": 3, "w2": 1}; !reflect.DeepEqual(*c.ConnectionsByWarehouse, want) {
		t.Errorf("by warehouse: %v, want %v: each connection once", *c.ConnectionsByWarehouse, want)
	}
	if want := map[string]int{"a": 3, "b": 1}; !reflect.DeepEqual(*c.ConnectionsByZone, want) {
		t.Errorf("by zone: %v, want %v: each place, also of one connection in zones of one name in two warehouses",
			*c.ConnectionsByZone, want)
	}
	if ms := *c.AvgConnectionDuration; ms < 0 || ms > 60_000 {
		t.Errorf("the connections are open for %d ms on average", ms)
	}
	last.Close()
	if c = s.figures(); *c.TotalConnections != 3 || (*c.ConnectionsByWarehouse)["w2"] != 0 {
		t.Errorf("after one left: %d connections, by warehouse %v", *c.TotalConnections, *c.ConnectionsByWarehouse)
	}
}

func TestHealthFiguresOfAllInstances(t *testing.T) {
	s := start(t, auth.Options{}, func() cluster.View {
		return cluster.View{Incomplete: "Redis is away", Nodes: []cluster.Node{
			{Name: "node-1", Connections: 3, Sent: 300, Lived: 30 * time.Second, Transports: map[string]int{"websocket": 2, "sse": 1}, Rooms: cluster.Rooms{
				Warehouses: map[string]int{"w1": 2, "w2": 1}, Zones: []cluster.Zone{{Warehouse: "w1", Zone: "a", Connections: 2}}}},
			{Name: "node-2", Connections: 1, Sent: 100, Lived: 50 * time.Second, Transports: map[string]int{"sse": 1}, Rooms: cluster.Rooms{
				Warehouses: map[string]int{"w1": 1}, Zones: []cluster.Zone{{Warehouse: "w1", Zone: "a", Connections: 1}, {Warehouse: "w1", Zone: "b", Connections: 1}}}},
			{Name: "node-3"},
		}}
	})
	c := s.figures()
	if *c.TotalConnections != 4 || *c.AvgMessagesPerConnection != 100 || *c.AvgConnectionDuration != 20_000 ||
		!reflect.DeepEqual(*c.ConnectionsByWarehouse, map[string]int{"w1": 3, "w2": 1}) ||
		!reflect.DeepEqual(*c.ConnectionsByZone, map[string]int{"a": 3, "b": 1}) {
		t.Errorf("the figures are %s", read(t, s.get(health)))
	}
	if p := read(t, s.get(health)); !strings.Contains(string(p), `"connectionsByTransport":{"sse":2,"websocket":2}`) {
		t.Errorf("%s does not tell the transports apart", p)
	}
	if p := read(t, s.get(health)); !strings.Contains(string(p), `"complete":false`) || !strings.Contains(string(p), "Redis is away") {
		t.Errorf("%s does not say that instances may be missing, and why", p)
	}
}

func TestReadiness(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	type state struct {
		Status     string
		Reasons    []string
		Components []any
	}
	if got := wantJSON[state](t, s.get("/readyz"), http.StatusOK); got.Status != "ready" {
		t.Errorf("%+v, want ready", got)
	}
	s.broker.Close()
	if got := wantJSON[state](t, s.get("/readyz"), http.StatusServiceUnavailable); got.Status != "not ready" ||
		len(got.Reasons) != 1 || !strings.HasPrefix(got.Reasons[0], "broker: ") {
		t.Errorf("without broker: %+v", got)
	}
	s.readiness.Leave()
	if got := wantJSON[state](t, s.get("/readyz"), http.StatusServiceUnavailable); len(got.Reasons) != 2 ||
		!strings.Contains(got.Reasons[0], "shutting down") {
		t.Errorf("while leaving, without broker: %+v", got)
	}
	if got := wantJSON[state](t, s.get("/livez"), http.StatusOK); got.Status != "alive" { // a restart would not help
		t.Errorf("without broker: %+v, want alive", got)
	}
}

// Each part says how it is: what fails the instance, and what is only told because no other
// instance is better off.
func TestReadinessExplainsItselfByComponent(t *testing.T) {
	type state struct {
		Status            string
		Reasons, Warnings []string
		Components        []struct {
			Component, Status, Detail string
			Since                     time.Time
		}
	}
	explain := func(s *server, want int) string {
		var parts []string
		for _, c := range wantJSON[state](t, s.get("/readyz"), want).Components {
			if (c.Component == "broker" && c.Status != "ok") == c.Since.IsZero() {
				t.Errorf("%s is %s since %v", c.Component, c.Status, c.Since)
			}
			parts = append(parts, strings.TrimSpace(c.Component+" "+c.Status+" "+c.Detail))
		}
		return strings.Join(parts, ", ")
	}
	s := start(t, auth.Options{}, nil)
	if got, want := explain(s, http.StatusOK), "serving ok, broker ok, cluster ok"; got != want {
		t.Errorf("all is well: %s, want %s", got, want)
	}
	s.broker.health = everywhere{errors.New("Redis is out of memory")}
	if got, want := explain(s, http.StatusOK), "serving ok, broker warning Redis is out of memory, cluster ok"; got != want {
		t.Errorf("no instance can write: %s, want %s", got, want)
	}
	s.broker.health = errors.New("Redis is not available")
	s.readiness.Leave()
	if got, want := explain(s, http.StatusServiceUnavailable),
		"serving failing this instance is shutting down, broker failing Redis is not available, cluster ok"; got != want {
		t.Errorf("it leaves, without Redis: %s, want %s", got, want)
	}
}

func TestMetricsAreAnExposition(t *testing.T) {
	s := start(t, auth.Options{}, nil)
	s.do(request{path: toZone, body: `{"event":"E"}`})
	s.do(request{path: toZone, body: `{"event":"gap"}`})
	answer := s.get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%s %s: %v", answer.Status, answer.Header.Get("Content-Type"), err)
	}
	for _, name := range []string{"zonecast_build_info", "zonecast_publishes_total", "zonecast_publish_duration_seconds",
		"zonecast_messages_delivered_total", "zonecast_delivered_bytes_total", "zonecast_delivery_latency_seconds",
		"zonecast_gaps_total", "go_goroutines", "process_open_fds"} {
		if f := families[name]; f == nil || f.GetHelp() == "" {
			t.Errorf("%s is missing, or has no help", name)
		}
	}
	if n := len(families["zonecast_publishes_total"].GetMetric()); n != 2 {
		t.Errorf("%d results of publishing, want ok and invalid_event", n)
	}
}

// However often strangers ask, figures that are costly are counted a few times, and readiness needs
// none.
func TestStrangersShareTheCostOfTheFigures(t *testing.T) {
	s := start(t, auth.Options{}, func() cluster.View {
		time.Sleep(time.Second)
		return cluster.View{Nodes: []cluster.Node{{Name: "one", Connections: 7}}}
	})
	for range 12 {
		if h := wantJSON[api.Health](t, s.get(health), http.StatusOK); h.TotalConnections != 7 {
			t.Errorf("%d connections, want 7", h.TotalConnections)
		}
	}
	if s.views > 5 {
		t.Errorf("counted %d times for 12 answers", s.views)
	}
	before := s.views
	if answer := s.get("/readyz"); answer.StatusCode != http.StatusOK || s.views != before {
		t.Errorf("readiness: %s, counted %d times", answer.Status, s.views-before)
	}
}
