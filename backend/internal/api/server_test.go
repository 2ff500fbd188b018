package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/zonecast/zonecast/backend/internal/access"
	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/api"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/connadmin"
	"github.com/zonecast/zonecast/backend/internal/hub"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/operator"
	"github.com/zonecast/zonecast/backend/internal/outbox"
	"github.com/zonecast/zonecast/backend/internal/publishing"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A server is the API with the real hub and the memory broker behind it.
type server struct {
	t         testing.TB
	echo      *echo.Echo
	hub       *hub.Hub
	pool      *outbox.Pool
	broker    *fragile
	metrics   *metrics.Metrics
	readiness *cluster.Readiness
	log       *bytes.Buffer
	views     int // how often the cluster was counted
}

// fragile is the memory broker, which can be told what to answer to the publications that follow.
type fragile struct {
	*broker.Memory
	answer error
	health error
}

func (f *fragile) Health() error {
	if f.health != nil {
		return f.health
	}
	return f.Memory.Health()
}

func (f *fragile) Publish(ctx context.Context, p broker.Publication) (broker.Receipt, error) {
	if f.answer != nil {
		return broker.Receipt{}, f.answer
	}
	return f.Memory.Publish(ctx, p)
}

// roomQuota is how many rooms a warehouse may have at these servers.
const roomQuota = 50

// dataLimit is the most bytes of data that these servers take in one message.
const dataLimit = 1 << 10

// start returns a server. view, if not nil, is what its cluster shows.
func start(t testing.TB, guard auth.Options, view func() cluster.View) *server {
	t.Helper()
	return startWith(t, guard, view, 0, 0, "")
}

// startLocked is start with the password of an operator.
func startLocked(t testing.TB, password string) *server {
	t.Helper()
	return startWith(t, auth.Options{}, nil, 0, 0, password)
}

// startWith is start with a bound of what waits for one connection, and a time that publishers
// wait; 0 for the defaults.
func startWith(t testing.TB, guard auth.Options, view func() cluster.View, bytesQueued int, wait time.Duration, password string) *server {
	t.Helper()
	s := &server{t: t, echo: echo.New(), metrics: metrics.New("v-test"), log: new(bytes.Buffer)}
	s.metrics.AddTransport("websocket", func() int { return s.hub.Connections() })
	s.pool = outbox.NewPool(outbox.Options{Meter: s.metrics, MaxQueuedBytes: bytesQueued, SlowAfter: time.Minute})
	t.Cleanup(s.pool.Close)
	s.hub = hub.New(hub.Options{Pool: s.pool, PublishWait: wait, OnWait: s.metrics.PublishWaits.Inc})
	s.broker = &fragile{Memory: broker.NewMemory(broker.Limits{Retained: 2, Warehouse: broker.Quota{Rooms: roomQuota}}, s.hub)}
	s.hub.Use(s.broker)
	s.readiness = cluster.NewReadiness(s.broker.Health)
	if view == nil {
		view = func() cluster.View { return cluster.View{Nodes: []cluster.Node{s.node()}} }
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.echo.HTTPErrorHandler = api.Problem(log)
	connections := &connadmin.Handler{Node: "node-1", Sessions: s.hub.Sessions, Log: log}
	alone := cluster.Alone{Self: s.node, Answer: connections.Answer}
	alerts := alertlog.New(log)
	alerts.Use(new(alertlog.Memory), nil)
	publisher := publishing.New(publishing.Options{Hub: s.hub, Metrics: s.metrics, MaxFrameBytes: dataLimit, Alerts: alerts})
	operators, err := operator.New(operator.Options{Password: password, Log: log})
	testkit.Must(t, err)
	pins, err := auth.ParsePINs([]string{"w1/Anna:480231"})
	testkit.Must(t, err)
	entries, err := audit.Open(audit.Options{Log: log})
	testkit.Must(t, err)
	entries.Use(audit.NewMemory(), nil)
	routes := access.New(s.echo, operators)
	routes.Audit(entries)
	api.AddRoutes(routes, api.Options{Audit: entries, Monitoring: access.Public, Operators: operators,
		Publisher: publisher, Readiness: s.readiness, Cluster: shows{alone, view, &s.views}, Metrics: s.metrics, Log: log,
		Guard: auth.New(guard), MaxFrameBytes: dataLimit, Connections: connadmin.Client{Cluster: alone}, PINs: pins,
		Zones: s.broker.Zones, AlertLog: alerts})
	return s
}

// shows is a cluster that shows what it is told to.
type shows struct {
	cluster.Alone
	view  func() cluster.View
	views *int
}

func (s shows) View() cluster.View {
	*s.views++
	return s.view()
}

func (s shows) Incomplete() string { return s.view().Incomplete }

// node is what an instance says about itself.
func (s *server) node() cluster.Node {
	c := s.hub.Counts()
	n := cluster.Node{Name: "node-1", Started: time.Now(), State: cluster.Ready, Connections: c.Connections,
		Rooms: cluster.Rooms{Warehouses: c.Warehouses}, Sent: c.Sent, Lived: c.Lived}
	for room, count := range c.Zones {
		n.Zones = append(n.Zones, cluster.Zone{Warehouse: room.Warehouse, Zone: room.Zone, Connections: count})
	}
	return n
}

// A request to the server; the method is POST and the content type JSON unless something else is
// said.
type request struct {
	method, path, body string
	header             map[string]string // an empty value takes the header away
}

func (s *server) do(r request) *http.Response {
	if r.method == "" {
		r.method = http.MethodPost
	}
	q := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	if r.method == http.MethodPost {
		q.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		q.Header.Del(name)
		if value != "" {
			q.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	s.echo.ServeHTTP(w, q)
	return w.Result()
}

func (s *server) get(path string) *http.Response {
	return s.do(request{method: http.MethodGet, path: path})
}

// wantJSON decodes an answer of this status into T, which must have all of its fields.
func wantJSON[T any](t testing.TB, answer *http.Response, status int) (v T) {
	t.Helper()
	p := read(t, answer)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != status || !strings.HasPrefix(kind, "application/json") {
		t.Fatalf("%s %s: %s; want %d", answer.Status, kind, p, status)
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return v
}

func read(t testing.TB, answer *http.Response) []byte {
	t.Helper()
	p, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	return p
}

// wantProblem fails unless the answer is an RFC 9457 problem of this status and code whose sentence
// says this.
func wantProblem(t testing.TB, answer *http.Response, status int, code wire.ErrorCode, says string) {
	t.Helper()
	p := read(t, answer)
	var problem struct {
		Title, Detail string
		Status        int
		Code          wire.ErrorCode
	}
	if err := json.Unmarshal(p, &problem); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s %s: %s", answer.Status, answer.Header.Get("Content-Type"), p)
	}
	if answer.StatusCode != status || problem.Status != status || problem.Title != http.StatusText(status) ||
		code != "" && problem.Code != code || !strings.Contains(problem.Detail, says) || problem.Detail == "" {
		t.Errorf("%s %s\nwant %d, %s, with %q", answer.Status, p, status, code, says)
	}
}

// counted returns a counter with these labels, which read "label=value" in the order of the metric.
func (s *server) counted(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.metrics.Registry.Gather()
	testkit.Must(s.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName()+"="+l.GetValue())
			}
			if f.GetName() == name && strings.Join(has, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// kept returns the messages that the room has.
func (s *server) kept(room wire.Room) []*broker.Message {
	s.t.Helper()
	page, err := s.broker.History(context.Background(), room, wire.Offset{}, 10_000)
	testkit.Must(s.t, err)
	return page.Messages
}
