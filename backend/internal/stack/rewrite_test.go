package stack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestRewriteNginxTouchesOnlyThePlace(t *testing.T) {
	original := repositoryFile(t, "nginx.conf")
	place := NginxPlace{
		Listen:   "127.0.0.1:40000",
		Backends: []string{"127.0.0.1:40001", "127.0.0.1:40002"},
		Dir:      "/run/stack",
	}
	got, err := RewriteNginx(original, place)
	testkit.Must(t, err)
	for _, container := range []string{"backend-", ":3001", "listen 80", "/dev/std", "user nginx", "/run/nginx.pid", "resolve"} {
		for line := range strings.Lines(got) {
			if code, _, _ := strings.Cut(line, "#"); strings.Contains(code, container) {
				t.Errorf("a line of the container is left: %s", line)
			}
		}
	}
	// Line by line the rest is the repository's.
	kept := map[string]bool{}
	for line := range strings.Lines(got) {
		kept[line] = true
	}
	replaced := []string{"user ", "pid ", "error_log ", "access_log ", "listen ", "server backend-", "worker_rlimit_nofile ",
		"worker_connections ", "resolver", "include /etc/nginx/tls/", "include /etc/nginx/status/"}
	for line := range strings.Lines(original) {
		begins := func(with string) bool { return strings.HasPrefix(strings.TrimSpace(line), with) }
		if !kept[line] && !slices.ContainsFunc(replaced, begins) {
			t.Errorf("lost from nginx.conf: %s", line)
		}
	}
	if got, want := strings.Count(got, "server 127.0.0.1:40002 max_fails=2"), strings.Count(original, "server backend-2:"); got != want {
		t.Errorf("the second instance stands %d times in the rewritten file, want %d", got, want)
	}
}

func TestRewriteSaysWhatItMisses(t *testing.T) {
	place := NginxPlace{Listen: "127.0.0.1:1", Backends: []string{"127.0.0.1:2"}, Dir: "/run/stack"}
	original := repositoryFile(t, "nginx.conf")
	tests := []struct{ remove, want string }{
		{"user nginx;", `nothing matches (?m)^user nginx;$`},
		{"listen 80 ", `nothing matches (?m)^        listen 80 `},
		{"worker_connections 49152;", `worker_connections`},
		{"backend-1:3001", `no line names backend-1:3001`},
	}
	for _, tt := range tests {
		_, err := RewriteNginx(strings.ReplaceAll(original, tt.remove, ""), place)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("without %q: %v, want an error that contains %q", tt.remove, err, tt.want)
		}
	}
}

func TestBackendLines(t *testing.T) {
	tests := []struct {
		name string
		give []string
		want string
	}{
		{"fewer", []string{"a:1"}, "first:\n  - a:1 # one\nlast\n"},
		{"more", []string{"a:1", "b:2", "c:3"}, "first:\n  - a:1 # one\n  - b:2 # one\n  - c:3 # one\nlast\n"},
	}
	const text = "first:\n  - backend-1:3001 # one\n  - backend-2:3001\nlast\n"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := backendLines(tt.give)(text)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestAtMost(t *testing.T) {
	tests := []struct {
		limit uint64
		want  string
	}{
		{20000, "limit 20000;"},
		{1 << 20, "limit 65536;"},
	}
	for _, tt := range tests {
		got, err := atMost(`limit (\d+);`, tt.limit)("limit 65536;")
		if err != nil || got != tt.want {
			t.Errorf("at most %d: %q, %v; want %q", tt.limit, got, err, tt.want)
		}
	}
}

func TestRewritePrometheus(t *testing.T) {
	got, err := rewritePrometheus(repositoryFile(t, "deploy/prometheus/prometheus.yml"), "127.0.0.1:40000",
		[]string{"127.0.0.1:40001"})
	testkit.Must(t, err)
	for _, want := range []string{"- 127.0.0.1:40000\n", "- 127.0.0.1:40001\n", "- rules.yml\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "backend-") || strings.Contains(got, "localhost") {
		t.Errorf("a container is left in:\n%s", got)
	}
}

func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	testkit.Must(t, err)
	return string(text)
}
