package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// The whole topology is started once; the subtests look at it, those that break something come
// last.
func TestDeployedStack(t *testing.T) {
	s := stacktest.Start(t, stack.Full(repository, binary()))
	t.Run("a publish reaches clients of every instance", func(t *testing.T) { publishReachesAll(t, s) })
	t.Run("pages come through nginx", func(t *testing.T) { pagesAnswer(t, s) })
	t.Run("the dashboard's events flow at once", func(t *testing.T) { eventsFlow(t, s) })
	t.Run("streams flow event by event", func(t *testing.T) { streamsFlow(t, s) })
	t.Run("polls are answered", func(t *testing.T) { pollsAnswer(t, s) })
	t.Run("the protocol is kept through nginx", func(t *testing.T) { protocolIsKept(t, s) })
	t.Run("metrics stay inside", func(t *testing.T) { metricsStayInside(t, s) })
	t.Run("a body over the limit is a problem", func(t *testing.T) { largeBodyIsRefused(t, s) })
	t.Run("the health check of the containers", func(t *testing.T) { healthCheckTells(t, s) })
	t.Run("Prometheus sees three instances", func(t *testing.T) { prometheusSeesAll(t, s) })
	t.Run("Prometheus answers every panel and alert", func(t *testing.T) { queriesAnswer(t, s) })
	t.Run("a lost instance is nobody's error", func(t *testing.T) { instanceMayGo(t, s) })
	t.Run("without Redis publishers are told to come back", func(t *testing.T) { redisMayGo(t, s) })
	t.Run("without any instance nginx answers", func(t *testing.T) { nginxAnswersAlone(t, s) })
}

// Whichever instance takes a publish, it has clients of the two others to serve.
func publishReachesAll(t *testing.T, s *stack.Stack) {
	clients := map[string]*client{} // by node
	for range 12 {
		if len(clients) == len(s.Instances) {
			break
		}
		c := dial(t, s.Nginx.WebSocket()+"?warehouse=warehouse-1&zone=zone-a")
		clients[c.node] = c
	}
	if len(clients) != len(s.Instances) {
		t.Fatalf("12 connections through nginx reached %d instances, want %d", len(clients), len(s.Instances))
	}
	const messages = 30
	var offsets []wire.Offset
	for n := range messages {
		offsets = append(offsets, send(t, s.Nginx.URL, "zone-a", body(n)))
	}
	for node, c := range clients {
		for n := range messages {
			got := c.next("ZONE_UPDATE")
			if want := fmt.Sprintf(`{"n":%d}`, n); string(got.Data) != want || got.Offset != offsets[n].String() {
				t.Fatalf("client of %s: message %d is %s at %s, want %s at %s", node, n, got.Data, got.Offset, want, offsets[n])
			}
		}
	}
}

func pagesAnswer(t *testing.T, s *stack.Stack) {
	for _, path := range []string{"/ui/", "/screen/warehouse-1/zone-a"} {
		response := get(t, s.Nginx.URL+path)
		if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			t.Errorf("GET %s: %s, %s", path, response.Status, response.Header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/health/websocket/metrics"} {
		if response := get(t, s.Nginx.URL+path); response.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s", path, response.Status)
		}
	}
}

// nginx must not keep events until a buffer is full: the first line comes while the stream is open.
func eventsFlow(t *testing.T, s *stack.Stack) {
	line, err := bufio.NewReader(stream(t, s.Nginx.URL+"/ui/events")).ReadString('\n')
	if err != nil {
		t.Errorf("the first line of events is %q: %v", line, err)
	}
}

// stream is what comes from an endpoint of events, which must not be compressed even when asked to.
func stream(t *testing.T, url string) io.Reader {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	testkit.Must(t, err)
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := (&http.Client{Timeout: patience}).Do(request)
	testkit.Must(t, err)
	t.Cleanup(func() { response.Body.Close() })
	kind, encoding := response.Header.Get("Content-Type"), response.Header.Get("Content-Encoding")
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") || encoding != "" {
		t.Fatalf("GET %s: %s, Content-Type %q, Content-Encoding %q", url, response.Status, kind, encoding)
	}
	return response.Body
}

// protocolIsKept runs what others can run against their servers: with three instances behind nginx,
// each connection and each poll may reach another one.
func protocolIsKept(t *testing.T, s *stack.Stack) {
	judge := exec.Command(binary(), "conformance", "--url", s.Nginx.URL, "--timeout", "60s")
	if output, err := judge.CombinedOutput(); err != nil {
		t.Errorf("conformance: %v\n%s", err, output)
	}
}

func metricsStayInside(t *testing.T, s *stack.Stack) {
	for _, path := range []string{"/metrics", "/metrics/", "//metrics", "/%6detrics", "/ui/../metrics", "/metrics?x=1"} {
		if response := get(t, s.Nginx.URL+path); response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s through nginx: %s, want 404", path, response.Status)
		}
	}
	if response := get(t, s.Instances[0].URL+"/metrics"); response.StatusCode != http.StatusOK {
		t.Errorf("GET /metrics of an instance: %s, want 200", response.Status)
	}
}

// nginx and the instances have the same limit, and both answer as RFC 9457 says.
func largeBodyIsRefused(t *testing.T, s *stack.Stack) {
	const limit = 1 << 20
	body := fmt.Appendf(nil, `{"event":"ALERT","data":"%s"}`, bytes.Repeat([]byte("x"), limit))
	for _, base := range []string{s.Nginx.URL, s.Instances[0].URL} {
		response, err := http.Post(base+zonePath, "application/json", bytes.NewReader(body))
		testkit.Must(t, err)
		response.Body.Close()
		if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusRequestEntityTooLarge || got != "application/problem+json" {
			t.Errorf("POST of %d bytes to %s: %s, %s; want 413 as a problem", len(body), base, response.Status, got)
		}
	}
}

// healthCheckTells runs what the containers' HEALTHCHECK runs.
func healthCheckTells(t *testing.T, s *stack.Stack) {
	well := exec.Command(binary(), "health", "--url", s.Instances[0].URL+"/readyz")
	if output, err := well.CombinedOutput(); err != nil {
		t.Errorf("health of a ready instance: %v\n%s", err, output)
	}
	ill := exec.Command(binary(), "health", "--url", s.Instances[0].URL+"/nothing-here")
	if output, err := ill.CombinedOutput(); err == nil || ill.ProcessState.ExitCode() != 1 {
		t.Errorf("health of an address without an answer exits with %v, want 1\n%s", err, output)
	}
}

func prometheusSeesAll(t *testing.T, s *stack.Stack) {
	testkit.Succeeds(t, "Prometheus has scraped all instances", func() error {
		for _, expr := range []string{`up{job="zonecast"} == 1`, "zonecast_build_info", "zonecast_connections"} {
			result, err := ask(s, expr)
			if err != nil {
				return err
			}
			seen := map[string]bool{}
			for _, series := range result {
				seen[series.Metric["instance"]] = true
			}
			if len(seen) != len(s.Instances) {
				return fmt.Errorf("%s: of the instances %v", expr, seen)
			}
		}
		return nil
	})
}

// Each expression is valid PromQL, and the labels that a legend shows are there. Each panel shows
// something: what has not happened yet is a line at 0, and no "no data", which looks like a fault.
// Rates need two scrapes. Alerts have an answer only when something is wrong: promtool tries them.
func queriesAnswer(t *testing.T, s *stack.Stack) {
	missing := readQueries(t)
	testkit.Succeeds(t, "each panel shows something", func() error {
		missing = slices.DeleteFunc(missing, func(q query) bool {
			result := answerOf(t, s, q)
			if len(result) > 0 {
				checkLegend(t, q, result[0])
			}
			return len(result) > 0 || q.alert || strings.Contains(q.expr, "zonecast_tls_certificate") // there is no TLS here
		})
		if len(missing) > 0 {
			return fmt.Errorf("%d do not: %v", len(missing), missing)
		}
		return nil
	})
}

func answerOf(t *testing.T, s *stack.Stack, q query) []series {
	t.Helper()
	expr := strings.NewReplacer("$instance", ".*", "$warehouse", ".*", "$zone", ".*", "$__rate_interval", "20s").Replace(q.expr)
	result, err := ask(s, expr)
	if err != nil {
		t.Fatalf("%s: %s: %v", q.where, expr, err)
	}
	return result
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

func checkLegend(t *testing.T, q query, line series) {
	t.Helper()
	for _, match := range legendLabel.FindAllStringSubmatch(q.legend, -1) {
		if line.Metric[match[1]] == "" {
			t.Fatalf("%s: %s has no label %s, only %v", q.where, q.expr, match[1], line.Metric)
		}
	}
}

// While an instance is dead, every publish through nginx gets its 200 and every new client finds
// another instance.
func instanceMayGo(t *testing.T, s *stack.Stack) {
	lost := s.Instances[1]
	testkit.Must(t, lost.Kill())
	c := dial(t, s.Nginx.WebSocket()+"?warehouse=warehouse-1&zone=zone-a")
	for n := range 20 {
		want := send(t, s.Nginx.URL, "zone-a", body(n))
		if got := c.next("ZONE_UPDATE"); got.Offset != want.String() {
			t.Fatalf("message %d has the offset %s, want %s", n, got.Offset, want)
		}
	}
	for range 6 {
		if c := dial(t, s.Nginx.WebSocket()); c.node == lost.Name() {
			t.Errorf("a client reached %s, which is dead", c.node)
		}
	}
	testkit.Must(t, lost.Start(t.Context()))
	testkit.Succeeds(t, "nginx sends clients to the instance that came back", func() error {
		if c := dial(t, s.Nginx.WebSocket()); c.node != lost.Name() {
			return fmt.Errorf("the last one went to %s", c.node)
		}
		return nil
	})
}

// nginx hands on the 503 of the instances as it is: neither repeated elsewhere nor replaced by its
// own words.
func redisMayGo(t *testing.T, s *stack.Stack) {
	testkit.Must(t, s.Redis.Kill())
	testkit.Succeeds(t, "publishers are told to come back later", func() error {
		return wantProblem(s.Nginx.URL, http.StatusServiceUnavailable)
	})
	testkit.Must(t, s.Redis.Start(t.Context()))
	testkit.Succeeds(t, "publishers are served again", func() error {
		_, err := post(s.Nginx.URL, "zone-a", "", body(0))
		return err
	})
}

func nginxAnswersAlone(t *testing.T, s *stack.Stack) {
	for _, instance := range s.Instances {
		testkit.Must(t, instance.Kill())
	}
	testkit.Must(t, wantProblem(s.Nginx.URL, http.StatusBadGateway))
}

// wantProblem publishes, and fails unless the answer is a problem with this status that says when
// to come back.
func wantProblem(base string, status int) error {
	response, err := http.Post(base+zonePath, "application/json", strings.NewReader(body(0)))
	if err != nil {
		return err
	}
	response.Body.Close()
	kind, after := response.Header.Get("Content-Type"), response.Header.Get("Retry-After")
	if response.StatusCode != status || kind != "application/problem+json" || after == "" {
		return fmt.Errorf("answered %s, Content-Type %q, Retry-After %q; want a problem with %d", response.Status, kind, after, status)
	}
	return nil
}

const zonePath = "/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast"

// series is one line of an answer of Prometheus.
type series struct {
	Metric map[string]string `json:"metric"`
}

func ask(s *stack.Stack, expr string) ([]series, error) {
	response, err := http.PostForm(s.Prometheus.URL+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return answer.Data.Result, nil
}
