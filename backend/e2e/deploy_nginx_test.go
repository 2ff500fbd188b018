package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/program"
	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

func TestNginxAcceptsItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	text, err := stack.RewriteNginx(readFile(t, "nginx.conf"), stack.NginxPlace{
		Listen:   "127.0.0.1:0",
		Backends: []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		Dir:      dir,
	})
	testkit.Must(t, err)
	// nginx -t opens its port: any free one will do, but nginx takes no 0.
	text = strings.Replace(text, "listen 127.0.0.1:0 ", "listen unix:"+filepath.Join(dir, "socket")+" ", 1)
	config := filepath.Join(dir, "nginx.conf")
	testkit.Must(t, os.WriteFile(config, []byte(text), 0o644))
	output := runProgram(t, "nginx", "-t", "-p", dir, "-c", config, "-e", filepath.Join(dir, "early.log"))
	for line := range strings.Lines(output) {
		if !strings.Contains(line, "syntax is ok") && !strings.Contains(line, "test is successful") {
			t.Errorf("nginx -t says: %s", line)
		}
	}
}

func TestNginxKnowsItsUpstreams(t *testing.T) {
	text := nginxDirectives(t)
	var declared []string
	for _, block := range regexp.MustCompile(`(?s)upstream (\S+) \{(.*?)\}`).FindAllStringSubmatch(text, -1) {
		declared = append(declared, block[1])
		for n, server := range regexp.MustCompile(`server (\S+)`).FindAllStringSubmatch(block[2], -1) {
			if want := backends[n] + ":3001"; server[1] != want {
				t.Errorf("upstream %s: instance %d is %s, want %s", block[1], n+1, server[1], want)
			}
		}
	}
	var used []string
	for _, pass := range regexp.MustCompile(`proxy_pass http://(\w+);`).FindAllStringSubmatch(text, -1) {
		used = append(used, pass[1])
	}
	// A map's values are looked up only when a request comes, so nginx -t does not check them.
	choices := regexp.MustCompile(`(?s)map \S+ \$socketio \{(.*?)\}`).FindStringSubmatch(text)
	for _, choice := range regexp.MustCompile(`(\w+);`).FindAllStringSubmatch(choices[1], -1) {
		used = append(used, choice[1])
	}
	for _, name := range used {
		if !slices.Contains(declared, name) {
			t.Errorf("requests are passed to %s; upstreams are %v", name, declared)
		}
	}
	for _, name := range declared {
		if !slices.Contains(used, name) {
			t.Errorf("the upstream %s is never used", name)
		}
	}
}

func TestNginxKeepsStreamsOpen(t *testing.T) {
	for _, path := range []string{`~ ^/(ws|ui/events)$`, `= /sse`, `= /eventsource`} {
		location := nginxLocation(t, path)
		for _, name := range []string{"proxy_read_timeout", "proxy_send_timeout"} {
			timeout, err := time.ParseDuration(setting(t, location, name))
			if err != nil || timeout < 3*wire.HeartbeatInterval {
				t.Errorf("%s: %s is %v (%v), want three heartbeats of %v or more", path, name, timeout, err, wire.HeartbeatInterval)
			}
		}
		if got := setting(t, location, "proxy_buffering"); got != "off" {
			t.Errorf("%s: proxy_buffering is %s: events would wait in nginx", path, got)
		}
	}
	if types := setting(t, nginxDirectives(t), "gzip_types"); strings.Contains(types, "event-stream") {
		t.Errorf("gzip_types is %s: events would wait until a block is full", types)
	}
}

// A publish that may have reached an instance is never sent to another one.
func TestNginxRepeatsNoPublish(t *testing.T) {
	text := nginxDirectives(t)
	if strings.Contains(text, "non_idempotent") {
		t.Error("non_idempotent makes nginx send a POST twice")
	}
	server := text[strings.Index(text, "\n    server {"):strings.Index(text, "\n        location ")]
	if got, want := setting(t, server, "proxy_next_upstream"), "error timeout"; got != want {
		t.Errorf("proxy_next_upstream of the API is %q, want %q: an answer of an instance is the answer", got, want)
	}
}

func TestNginxHasRoomForItsClients(t *testing.T) {
	text := nginxDirectives(t)
	connections, descriptors := number(t, text, "worker_connections"), number(t, text, "worker_rlimit_nofile")
	if connections < 2*20_000 {
		t.Errorf("worker_connections is %d, want 2 for each of 20,000 clients", connections)
	}
	if descriptors <= connections {
		t.Errorf("worker_rlimit_nofile is %d, want more than the %d worker_connections", descriptors, connections)
	}
}

// nginxDirectives is nginx.conf without its comments.
func nginxDirectives(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(readFile(t, "nginx.conf"), "")
}

func nginxLocation(t *testing.T, match string) string {
	t.Helper()
	_, rest, ok := strings.Cut(nginxDirectives(t), "location "+match+" {")
	if !ok {
		t.Fatalf("nginx.conf has no location %s", match)
	}
	body, _, _ := strings.Cut(rest, "}")
	return body
}

// setting is what follows the first directive of this name.
func setting(t *testing.T, text, name string) string {
	t.Helper()
	match := regexp.MustCompile(`(?m)^\s*` + name + ` ([^;]+);`).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("nginx.conf has no %s where it should be", name)
	}
	return match[1]
}

func number(t *testing.T, text, name string) int {
	t.Helper()
	n, err := strconv.Atoi(setting(t, text, name))
	testkit.Must(t, err)
	return n
}

// runProgram runs a program that has to be installed and to succeed, and returns its output.
func runProgram(t *testing.T, name string, args ...string) string {
	t.Helper()
	testkit.NeedProgram(t, name)
	path, err := program.Find(name)
	testkit.Must(t, err)
	output, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return string(output)
}
