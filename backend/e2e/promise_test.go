package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// Each test here holds real processes to one promise that Zonecast makes.

// shared starts instances that share a Redis, and sign what they tell one another through it.
func shared(t *testing.T, instances int, settings map[string]string) *stack.Stack {
	t.Helper()
	signed := map[string]string{"CLUSTER_SECRET": "a-cluster-secret-of-these-tests-32-bytes"}
	maps.Copy(signed, settings)
	settings = signed
	return stacktest.Start(t, stack.Options{Binary: binary(), Instances: instances, Redis: true, Settings: settings})
}

func alone(t *testing.T, settings map[string]string) *stack.Stack {
	t.Helper()
	return stacktest.Start(t, stack.Options{Binary: binary(), Instances: 1, Settings: settings})
}

// sockets are the WebSocket endpoints of a stack's instances, beginning with number first; bases
// their HTTP addresses.
func sockets(s *stack.Stack, first int) (all []string) {
	for i := range s.Instances {
		all = append(all, s.Instances[(first+i)%len(s.Instances)].WebSocket())
	}
	return all
}

func bases(s *stack.Stack) (all []string) {
	for _, i := range s.Instances {
		all = append(all, i.URL)
	}
	return all
}

func body(n int) string { return fmt.Sprintf(`{"event":"ZONE_UPDATE","data":{"n":%d}}`, n) }

// crowd is n watchers spread over the instances.
func crowd(t *testing.T, s *stack.Stack, n int, zone string) []*watcher {
	t.Helper()
	all := make([]*watcher, n)
	for i := range all {
		all[i] = watch(t, zone, sockets(s, i)...)
	}
	return all
}

func TestPromiseOrder(t *testing.T) {
	s := shared(t, 2, nil)
	clients := crowd(t, s, 10, "order")
	const publishers, each = 6, 100
	var publishing sync.WaitGroup
	var highest atomic.Uint64
	var epoch atomic.Value
	for p := range publishers {
		publishing.Go(func() {
			for n := range each {
				at, err := post(s.Instances[p%2].URL, "order", "", body(n))
				if err != nil {
					t.Error(err)
					return
				}
				epoch.Store(at.Epoch)
				for was := highest.Load(); at.N > was && !highest.CompareAndSwap(was, at.N); was = highest.Load() {
				}
			}
		})
	}
	publishing.Wait()
	if highest.Load() != publishers*each {
		t.Errorf("the highest offset is %d after %d publishes", highest.Load(), publishers*each)
	}
	last := wire.Offset{Epoch: epoch.Load().(string), N: publishers * each}
	for i, c := range clients {
		c.want(t, fmt.Sprint("client ", i), last, publishers*each)
	}
}

// Clients whose connections break again and again, and that come back on the other instance, get
// everything once.
func TestPromiseResume(t *testing.T) {
	s := shared(t, 2, nil)
	clients := crowd(t, s, 8, "resume")
	const messages = 400
	var last wire.Offset
	for n := range messages {
		var err error
		if last, err = post(s.Instances[n%2].URL, "resume", "", body(n)); err != nil {
			t.Fatal(err)
		}
		if n%40 == 39 {
			for _, c := range clients {
				c.cut()
			}
		}
	}
	for i, c := range clients {
		c.want(t, fmt.Sprint("client ", i), last, messages)
		if n, _ := c.state(); n < 3 {
			t.Errorf("client %d was connected %d times: nothing was resumed", i, n)
		}
	}
}

// Beyond the window the client is told; a client that missed nothing is not.
func TestPromiseResumeTellsGaps(t *testing.T) {
	for name, start := range map[string]func(*testing.T, map[string]string) *stack.Stack{
		"memory": alone,
		"redis":  func(t *testing.T, m map[string]string) *stack.Stack { return shared(t, 1, m) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, map[string]string{"HISTORY_MESSAGES": "10", "HISTORY_AGE": "2s"})
			base, socket := s.Instances[0].URL, s.Instances[0].WebSocket()
			first := send(t, base, "gap", body(0))
			last := first
			for n := range 30 {
				last = send(t, base, "gap", body(n+1))
			}
			resume := func(from wire.Offset) *client {
				c := dial(t, socket)
				if err := c.conn.WriteJSON(map[string]any{"event": "subscribe", "data": wire.Subscribe{
					Target: wire.Target{Warehouse: "warehouse-1", Zone: "gap"}, Offset: from.String()}}); err != nil {
					t.Fatal(err)
				}
				return c
			}
			c := resume(first)
			gap := c.next(wire.EventGap)
			if want := fmt.Sprintf(`{"room":"zone:warehouse-1:gap","from":"%s","to":"%s"}`, first,
				wire.Offset{Epoch: last.Epoch, N: last.N - 10}); string(gap.Data) != want {
				t.Errorf("told %s, want %s", gap.Data, want)
			}
			for n := last.N - 9; n <= last.N; n++ {
				if got := c.next("ZONE_UPDATE"); got.Offset != (wire.Offset{Epoch: last.Epoch, N: n}).String() {
					t.Fatalf("after the gap came %s, want number %d", got.Offset, n)
				}
			}

			time.Sleep(3 * time.Second) // longer than what is kept
			c = resume(last)
			next := send(t, base, "gap", body(99))
			for {
				var f frame
				testkit.Must(t, c.conn.ReadJSON(&f))
				if f.Event == wire.EventGap {
					t.Fatalf("told of the gap %s although nothing was missed", f.Data)
				}
				if f.Event == "ZONE_UPDATE" {
					if f.Offset != next.String() {
						t.Errorf("after a quiet time came %s, want %s", f.Offset, next)
					}
					return
				}
			}
		})
	}
}

func TestPromiseRedisMayGo(t *testing.T) {
	s := shared(t, 2, nil)
	clients := crowd(t, s, 6, "redis")
	var last wire.Offset
	var accepted uint64
	publish := func() error {
		at, err := post(s.Instances[accepted%2].URL, "redis", "", body(int(accepted)))
		if err == nil {
			last, accepted = at, accepted+1
		}
		return err
	}
	for range 50 {
		testkit.Must(t, publish())
	}
	for outage := range 2 {
		testkit.Must(t, s.Redis.Kill())
		for _, i := range s.Instances {
			testkit.Succeeds(t, "publishing is refused for a while", func() error {
				_, err := post(i.URL, "redis", "", body(0))
				var r *refusal
				if !errors.As(err, &r) || r.status != http.StatusServiceUnavailable || r.retryAfter == "" {
					return fmt.Errorf("got %v, want 503 with Retry-After", err)
				}
				return nil
			})
			testkit.Succeeds(t, "readiness says so, liveness stays", func() error {
				if ready, live := get(t, i.URL+"/readyz"), get(t, i.URL+"/livez"); ready.StatusCode != 503 || live.StatusCode != 200 {
					return fmt.Errorf("readyz %s, livez %s", ready.Status, live.Status)
				}
				return nil
			})
		}
		testkit.Must(t, s.Redis.Start(t.Context()))
		for range 50 {
			testkit.Succeeds(t, "publishing works again", publish)
		}
		for i, c := range clients {
			c.want(t, fmt.Sprintf("client %d after outage %d", i, outage+1), last, accepted)
			if n, _ := c.state(); n != 1 {
				t.Errorf("client %d was connected %d times: connections must outlive the outage", i, n)
			}
		}
	}
}

// A client that doesn't read is closed when its bound is reached, costs no more than that, and
// slows nobody down.
func TestPromiseBounded(t *testing.T) {
	s := alone(t, map[string]string{"MAX_QUEUED_BYTES": "262144"})
	base := s.Instances[0].URL
	healthy := crowd(t, s, 5, "bounded")
	deaf := slowReader(t, s.Instances[0].WebSocket()+"?warehouse=warehouse-1&zone=bounded")
	large := fmt.Sprintf(`{"event":"ZONE_UPDATE","data":"%s"}`, strings.Repeat("x", 32<<10))
	var last wire.Offset
	sent := uint64(0)
	testkit.Succeeds(t, "the client that doesn't read is closed as slow", func() error {
		at, err := post(base, "bounded", "", large)
		testkit.Must(t, err)
		last, sent = at, sent+1
		if waiting := metric(t, base, "zonecast_outbox_bytes"); waiting > 6*262144 {
			t.Fatalf("%v bytes wait for 6 clients with a bound of 262144 each", waiting)
		}
		if metric(t, base, `zonecast_connections_closed_total{code="slow_consumer",transport="websocket"}`) != 1 {
			return errors.New("not counted as slow_consumer")
		}
		return nil
	})
	for i, c := range healthy {
		c.want(t, fmt.Sprint("client ", i), last, sent)
		if n, _ := c.state(); n != 1 {
			t.Errorf("client %d was connected %d times: it was disturbed", i, n)
		}
	}
	if metric(t, base, `zonecast_messages_dropped_total{reason="slow_consumer"}`) == 0 {
		t.Error("what was dropped with the slow client is not counted")
	}
	deaf.Close()
}

// slowReader connects with a small receive buffer and never reads after the handshake.
func slowReader(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}}
	c, _, err := d.DialContext(t.Context(), address, nil)
	testkit.Must(t, err)
	t.Cleanup(func() { c.Close() })
	if _, _, err := c.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	return c
}

// metric reads one series of an instance's exposition; 0 when it is not there.
func metric(t *testing.T, base, series string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(exposition(t, base))
	if found == nil {
		return 0
	}
	v, err := strconv.ParseFloat(found[1], 64)
	testkit.Must(t, err)
	return v
}

// exposition is what an instance measures.
func exposition(t *testing.T, base string) string {
	t.Helper()
	response, err := http.Get(base + "/metrics")
	testkit.Must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v", response.Status, err)
	}
	return string(text)
}

// Every way in which a connection ends has its code, on the wire and in the metrics; every refusal
// is counted.
func TestPromiseNothingSilent(t *testing.T) {
	s := alone(t, map[string]string{"AUTH_TOKEN_SECRET": "0123456789abcdef0123456789abcdef"})
	base, socket := s.Instances[0].URL, s.Instances[0].WebSocket()
	if _, err := post(base, "silent", "", body(0)); err == nil {
		t.Error("published without a key")
	}
	if got := metric(t, base, `zonecast_http_requests_total{code="401",method="POST",route="/api/v1/warehouses/:warehouse/zones/:zone/broadcast"}`); got != 1 {
		t.Errorf("the refused publish is counted %v times", got)
	}
	for _, token := range []string{"", "not-a-token"} {
		c, _, err := websocket.DefaultDialer.DialContext(t.Context(), socket+"?"+url.Values{"token": {token}}.Encode(), nil)
		testkit.Must(t, err)
		if got := closeCode(c); got != int(wire.CloseUnauthenticated) {
			t.Errorf("token %q: closed with %d, want %d", token, got, wire.CloseUnauthenticated)
		}
		c.Close()
	}
	testkit.Succeeds(t, "both ends are counted", func() error {
		if got := metric(t, base, `zonecast_connections_closed_total{code="unauthenticated",transport="websocket"}`); got != 2 {
			return fmt.Errorf("counted %v", got)
		}
		return nil
	})

	open := alone(t, map[string]string{"MAX_CONNECTIONS": "1"})
	base, socket = open.Instances[0].URL, open.Instances[0].WebSocket()
	first := dial(t, socket)
	_, response, err := websocket.DefaultDialer.DialContext(t.Context(), socket, nil)
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("one connection too many: %v, %v; want 503 with Retry-After", response, err)
	}
	if got := metric(t, base, `zonecast_connections_refused_total{reason="limit_reached"}`); got != 1 {
		t.Errorf("the refused connection is counted %v times", got)
	}
	testkit.Must(t, first.conn.WriteMessage(websocket.TextMessage, make([]byte, wire.InboundFrameBytes+1)))
	if got := closeCode(first.conn); got != int(wire.CloseTooBig) {
		t.Errorf("a frame over the limit: closed with %d, want %d", got, wire.CloseTooBig)
	}
}

// closeCode reads until the connection ends.
func closeCode(c *websocket.Conn) int {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			var end *websocket.CloseError
			if errors.As(err, &end) {
				return end.Code
			}
			return 0
		}
	}
}

// A rolling restart under publishing loses nothing: clients are told to go, and come back
// elsewhere.
func TestPromiseLeavingPolitely(t *testing.T) {
	s := shared(t, 3, map[string]string{"DRAIN_TIMEOUT": "2s"})
	clients := crowd(t, s, 12, "leaving")
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	var last wire.Offset
	var accepted uint64
	publishing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			at, err := publishTill(bases(s), "leaving", fmt.Sprint("key-", n), body(n))
			if err != nil {
				t.Error(err)
				return
			}
			last, accepted = at, accepted+1
		}
	})
	for _, i := range s.Instances {
		if err := i.Restart(t.Context()); err != nil { // fails unless the exit code is 0
			t.Errorf("restart of %s: %v", i.Name(), err)
		}
	}
	close(stop)
	publishing.Wait()
	if accepted < 100 {
		t.Errorf("only %d messages were published during the restarts", accepted)
	}
	if last.N != accepted {
		t.Errorf("%d messages were accepted, and the last one is number %d: some were accepted twice", accepted, last.N)
	}
	drains := 0
	for i, c := range clients {
		c.want(t, fmt.Sprint("client ", i), last, accepted)
		drains += len(c.drained)
		for _, code := range c.ends {
			if code != int(wire.CloseRestart) && code != 0 {
				t.Errorf("client %d: a connection ended with %d, want %d", i, code, wire.CloseRestart)
			}
		}
	}
	if drains < len(clients) {
		t.Errorf("%d drain frames for %d clients and three restarts", drains, len(clients))
	}
}
