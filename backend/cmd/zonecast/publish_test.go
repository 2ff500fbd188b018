package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/common/expfmt"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/web/dashboard"
)

// A wayToPublish sends the members of a JSON object to a room, and returns "ok" or the error's
// code.
type wayToPublish func(t *testing.T, s *server, warehouse, zone, members string) string

// waysToPublish are all of them, by name.
func waysToPublish() map[string]wayToPublish {
	frame := func(warehouse, zone, members string) string {
		return `{"event":"publish","id":1,"data":` + addressed(warehouse, zone, members) + `}`
	}
	posted := func(path string) wayToPublish {
		return func(t *testing.T, s *server, warehouse, zone, members string) string {
			_, answer := s.ask(t, http.MethodPost, path, frame(warehouse, zone, members))
			return code(t, answer)
		}
	}
	return map[string]wayToPublish{
		"http": func(t *testing.T, s *server, warehouse, zone, members string) string {
			path := "/api/v1/warehouses/" + url.PathEscape(warehouse)
			if zone != "" {
				path += "/zones/" + url.PathEscape(zone)
			}
			_, answer := s.ask(t, http.MethodPost, path+"/broadcast", `{`+members+`}`)
			return code(t, answer)
		},
		"batch": func(t *testing.T, s *server, warehouse, zone, members string) string {
			_, answer := s.ask(t, http.MethodPost, "/api/v1/broadcast", `{"messages":[`+addressed(warehouse, zone, members)+`]}`)
			var batch struct{ Results []json.RawMessage }
			if err := json.Unmarshal(answer, &batch); err != nil || len(batch.Results) != 1 {
				t.Fatalf("%s: %v", answer, err)
			}
			return code(t, batch.Results[0])
		},
		"websocket": func(t *testing.T, s *server, warehouse, zone, members string) string {
			conn, _, err := s.dial()
			testkit.Must(t, err)
			defer conn.Close()
			testkit.Must(t, conn.WriteMessage(websocket.TextMessage, []byte(frame(warehouse, zone, members))))
			for {
				_, p, err := conn.ReadMessage()
				testkit.Must(t, err)
				if bytes.Contains(p, []byte(`"id":1`)) {
					return code(t, p)
				}
			}
		},
		"sse":  posted("/sse"),
		"poll": posted("/poll"),
	}
}

// addressed is a publication that names its room itself.
func addressed(warehouse, zone, members string) string {
	to := fmt.Sprintf(`{"warehouse":%q,`, warehouse)
	if zone != "" {
		to += fmt.Sprintf(`"zone":%q,`, zone)
	}
	return to + members + `}`
}

// code returns the error code in an answer of any form, or "ok" when it has an offset.
func code(t *testing.T, answer []byte) string {
	t.Helper()
	var a struct {
		Offset, Code string
		Data         struct{ Offset, Code string }
		Error        *struct{ Code string }
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	switch {
	case a.Offset != "" || a.Data.Offset != "":
		return "ok"
	case a.Error != nil:
		return a.Error.Code
	}
	return a.Code + a.Data.Code
}

// A publication has the same outcome whichever way it comes; it is counted once, and timed if "ok".
func TestEveryWayToPublishHasTheSameOutcome(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct{ name, warehouse, zone, members, want string }{
		{"to a zone", "w", "a", `"event":"E","data":1`, "ok"},
		{"to a warehouse, without data", "w", "", `"event":"E"`, "ok"},
		{"a warehouse with a space", "w 1", "", `"event":"E"`, "invalid_room"},
		{"a zone with a colon", "w", "a:b", `"event":"E"`, "invalid_room"},
		{"no event", "w", "a", `"data":1`, "invalid_event"},
		{"a reserved event", "w", "a", `"event":"gap"`, "invalid_event"},
		{"an event of another type", "w", "a", `"event":5`, "invalid_data"},
		{"a field mistyped", "w", "a", `"event":"E","dta":1`, "invalid_data"},
		{"a conflate name that is too long", "w", "a", `"event":"E","conflate":"` + long + `"`, "invalid_data"},
	}
	s := serving(t)
	for via, publish := range waysToPublish() {
		label := strings.Replace(via, "batch", "http", 1)
		for _, tt := range tests {
			t.Run(via+", "+tt.name, func(t *testing.T) {
				counted := fmt.Sprintf(`zonecast_publishes_total{result=%q,via=%q}`, tt.want, label)
				timed := "zonecast_publish_duration_seconds_count"
				before := s.scrape(t)
				if got := publish(t, s, tt.warehouse, tt.zone, tt.members); got != tt.want {
					t.Errorf("the outcome is %q, want %q", got, tt.want)
				}
				after := s.scrape(t)
				if n := after[counted] - before[counted]; n != 1 {
					t.Errorf("%s grew by %v, want 1", counted, n)
				}
				if n := after[timed] - before[timed]; (n == 1) != (tt.want == "ok") || n > 1 {
					t.Errorf("%s grew by %v", timed, n)
				}
			})
		}
	}
}

// Only services retain: a frame has no such field.
func TestOnlyHTTPRetains(t *testing.T) {
	s := serving(t)
	for via, publish := range waysToPublish() {
		want := "invalid_data"
		if via == "http" || via == "batch" {
			want = "ok"
		}
		if got := publish(t, s, "w", "a", `"event":"E","retain":true`); got != want {
			t.Errorf("%s: %q, want %q", via, got, want)
		}
	}
}

// scrape returns the values of the metrics by the name with its labels. Those of /metrics may be a
// moment old where they are asked for as often as here.
func (s *server) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := s.metrics.Registry.Gather()
	testkit.Must(t, err)
	var text strings.Builder
	for _, f := range families {
		_, err = expfmt.MetricFamilyToText(&text, f)
		testkit.Must(t, err)
	}
	values := map[string]float64{}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			name, value := line[:i], line[i+1:]
			var v float64
			if _, err := fmt.Sscan(value, &v); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			values[name] = v
		}
	}
	return values
}

func TestTheFiguresAreThoseOfTheMetrics(t *testing.T) {
	s := serving(t)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w&zone=a", nil)
	testkit.Must(t, err)
	defer conn.Close()
	_, _, err = conn.ReadMessage() // connected: it is in the room
	testkit.Must(t, err)
	ways := waysToPublish()
	for range 5 {
		for _, publish := range ways {
			if got := publish(t, s, "w", "a", `"event":"E","data":1`); got != "ok" {
				t.Fatal(got)
			}
		}
	}
	ways["http"](t, s, "w", "a", `"event":"gap"`)
	published := 5 * uint64(len(ways))
	testkit.Eventually(t, "all is delivered, and those who published have left", func() bool {
		snapshot := s.snapshot()
		return snapshot.Connections == 1 && snapshot.Instances[0].Latency.Count == published
	})
	snapshot, metrics := s.snapshot(), s.scrape(t)
	shown := snapshot.Instances[0]
	if shown.Published != published || shown.Delivered != published {
		t.Errorf("the dashboard shows %d published and %d delivered, want %d", shown.Published, shown.Delivered, published)
	}
	for name, want := range map[string]float64{
		`zonecast_messages_delivered_total{transport="websocket"}`:       float64(published),
		`zonecast_delivery_latency_seconds_count{transport="websocket"}`: float64(published),
		`zonecast_connections{transport="websocket"}`:                    1,
		`zonecast_publishes_total{result="ok",via="http"}`:               10,
	} {
		if metrics[name] != want {
			t.Errorf("%s is %v, want %v", name, metrics[name], want)
		}
	}
	for i, bound := range shown.Latency.Bounds {
		name := fmt.Sprintf(`zonecast_delivery_latency_seconds_bucket{transport="websocket",le="%v"}`, bound)
		if metrics[name] != float64(shown.Latency.Counts[i]) {
			t.Errorf("%s is %v, and %d on the dashboard", name, metrics[name], shown.Latency.Counts[i])
		}
	}
	var health struct {
		TotalConnections         int
		AvgMessagesPerConnection uint64
		ConnectionsByRoom        map[string]int
	}
	_, body := s.ask(t, http.MethodGet, "/health/websocket/metrics")
	if err := json.Unmarshal(body, &health); err != nil || health.TotalConnections != 1 ||
		health.AvgMessagesPerConnection < published || health.ConnectionsByRoom["zone:w:a"] != 1 {
		t.Errorf("the health figures are %+v", health)
	}
}

// An empty dashboard and the list of screens name the zones with events, whichever way those came.
func TestZonesWithEventsAreListedThoughNobodyIsConnected(t *testing.T) {
	s := serving(t)
	var want []dashboard.Zone
	for via, publish := range waysToPublish() {
		if got := publish(t, s, "w", via, `"event":"E"`); got != "ok" {
			t.Fatal(got)
		}
		publish(t, s, "w", "refused", `"event":"gap"`)
		publish(t, s, "w", "", `"event":"E"`)
		want = append(want, dashboard.Zone{Warehouse: "w", Name: via})
	}
	slices.SortFunc(want, func(a, b dashboard.Zone) int { return strings.Compare(a.Name, b.Name) })
	if got := s.snapshot().Recent; !slices.Equal(got, want) {
		t.Errorf("the dashboard is told of %v, want %v", got, want)
	}
	_, page := s.ask(t, http.MethodGet, "/screen/")
	for _, z := range want {
		if !bytes.Contains(page, []byte(`href="/screen/w/`+z.Name+`"`)) {
			t.Errorf("%s is not listed among the screens", z.Name)
		}
	}
	if bytes.Contains(page, []byte("refused")) {
		t.Error("a zone that nothing was published to is listed among the screens")
	}
}

func seenBy(grants ...operator.Grant) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/screen/", nil)
	return r.WithContext(operator.With(r.Context(), operator.Identity{Grants: grants}))
}

func TestZonesOfAllInstancesAreListedOnce(t *testing.T) {
	a, b := cluster.Zone{Warehouse: "w", Zone: "a", Connections: 2}, cluster.Zone{Warehouse: "w", Zone: "b"}
	memory := broker.NewMemory(broker.Limits{}, nil)
	defer memory.Close()
	all := views{view: cluster.View{Nodes: []cluster.Node{
		{Name: "one", Rooms: cluster.Rooms{Zones: []cluster.Zone{a}}, RecentZones: []cluster.Zone{b}},
		{Name: "two", Rooms: cluster.Rooms{Zones: []cluster.Zone{a}}, RecentZones: []cluster.Zone{b, a}},
	}}}
	s := &server{config: new(config.Config), cluster: all, rooms: cluster.Census{Cluster: all}, broker: memory}
	zones, complete := s.zones(seenBy(operator.Grant{Role: operator.Viewer}))
	if got := fmt.Sprint(zones); !complete || len(zones) != 2 || !strings.Contains(got, "{w a 4 true}") || !strings.Contains(got, "{w b 0 true}") {
		t.Errorf("listed %v, complete: %v", zones, complete)
	}
	if got := fmt.Sprint(s.snapshot().Recent); got != "[{w a 0} {w b 0}]" {
		t.Errorf("the dashboard is told of %s", got)
	}
}

// views is a cluster that only shows something.
type views struct {
	cluster.Cluster
	view cluster.View
}

func (v views) View() cluster.View { return v.view }

func (v views) Ask(context.Context, cluster.Question) (all cluster.Answers) {
	for _, n := range v.view.Nodes {
		data, _ := json.Marshal(n.Rooms) // of texts and numbers
		all.All = append(all.All, cluster.Answer{Node: n.Name, Data: data})
	}
	return all
}

// The list of screens names zones, so it is for operators; a screen itself needs no login.
func TestTheListOfScreensNeedsThePassword(t *testing.T) {
	s := serving(t, "--operator-password=a long password")
	for path, want := range map[string]int{"/screen/": http.StatusUnauthorized, "/screen/w/a": http.StatusOK} {
		if answer, _ := s.ask(t, http.MethodGet, path); answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
}
