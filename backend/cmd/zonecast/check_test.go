package main

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

const long = "0123456789abcdef0123456789abcdef"

// check says what is exposed to whom, and by which setting; it follows the settings.
func TestCheckSaysWhatIsExposedToWhom(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []string
		want []string // lines, without the spaces of the table
	}{
		{"nothing is set", nil, []string{
			"connect and receive: /ws, /sse, /poll|programs on this machine|AUTH_TOKEN_SECRET",
			"publish: /api/v1/broadcast, …/broadcast|programs on this machine|PUBLISH_KEYS, AUTH_TOKEN_SECRET",
			"dashboard and list of screens: /ui/…, /screen/|programs on this machine|OPERATOR_PASSWORD, OPERATORS_FILE",
			"name the client's address (X-Forwarded-For)|nobody|TRUSTED_PROXIES"}},
		{"open to all", []string{"--listen=0.0.0.0:3001", "--allow-anonymous", "--trusted-proxies=0.0.0.0/0", "--allowed-origins=*"}, []string{
			"connect and receive: /ws, /sse, /poll|who reaches 0.0.0.0:3001|AUTH_TOKEN_SECRET",
			"connect from web pages|pages of this server's own and *|ALLOWED_ORIGINS",
			"warning: TRUSTED_PROXIES has 0.0.0.0/0, which has clients in it"}},
		{"all secrets", []string{"--listen=0.0.0.0:3001", "--auth-token-secret", long, "--publish-keys=0123456789abcdef", "--operator-password=a long password",
			"--health-rooms=operators", "--redis-url=redis://127.0.0.1:1", "--cluster-secret", long}, []string{
			"connect and receive: /ws, /sse, /poll|clients with a token, what it permits|AUTH_TOKEN_SECRET",
			"publish: /api/v1/broadcast, …/broadcast|services with a key, clients whose token permits it|PUBLISH_KEYS, AUTH_TOKEN_SECRET",
			"audit log, rebalance: /api/v1/audit, /api/v1/rebalance|operators with the role admin|OPERATOR_PASSWORD, OPERATORS_FILE",
			"largest rooms: /health/websocket/metrics|operators|HEALTH_ROOMS, OPERATOR_PASSWORD",
			"speak for an instance, through Redis|instances with the secret|CLUSTER_SECRET"}},
		{"an OpenID provider", []string{"--listen=127.0.0.1:3001", "--operators-file=OPERATORS", "--oidc-issuer=https://login.example", "--oidc-client-id=x", "--redis-url=redis://127.0.0.1:1"}, []string{
			"dashboard and list of screens: /ui/…, /screen/|operators|OPERATOR_PASSWORD, OPERATORS_FILE",
			"sign in as an operator: /ui/login|who has an operator's password, who has a role by the claim roles at https://login.example|OPERATOR_PASSWORD, OPERATORS_FILE, OIDC_ISSUER",
			"warning: sessions of operators hold for one instance alone"}},
		{"no cluster secret", []string{"--operator-password=a long password", "--redis-url=redis://127.0.0.1:1"}, []string{
			"speak for an instance, through Redis|who may publish in Redis|CLUSTER_SECRET",
			"warning: what instances tell one another is not signed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			file := filepath.Join(t.TempDir(), "operators")
			operatorsFile(t, file, "ann:viewer")
			for i, flag := range tt.give {
				tt.give[i] = strings.Replace(flag, "OPERATORS", file, 1)
			}
			if code := run(append([]string{"check"}, tt.give...), &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d: %s", code, &stderr)
			}
			var lines []string
			for line := range strings.Lines(stdout.String()) {
				for strings.Contains(line, "   ") {
					line = strings.ReplaceAll(line, "   ", "  ")
				}
				lines = append(lines, strings.ReplaceAll(line, "  ", "|"))
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.Join(lines, ""), want) {
					t.Errorf("%q is not in\n%s", want, strings.Join(lines, ""))
				}
			}
		})
	}
}

// Each route of the server is one of the surfaces that check lists.
func TestCheckNamesEveryRoute(t *testing.T) {
	s := serving(t, "--operator-password=a long password")
	var patterns []*regexp.Regexp
	for _, surface := range s.config.Surfaces() {
		if _, paths, ok := strings.Cut(surface.Name, ": "); ok {
			for _, path := range strings.Split(paths, ", ") {
				pattern := regexp.QuoteMeta(path)
				for _, wild := range [][2]string{{"…", ".*"}, {`\{warehouse\}`, "[^/]+"}, {`\{zone\}`, "[^/]+"}, {`\{id\}`, "[^/]+"}, {`\{event\}`, "[^/]+"}} {
					pattern = strings.ReplaceAll(pattern, wild[0], wild[1])
				}
				patterns = append(patterns, regexp.MustCompile("^"+pattern+"/?$"))
			}
		}
	}
	for _, route := range s.access.Routes() {
		if path := filled(route.Path); path != "/" && !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(path) || p.MatchString(path+"/") }) {
			t.Errorf("%s is not listed", route.Path)
		}
	}
}

// lockedRedis starts a Redis with a password and returns its address.
func lockedRedis(t *testing.T, password string) string {
	t.Helper()
	redis := stacktest.Redis(t, stack.Single).Redis
	for _, command := range []string{"ACL SETUSER narrow on >pw ~* resetchannels +@all", "CONFIG SET requirepass " + password} {
		_, err := redis.Command(t.Context(), command)
		testkit.Must(t, err)
	}
	u, err := url.Parse(redis.URL)
	testkit.Must(t, err)
	return u.Host
}

// check exits with 2 where serve would, and connects to Redis when it is told to.
func TestCheckExitsWithTwoWhenServeWould(t *testing.T) {
	host := lockedRedis(t, "right")
	address, narrow := "--redis-url=redis://"+host, "--redis-url=redis://narrow:pw@"+host
	for _, tt := range []struct {
		give []string
		code int
		want string
	}{
		{[]string{"--listen=0.0.0.0:3001"}, 2, "ALLOW_ANONYMOUS=true"},
		{[]string{"--history-age=soon", "--max-queued-bytes=1"}, 2, "don't fit"},
		{[]string{"--connect"}, 2, "--connect needs REDIS_URL"},
		{[]string{address}, 0, ""},
		{[]string{address, "--connect"}, 2, "write the password into the URL"},
		{[]string{address, "--connect", "--redis-password=wrong"}, 2, "user or password"},
		{[]string{address, "--connect", "--redis-password=right"}, 0, "can be used"},
		{[]string{narrow, "--connect"}, 2, "grant them with ACL SETUSER narrow &zonecast:* +@pubsub"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"check"}, tt.give...), &stdout, &stderr); code != tt.code ||
			!strings.Contains(stdout.String()+stderr.String(), tt.want) {
			t.Errorf("%q: exit code %d, want %d; %s%s", tt.give, code, tt.code, &stdout, &stderr)
		}
	}
}

// Whatever is wrong with the settings, no secret is in what is said about it.
func TestSecretsAreNeverShown(t *testing.T) {
	refuses, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	go func() {
		for {
			c, err := refuses.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "-ERR not here\r\n")
			c.Close()
		}
	}()
	defer refuses.Close()
	locked := lockedRedis(t, "something-else")
	const hidden = "hIdDeN-7f3a"
	with := func(format string) string { return strings.ReplaceAll(format, "HIDDEN", hidden) }
	file := filepath.Join(t.TempDir(), "secret")
	testkit.Must(t, os.WriteFile(file, []byte(hidden), 0o600))
	for _, give := range [][]string{
		{"--auth-token-secret", hidden},
		{"--auth-token-secret=" + hidden, "--lisen=x"},
		{"--cluster-secret", hidden + "," + hidden + " "},
		{"--publish-keys", hidden + " ,"},
		{"--operator-password", hidden, "--listen=nowhere"},
		{"--operator-password", hidden, "--max-queued-bytes=1", "--history-age=soon"},
		{"--redis-password", hidden},
		{"--redis-password", hidden, "--redis-url=redis://127.0.0.1:1"},
		{"--redis-password", hidden, "--redis-url=redis://" + refuses.Addr().String()},
		{"--redis-password", hidden, "--redis-url=redis://" + locked},
		{"--redis-password", hidden, "--redis-url", with("redis://:HIDDEN@127.0.0.1:1")},
		{"--redis-url", with("redis://user:HIDDEN@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN@" + locked)},
		{"--redis-url", with("redis://user:HIDDEN/more@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN#more@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN?more@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN%zz@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN more@127.0.0.1:1/0")},
		{"--redis-url", with("redis://user:HIDDEN@127.0.0.1:1/nine")},
		{"--redis-url", with("redis://user:HIDDEN@127.0.0.1:port")},
		{"--redis-url", with("user:HIDDEN@127.0.0.1:1")},
		{"--redis-url", with("redis://:HIDDEN@127.0.0.1:1?master_name=m")},
		{"--redis-url", with("redis://:HIDDEN@127.0.0.1:1?addr=127.0.0.1:2")},
		{"--redis-url", with("redis://:HIDDEN@127.0.0.1:1?strange=1")},
		{"--redis-url", with("rediss://:HIDDEN@127.0.0.1:1"), "--redis-ca-file", file},
		{"--redis-cert-file", file, "--redis-key-file", file, "--redis-url", with("rediss://:HIDDEN@127.0.0.1:1")},
	} {
		for _, command := range []string{"serve", "check"} {
			args := append([]string{command}, give...)
			if command == "check" {
				args = append(args, "--connect")
			} else if !strings.Contains(strings.Join(give, " "), "--listen") {
				args = append(args, "--listen=127.0.0.1:0", "--log-level=debug", "--redis-wait=0s")
			}
			var stdout, stderr bytes.Buffer
			code := run(args, &stdout, &stderr)
			if said := stdout.String() + stderr.String(); code == 0 || strings.Contains(said, hidden) {
				t.Errorf("%q: exit code %d, said %s", args, code, said)
			}
		}
	}
}
