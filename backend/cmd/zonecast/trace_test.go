package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// A spanReceiver is a collector of traces.
type spanReceiver struct {
	url string

	mu    sync.Mutex
	spans []receivedSpan
}

type receivedSpan struct {
	*otlp.Span
	node string // instance that sent it
}

// attribute returns one that is a text or a number.
func (s receivedSpan) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

func receiveSpans(t *testing.T) *spanReceiver {
	t.Helper()
	r := new(spanReceiver)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		p, err := io.ReadAll(q.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || q.URL.Path != "/v1/traces" || proto.Unmarshal(p, &export) != nil {
			http.Error(w, "not a trace", http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range export.ResourceSpans {
			node := ""
			for _, a := range resource.Resource.Attributes {
				if a.Key == "service.instance.id" {
					node = a.Value.GetStringValue()
				}
			}
			for _, scope := range resource.ScopeSpans {
				for _, s := range scope.Spans {
					r.spans = append(r.spans, receivedSpan{s, node})
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// of returns the spans of a trace, each as name@instance, in order.
func (r *spanReceiver) of(trace string) (spans []receivedSpan, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			spans, names = append(spans, s), append(names, s.Name+"@"+s.node)
		}
	}
	slices.Sort(names)
	return spans, names
}

func (r *spanReceiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spans)
}

// One trace follows a message from its publisher over two instances to the sockets, and its context
// reaches the clients; however it was published, and through the memory broker too.
func TestOneTraceFollowsAMessageToTheSocketsOfAllInstances(t *testing.T) {
	const parent = "00f067aa0ba902b7"
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100") // ms, not 5 s
	redis := stacktest.Redis(t, stack.Single).Redis
	spans := receiveSpans(t)
	flags := []string{"--traces-endpoint=" + spans.url, "--trace-sample-ratio=0", "--redis-url=" + redis.URL, "--cluster-secret=" + strings.Repeat("c", 32)}
	a, b := serving(t, append(flags, "--node-name=a")...), serving(t, append(flags, "--node-name=b")...)
	alone := serving(t, "--traces-endpoint="+spans.url, "--trace-sample-ratio=0", "--node-name=alone")
	awaitCluster(t, b, 2)

	header := func(s *server, traceparent string) {
		answer, p := s.act(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E","data":1}`, "Traceparent", traceparent)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", answer.Status, p)
		}
	}
	ways := []struct {
		name    string
		publish func(s *server, traceparent string)
	}{
		{"http", header},
		{"batch", func(s *server, traceparent string) {
			s.act(t, http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E","data":1,"traceparent":"`+traceparent+`"}]}`)
		}},
		{"batch with a header", func(s *server, traceparent string) {
			s.act(t, http.MethodPost, "/api/v1/broadcast", `{"messages":[{"warehouse":"w","event":"E","data":1}]}`, "Traceparent", traceparent)
		}},
		{"posted frame", func(s *server, traceparent string) {
			s.act(t, http.MethodPost, "/sse", `{"event":"publish","id":1,"data":{"warehouse":"w","event":"E","data":1,"traceparent":"`+traceparent+`"}}`)
		}},
	}
	for i, way := range ways {
		for _, one := range []struct {
			name      string
			publisher *server
			members   []*server
			want      []string
		}{
			{"two instances", a, []*server{a, b}, []string{"deliver@a", "deliver@b", "publish@a", "write@a", "write@b"}},
			{"memory", alone, []*server{alone}, []string{"deliver@alone", "publish@alone", "write@alone"}},
		} {
			t.Run(way.name+" "+one.name, func(t *testing.T) {
				trace := fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e47%d%d", i, len(one.members))
				var members []*websocket.Conn
				for _, s := range one.members {
					c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/ws?warehouse=w", nil)
					testkit.Must(t, err)
					defer c.Close()
					_, _, err = c.ReadMessage() // connected
					testkit.Must(t, err)
					members = append(members, c)
				}
				way.publish(one.publisher, "00-"+trace+"-"+parent+"-01")
				for _, c := range members {
					_, p, err := c.ReadMessage()
					testkit.Must(t, err)
					var f struct{ Event, Traceparent string }
					if json.Unmarshal(p, &f) != nil || f.Event != "E" || !strings.HasPrefix(f.Traceparent, "00-"+trace+"-") {
						t.Errorf("a client got %s", p)
					}
				}
				testkit.Eventually(t, "all spans arrive", func() bool { _, got := spans.of(trace); return len(got) >= len(one.want) })
				got, names := spans.of(trace)
				if !slices.Equal(names, one.want) {
					t.Fatalf("spans %v, want %v", names, one.want)
				}
				var publish, offset string
				for _, s := range got {
					if s.Name == "publish" {
						publish, offset = hex.EncodeToString(s.SpanId), s.attribute("zonecast.offset")
						if got := hex.EncodeToString(s.ParentSpanId); got != parent {
							t.Errorf("the parent of the publication is %s, want %s", got, parent)
						}
					}
				}
				for _, s := range got {
					if s.Name == "deliver" && (hex.EncodeToString(s.ParentSpanId) != publish || s.attribute("zonecast.offset") != offset ||
						s.attribute("zonecast.members") != "1" || s.EndTimeUnixNano < s.StartTimeUnixNano) {
						t.Errorf("deliver: %v", s.Span)
					}
				}
			})
		}
	}

	t.Run("what is not sampled, or no trace context", func(t *testing.T) {
		for _, traceparent := range []string{"", "00-4bf92f3577b34da6a3ce929d0e0e4799-00f067aa0ba902b7-00", "00-x-y-01",
			strings.Repeat("0", 4000), "ff-4bf92f3577b34da6a3ce929d0e0e4799-00f067aa0ba902b7-01"} {
			before := spans.count()
			c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(b.url(), "http")+"/ws?warehouse=w", nil)
			testkit.Must(t, err)
			_, _, err = c.ReadMessage()
			testkit.Must(t, err)
			header(a, traceparent)
			_, p, err := c.ReadMessage()
			testkit.Must(t, err)
			c.Close()
			testkit.Must(t, a.tracer.Flush(t.Context()))
			testkit.Must(t, b.tracer.Flush(t.Context()))
			if strings.Contains(string(p), "traceparent") || spans.count() != before {
				t.Errorf("%.60q: a client got %s, and %d spans were sent", traceparent, p, spans.count()-before)
			}
		}
	})
}

// Publications go on, and the server leaves in time, although nobody takes the traces.
func TestACollectorThatIsAwayHoldsUpNobody(t *testing.T) {
	s := serving(t, "--traces-endpoint=http://127.0.0.1:1", "--trace-sample-ratio=1")
	for range 100 {
		if answer, p := s.act(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E"}`); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", answer.Status, p)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.closeTracer(); ctx.Err() != nil {
		t.Errorf("closing took %v: %v", time.Since(began), err)
	}
}

// From a latency on a dashboard to the trace of a message that took so long.
func TestTheTraceOfAMessageIsAnExemplarOfItsLatencies(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	s := serving(t, "--traces-endpoint="+receiveSpans(t).url, "--trace-sample-ratio=0")
	s.connectTo(t, "warehouse=w")
	s.act(t, http.MethodPost, "/api/v1/warehouses/w/broadcast", `{"event":"E","data":1}`, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	for _, name := range []string{"zonecast_delivery_latency_seconds", "zonecast_publish_duration_seconds"} {
		testkit.Eventually(t, "an exemplar of "+name, func() bool {
			families, err := s.metrics.Registry.Gather()
			testkit.Must(t, err)
			for _, f := range families {
				for _, m := range f.GetMetric() {
					for _, b := range m.GetHistogram().GetBucket() {
						if f.GetName() == name && b.Exemplar != nil {
							return b.Exemplar.GetLabel()[0].GetValue() == trace
						}
					}
				}
			}
			return false
		})
	}
}
