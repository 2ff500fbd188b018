//go:build compose

// Package compose_test runs the compose file in a container engine: make test-compose.
//
//	deploy/test-compose.sh ─▶ engine, docker compose, base images ─▶ TestCompose ─▶ 127.0.0.1 ─▶ nginx ─▶ instances
package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/subscribe"
)

const (
	room        = "zone:warehouse-1:zone-a"
	key         = "a-key-of-this-test-alone"
	secret      = "a-secret-of-this-test-which-is-long-enough"
	version     = "9.8.7-test"
	subscribers = 12
	// maxImage is the most bytes that the image may have: it is the program, and 0.2 MB of
	// certificates.
	maxImage = 31_000_000
)

// A project is the compose file, brought up for one test.
type project struct {
	t   *testing.T
	env []string
}

// compose runs docker compose and returns what it prints.
func (p project) compose(args ...string) string {
	p.t.Helper()
	words := append(strings.Fields(os.Getenv("COMPOSE")), args...)
	return p.run(words...)
}

func (p project) run(words ...string) string {
	p.t.Helper()
	command := exec.Command(words[0], words[1:]...)
	command.Dir, command.Env = "../../..", p.env
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil {
		p.t.Fatalf("%v: %v\n%s%s", words, err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// inspect asks for one property of the container of a service.
func (p project) inspect(service, property string) string {
	p.t.Helper()
	return p.run("docker", "inspect", "-f", property, p.compose("ps", "-a", "-q", service))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func start(t *testing.T) (p project, base, prometheus string) {
	web, metrics, grafana := freePort(t), freePort(t), freePort(t)
	p = project{t, append(os.Environ(), "COMPOSE_PROJECT_NAME=zonecast-test", "VERSION="+version, "HTTP_PORT="+web,
		"PROMETHEUS_PORT="+metrics, "GRAFANA_PORT="+grafana, "AUTH_TOKEN_SECRET="+secret, "PUBLISH_KEYS="+key,
		"OPERATOR_PASSWORD=an-operator", "CLUSTER_SECRET="+secret, "REDIS_PASSWORD=another-secret")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.compose("ps", "-a"), p.compose("logs", "--tail", "30"))
		}
		p.compose("down", "-v", "--remove-orphans", "--timeout", "15")
	})
	p.compose("build")
	p.compose("up", "--wait", "--wait-timeout", "300")
	return p, "http://127.0.0.1:" + web, "http://127.0.0.1:" + metrics
}

// A load publishes at a slow pace while subscribers count.
type load struct {
	mu      sync.Mutex
	last    uint64 // offset of the latest publish that was answered
	failed  []error
	slowest time.Duration
	seen    [subscribers][]uint64
	gaps    int
}

func (l *load) publish(ctx context.Context, c *publish.Client) {
	for ctx.Err() == nil {
		began := time.Now()
		result, err := c.Publish(context.WithoutCancel(ctx), publish.Message{Warehouse: "warehouse-1", Zone: "zone-a", Event: "ZONE_UPDATE", Data: began})
		l.mu.Lock()
		if l.slowest = max(l.slowest, time.Since(began)); err != nil {
			l.failed = append(l.failed, err)
		} else {
			l.last = result.Offset.N
		}
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *load) subscribe(ctx context.Context, n int, s *subscribe.Subscription) {
	for event, err := range s.Events(ctx) {
		if err != nil {
			return
		}
		l.mu.Lock()
		if event.Kind == subscribe.Message {
			l.seen[n] = append(l.seen[n], event.Offset.N)
		} else {
			l.gaps++
		}
		l.mu.Unlock()
	}
}

// phase is what happened to publishes since the last one was asked for.
func (l *load) phase() (failed []error, slowest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failed, slowest = l.failed, l.slowest
	l.failed, l.slowest = nil, 0
	return failed, slowest
}

// The stack comes up from nothing. A backend that is restarted, and one that is killed and stays
// away, lose no delivery and fail no publish through nginx, which is not restarted with them.
func TestComposeOutlastsARestartAndAKill(t *testing.T) {
	p, base, prometheus := start(t)

	if size, err := strconv.Atoi(p.run("docker", "image", "inspect", "-f", "{{.Size}}", "zonecast:"+version)); err != nil || size > maxImage {
		t.Errorf("the image has %d bytes (%v), want at most %d", size, err, maxImage)
	} else {
		t.Logf("the image has %.1f MB", float64(size)/1e6)
	}
	image := p.inspect("backend-1", "{{.Image}}")
	for _, backend := range []string{"backend-1", "backend-2", "backend-3"} {
		if got := p.inspect(backend, "{{.Image}}"); got != image {
			t.Errorf("%s runs another image than backend-1", backend)
		}
		if got := p.compose("exec", "-T", backend, "/zonecast", "--version"); !strings.Contains(got, version) {
			t.Errorf("%s is %s, want %s", backend, got, version)
		}
	}
	for _, service := range strings.Fields(p.compose("ps", "--services")) {
		want := "healthy"
		if service == "nginx-exporter" { // whose image has nothing to ask with
			want = "running"
		}
		if got := p.inspect(service, "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"); got != want {
			t.Errorf("%s is %s, want %s", service, got, want)
		}
	}
	testkit.Succeeds(t, "Prometheus scrapes three instances", func() error { return scraped(prometheus, 3) })

	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "screen", "exp": time.Now().Add(time.Hour).Unix(),
		"warehouses": []string{"warehouse-1"}}).SignedString([]byte(secret))
	testkit.Must(t, err)
	// Without a retry: what nginx does not save, fails.
	publisher, err := publish.New(base, publish.WithAPIKey(key), publish.WithRetry(publish.Retry{Attempts: 1, Within: 20 * time.Second}))
	testkit.Must(t, err)
	var l load
	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	var watchers sync.WaitGroup
	for n := range subscribers {
		s, err := subscribe.New(base, []string{room}, subscribe.WithToken(token), subscribe.WithBackoff(50*time.Millisecond, time.Second))
		testkit.Must(t, err)
		watchers.Go(func() { l.subscribe(watching, n, s) })
	}
	publishing, stopPublishing := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	publishers.Go(func() { l.publish(publishing, publisher) })
	// Not before all of them are there is their first offset the same.
	testkit.Eventually(t, "every subscriber gets something", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(l.seen[:], func(s []uint64) bool { return len(s) == 0 })
	})
	if failed, slowest := l.phase(); len(failed) > 0 {
		t.Errorf("undisturbed: %d publishes failed, slowest %v: %v", len(failed), slowest, errors.Join(failed...))
	}

	nginx := p.inspect("nginx", "{{.State.StartedAt}}")
	p.compose("restart", "backend-1")
	testkit.Eventually(t, "backend-1 is healthy again", func() bool { return p.inspect("backend-1", "{{.State.Health.Status}}") == "healthy" })
	failed, slowest := l.phase()
	t.Logf("restart of backend-1: %d publishes failed, the slowest took %v", len(failed), slowest)
	if len(failed) > 0 {
		t.Errorf("a restart failed publishes: %v", errors.Join(failed...))
	}
	if p.inspect("nginx", "{{.State.StartedAt}}") != nginx {
		t.Error("nginx was restarted with backend-1")
	}

	p.compose("kill", "backend-2")
	time.Sleep(8 * time.Second) // nginx tries the address again and again meanwhile
	failed, slowest = l.phase()
	t.Logf("kill of backend-2: %d publishes failed, the slowest took %v", len(failed), slowest)
	// What was on its way to the process that was killed has no answer, and nobody may send it
	// twice.
	if len(failed) > 1 {
		t.Errorf("a kill failed %d publishes: %v", len(failed), errors.Join(failed...))
	}
	// The address that answers nothing costs a publish proxy_connect_timeout, once or twice.
	if slowest > time.Second {
		t.Errorf("a publish waited %v for an address where nobody is", slowest)
	}
	p.compose("up", "--no-deps", "--wait", "--wait-timeout", "120", "backend-2")

	stopPublishing()
	publishers.Wait()
	if failed, _ := l.phase(); len(failed) > 0 {
		t.Errorf("back together: %v", errors.Join(failed...))
	}
	testkit.Eventually(t, "every subscriber has the latest message", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !slices.ContainsFunc(l.seen[:], func(s []uint64) bool { return s[len(s)-1] < l.last })
	})
	stopWatching()
	watchers.Wait()
	if l.gaps > 0 {
		t.Errorf("%d gaps", l.gaps)
	}
	for n, offsets := range l.seen {
		for i, offset := range offsets[1:] {
			if offset != offsets[i]+1 {
				t.Fatalf("subscriber %d: %d after %d", n, offset, offsets[i])
			}
		}
	}
	t.Logf("%d subscribers got each of about %d messages once and in order", subscribers, len(l.seen[0]))
}

// scraped asks Prometheus how many instances it reaches.
func scraped(prometheus string, want int) error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(prometheus + `/api/v1/query?query=up%7Bjob%3D%22zonecast%22%7D%3D%3D1`)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Data struct{ Result []any } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if len(answer.Data.Result) != want {
		return fmt.Errorf("it scrapes %d instances, want %d", len(answer.Data.Result), want)
	}
	return nil
}
