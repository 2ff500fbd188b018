package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What can't be started as it was told says so in one line a mistake, and exits with 2.
func TestStartIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer taken.Close()
	free := "--listen=127.0.0.1:0"
	for _, c := range []struct {
		name string
		give []string
		want string
	}{
		{"unknown flag", []string{"--lisen=x"}, `did you mean "--listen"`},
		{"unknown command", []string{"server"}, "unexpected argument server"},
		{"taken port", []string{"--listen=" + taken.Addr().String()}, "choose another address with --listen"},
		{"address of another machine", []string{"--listen=192.0.2.1:3001", "--allow-anonymous"}, "choose another address with --listen"},
		{"public without authentication", []string{"--listen=0.0.0.0:0"}, "ALLOW_ANONYMOUS=true"},
		{"REDIS_URL that is none", []string{free, "--redis-url=localhost"}, "REDIS_URL: the URL is not one of Redis"},
		{"REDIS_URL of nobody", []string{free, "--redis-url=redis://127.0.0.1:1", "--redis-wait=0s"}, "REDIS_URL: Redis at 127.0.0.1:1"},
		{"REDIS_URL of nobody for a while", []string{free, "--redis-url=redis://127.0.0.1:1", "--redis-wait=600ms"}, "(waited 600ms: REDIS_WAIT)"},
		{"REDIS_URL of something else", []string{free, "--redis-url=redis://" + taken.Addr().String(), "--redis-wait=0s"}, "REDIS_URL: Redis at"},
		{"contradiction", []string{"--max-queued-bytes=1"}, "--max-queued-bytes 1 and --max-inbound-frame-bytes 65536 don't fit"},
		{"demo without a key", []string{"demo", "--auth-token-secret=" + strings.Repeat("x", 32)}, "set PUBLISH_KEYS"},
		{"demo to nowhere", []string{"demo", "--to=nowhere"}, "--to: "},
		{"demo faster than time", []string{"demo", "--to=http://127.0.0.1:1", "--speed=9999"}, "speed is 9999"},
		{"demo elsewhere with Redis", []string{"demo", "--to=http://127.0.0.1:1", "--redis-url=redis://127.0.0.1:1"}, "--to and --redis-url don't go together"},
		{"more connections than descriptors", []string{free, "--max-connections=2000000000"}, "--max-connections 2000000000 needs 2000000200 open files"},
		{"mistakes of all kinds", []string{"--history-age=10", "--lisen=x", "--max-queued-bytes=1"}, "--max-queued-bytes 1 and"},
		{"health of no URL", []string{"health", "--url=:"}, "--url: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code, want := run(c.give, &stdout, &stderr), 2
			if strings.HasPrefix(c.name, "REDIS_URL of ") { // who may answer the next time
				want = 1
			}
			if code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			said := stderr.String()
			if !strings.Contains(said, c.want) {
				t.Errorf("said %q, want %q in it", said, c.want)
			}
			for line := range strings.Lines(said) {
				if !strings.HasPrefix(line, "zonecast: ") {
					t.Errorf("the line %q is not one of complaint", line)
				}
			}
		})
	}
}

func TestMistakesOfTheLineAndOfTheSettingsAreSaidAtOnce(t *testing.T) {
	var stderr bytes.Buffer
	run([]string{"--history-age=10", "--lisen=x", "--heartbeat-interval=1ms"}, &bytes.Buffer{}, &stderr)
	for _, part := range []string{"--history-age (HISTORY_AGE): ", "unknown flag --lisen", "--heartbeat-interval must be at least 1s", "see zonecast --help"} {
		if !strings.Contains(stderr.String(), part) {
			t.Errorf("said %q, want %q in it", stderr.String(), part)
		}
	}
	if n := strings.Count(stderr.String(), "zonecast: "); n != 4 {
		t.Errorf("said %q, want a line for each mistake, and one for help", stderr.String())
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{"--help": "demo", "--version": "zonecast " + version} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{arg}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), want) || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", arg, code, &stdout, &stderr)
		}
	}
}

func TestHealthOfNobodyFails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"health", "--url=http://127.0.0.1:1/readyz"}, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d, want 1 (%s)", code, &stderr)
	}
}
