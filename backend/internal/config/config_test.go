package config_test

import (
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const document = "../../../docs/configuration.md"

func parse(t *testing.T, args ...string) (*config.Config, error) {
	t.Helper()
	c := new(config.Config)
	_, err := config.Parse(c, args)
	return c, errors.Join(err, c.Check())
}

func TestDefaultsWork(t *testing.T) {
	c, err := parse(t)
	if err != nil || c.Listen != config.DefaultListen {
		t.Errorf("got %+v, %v", c, err)
	}
}

// Clients and the documentation of the protocol know the defaults from package wire.
func TestDefaultsAreThoseOfTheProtocol(t *testing.T) {
	c, err := parse(t)
	testkit.Must(t, err)
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"MAX_INBOUND_FRAME_BYTES", c.MaxFrameBytes, wire.InboundFrameBytes},
		{"MAX_QUEUED_BYTES", c.MaxQueuedBytes, wire.QueuedBytes},
		{"SLOW_AFTER", c.SlowAfter, wire.SlowAfter},
		{"PUBLISH_WAIT", c.PublishWait, wire.PublishWait},
		{"RATE_LIMIT_TOKENS", c.RateLimitTokens, float64(wire.RateLimitTokens)},
		{"RATE_LIMIT_REFILL", c.RateLimitRefill, float64(wire.RateLimitRefill)},
		{"HEARTBEAT_INTERVAL", c.HeartbeatInterval, wire.HeartbeatInterval},
		{"PONG_TIMEOUT", c.PongTimeout, wire.PongTimeout},
		{"HISTORY_MESSAGES", c.HistoryMessages, wire.HistoryMessages},
		{"HISTORY_AGE", c.HistoryAge, wire.HistoryAge},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %v by default, wire says %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestEnvironmentAndFlags(t *testing.T) {
	t.Setenv("HISTORY_MESSAGES", "50")
	t.Setenv("PUBLISH_KEYS", "the-key-of-one-service,the-key-of-another")
	t.Setenv("HEARTBEAT_INTERVAL", "5s")
	c, err := parse(t, "--heartbeat-interval=7s")
	testkit.Must(t, err)
	if c.HistoryMessages != 50 || len(c.PublishKeys) != 2 || c.HeartbeatInterval.Seconds() != 7 {
		t.Errorf("got %+v: the environment counts, and a flag before it", c)
	}
}

const secret = "--auth-token-secret=0123456789abcdef0123456789abcdef"

func TestMistakesSayWhatToChange(t *testing.T) {
	for _, c := range []struct {
		name string
		give []string
		want []string // parts of the error
	}{
		{"unknown flag", []string{"--listne=x"}, []string{"unknown flag --listne", "--listen"}},
		{"no port", []string{"--listen=127.0.0.1"}, []string{"not host:port", "127.0.0.1:3001"}},
		{"not a number", []string{"--max-connections=many"}, []string{"--max-connections"}},
		{"not a duration", []string{"--history-age=10"}, []string{"--history-age"}},
		{"unknown level", []string{"--log-level=loud"}, []string{"--log-level", "debug"}},
		{"too small", []string{"--heartbeat-interval=10ms"}, []string{"--heartbeat-interval must be at least 1s"}},
		{"negative", []string{"--history-messages=-1"}, []string{"--history-messages must be at least 1"}},
		{"contradiction", []string{"--max-queued-bytes=1000"}, []string{"--max-queued-bytes", "--max-inbound-frame-bytes"}},
		{"short secret", []string{"--auth-token-secret=abc"}, []string{"AUTH_TOKEN_SECRET has 3 bytes", "at least 32"}},
		{"empty key", []string{"--publish-keys=a,,b"}, []string{"PUBLISH_KEYS has an empty key"}},
		{"public without anything", []string{"--listen=0.0.0.0:3001"},
			[]string{"can be reached by others", "AUTH_TOKEN_SECRET", "PUBLISH_KEYS", "OPERATOR_PASSWORD", "ALLOW_ANONYMOUS"}},
		{"all addresses", []string{"--listen=:3001"}, []string{"can be reached by others"}},
		{"a name", []string{"--listen=warehouse.example:3001"}, []string{"can be reached by others"}},
		{"public with keys alone", []string{"--listen=0.0.0.0:3001", "--publish-keys=0123456789abcdef"}, []string{"anyone may connect"}},
		{"short password", []string{"--operator-password=1234567"}, []string{"OPERATOR_PASSWORD has 7 bytes", "at least 8"}},
		{"short key", []string{"--publish-keys=0123456789abcdef,abc"}, []string{"key 2 of PUBLISH_KEYS has 3 bytes", "at least 16"}},
		{"no file of operators", []string{"--operators-file=/nothing/here"}, []string{"OPERATORS_FILE", "no such file"}},
		{"guarded metrics without operators", []string{"--metrics-auth"}, []string{"METRICS_AUTH", "OPERATOR_PASSWORD, OPERATORS_FILE or OIDC_ISSUER"}},
		{"a host with a port", []string{"--allowed-hosts=push.example:443"}, []string{"ALLOWED_HOSTS", "push.example:443", "without scheme and port"}},
		{"a pattern in the middle of a host", []string{"--allowed-hosts=a.*.example"}, []string{"ALLOWED_HOSTS", "*.example"}},
		{"a pattern in the middle of an origin", []string{"--allowed-origins=https://a*.example"}, []string{"ALLOWED_ORIGINS", "https://*.example"}},
		{"an origin in capitals", []string{"--allowed-origins=https://Wall.example"}, []string{"ALLOWED_ORIGINS", "as browsers send it"}},
		{"rate without refill", []string{"--rate-limit-refill=0"}, []string{"--rate-limit-tokens 100", "--rate-limit-refill 0"}},
		{"negative rate", []string{"--user-rate-limit-refill=-1"}, []string{"--user-rate-limit-refill must be at least 0"}},
		{"proxy that is none", []string{"--trusted-proxies=10.0.0.1"}, []string{"--trusted-proxies", "10.0.0.0/8"}},
		{"an origin with a path", []string{"--allowed-origins=https://wall.example/"}, []string{"ALLOWED_ORIGINS", "https://wall.example/"}},
		{"an origin without a scheme", []string{"--allowed-origins=wall.example"}, []string{"ALLOWED_ORIGINS", "wall.example"}},
		{"several mistakes", []string{"--history-messages=0", "--max-connections=-1"},
			[]string{"--history-messages", "--max-connections"}},
		{"several mistakes of all kinds", []string{"--listne=x", "--history-age=10", "--histroy-age", "1m", "--max-connections=many",
			"--allow-anonymous=perhaps", "--log-level=loud", "--log-format=xml", "--heartbeat-interval=1ms"},
			[]string{"unknown flag --listne", "--history-age (HISTORY_AGE)", "unknown flag --histroy-age", "--max-connections (MAX_CONNECTIONS)",
				"--allow-anonymous (ALLOW_ANONYMOUS)", `--log-level "loud"`, `--log-format "xml"`, "--heartbeat-interval must be"}},
		{"more for a user than for all", []string{"--max-connections=10", "--max-connections-per-user=20", secret},
			[]string{"--max-connections-per-user 20 is more than the 10 of --max-connections"}},
		{"more for an address than for all", []string{"--max-connections-per-address=20000"},
			[]string{"--max-connections-per-address 20000 is more than the 19000"}},
		{"a limit by user without users", []string{"--max-connections-per-user=2"}, []string{"AUTH_TOKEN_SECRET", "only tokens name users"}},
		{"a short one among several secrets", []string{"--auth-token-secrets=0123456789abcdef0123456789abcdef,abc"}, []string{"AUTH_TOKEN_SECRETS", "secret 2 has 3 bytes"}},
		{"two issuers", []string{"--auth-public-key-file=f", "--auth-jwks-url=https://login.example/keys"}, []string{"AUTH_PUBLIC_KEY_FILE", "AUTH_JWKS_URL"}},
		{"two who decide", []string{secret, "--auth-url=https://app.example/auth"}, []string{"AUTH_URL", "one of them decides"}},
		{"an issuer of nothing", []string{"--auth-issuer=i"}, []string{"AUTH_ISSUER", "no effect"}},
		{"no address", []string{"--auth-jwks-url=login.example/keys"}, []string{"AUTH_JWKS_URL is no address"}},
		{"a clock that is wrong", []string{"--auth-leeway=1h"}, []string{"--auth-leeway must be from 0s to 10m0s"}},
		{"no age", []string{"--auth-max-age=1s"}, []string{"--auth-max-age must be at least 1m"}},
		{"slow after a day", []string{"--slow-after=24h"}, []string{"--slow-after must be at most 1m0s", "publishers wait"}},
		{"waiting for a day", []string{"--publish-wait=24h"}, []string{"--publish-wait must be at most 1m0s"}},
		{"a name with a line in it", []string{"--node-name=a\nb"}, []string{"--node-name", "without control characters"}},
		{"a name that is too long", []string{"--node-name=" + strings.Repeat("n", 65)}, []string{"--node-name", "at most 64 bytes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.give...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not mention %q", err, part)
				}
			}
		})
	}
}

func TestMistakesInTheEnvironmentAreAllSaid(t *testing.T) {
	t.Setenv("HISTORY_MESSAGES", "many")
	t.Setenv("SLOW_AFTER", "soon")
	_, err := parse(t, "--max-queued-bytes=x")
	for _, part := range []string{"--history-messages (HISTORY_MESSAGES)", "--slow-after (SLOW_AFTER)", "--max-queued-bytes"} {
		if err == nil || strings.Count(err.Error(), part) != 1 {
			t.Errorf("%v does not mention %q once", err, part)
		}
	}
}

func TestConnectionsFitTheDescriptors(t *testing.T) {
	for _, c := range []struct {
		asked       int
		descriptors uint64
		want        int
		refused     string
	}{
		{asked: 0, descriptors: 20_000, want: 19_000},
		{asked: 0, descriptors: math.MaxUint64, want: 19_000},
		{asked: 0, descriptors: 1024, want: 824},
		{asked: 0, descriptors: 200, refused: "raise the limit"},
		{asked: 50_000, descriptors: math.MaxUint64, want: 50_000},
		{asked: 19_800, descriptors: 20_000, want: 19_800},
		{asked: 19_801, descriptors: 20_000, refused: "--max-connections 19801 needs 20001 open files, the limit is 20000"},
		{asked: 1000, descriptors: 1024, refused: "lower MAX_CONNECTIONS to 824"},
	} {
		got, err := (&config.Config{MaxConnections: c.asked}).Connections(c.descriptors)
		if got != c.want || (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%d asked for with %d descriptors: %d %v, want %d %s", c.asked, c.descriptors, got, err, c.want, c.refused)
		}
	}
}

func TestPublicAddressIsAcceptedWithAuthenticationOrOnRequest(t *testing.T) {
	for name, args := range map[string][]string{
		"authentication": {"--listen=0.0.0.0:3001", secret, "--operator-password=correct horse"},
		"on request":     {"--listen=0.0.0.0:3001", "--allow-anonymous"},
		"loopback":       {"--listen=[::1]:3001"},
		"localhost":      {"--listen=localhost:0"},
	} {
		if _, err := parse(t, args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDocumentIsUpToDate(t *testing.T) {
	want, err := config.Document()
	testkit.Must(t, err)
	if *update {
		testkit.Must(t, os.WriteFile(document, want, 0o644))
	}
	got, err := os.ReadFile(document)
	if err != nil || string(got) != string(want) {
		t.Errorf("docs/configuration.md is not what the code says (%v): run go test ./internal/config -update", err)
	}
}

// Each way to ask for a token protects an address that others can reach.
func TestAnyWayToAskForTokensProtectsAPublicAddress(t *testing.T) {
	for _, give := range []string{secret, "--auth-token-secrets=0123456789abcdef0123456789abcdef", "--auth-public-key-file=f",
		"--auth-jwks-url=https://login.example/keys", "--auth-url=https://app.example/auth"} {
		if _, err := parse(t, "--listen=0.0.0.0:3001", "--operator-password=0123456789abcdef", give); err != nil {
			t.Errorf("%s: %v", give, err)
		}
	}
	_, err := parse(t, "--listen=0.0.0.0:3001", "--operator-password=0123456789abcdef", "--publish-keys-file=f")
	if err == nil || !strings.Contains(err.Error(), "anyone may connect") || strings.Contains(err.Error(), "anyone may publish") {
		t.Errorf("with keys alone: %v", err)
	}
}
