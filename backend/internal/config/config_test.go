package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const document = "../../../docs/configuration.md"

func parse(t *testing.T, args ...string) (*config.Config, error) {
	t.Helper()
	c := new(config.Config)
	p, err := kong.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Parse(args); err != nil {
		return nil, err
	}
	return c, c.Check()
}

func TestDefaultsWork(t *testing.T) {
	c, err := parse(t)
	if err != nil || c.Listen != "127.0.0.1:3001" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestEnvironmentAndFlags(t *testing.T) {
	t.Setenv("HISTORY_MESSAGES", "50")
	t.Setenv("PUBLISH_KEYS", "a,b")
	t.Setenv("HEARTBEAT_INTERVAL", "5s")
	c, err := parse(t, "--heartbeat-interval=7s")
	if err != nil {
		t.Fatal(err)
	}
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
		{"public without a password", []string{"--listen=0.0.0.0:3001", secret}, []string{"OPERATOR_PASSWORD"}},
		{"rate without refill", []string{"--rate-limit-refill=0"}, []string{"--rate-limit-tokens 100", "--rate-limit-refill 0"}},
		{"negative rate", []string{"--user-rate-limit-refill=-1"}, []string{"--user-rate-limit-refill must be at least 0"}},
		{"proxy that is none", []string{"--trusted-proxies=10.0.0.1"}, []string{"--trusted-proxies", "10.0.0.0/8"}},
		{"an origin with a path", []string{"--allowed-origins=https://wall.example/"}, []string{"ALLOWED_ORIGINS", "https://wall.example/"}},
		{"an origin without a scheme", []string{"--allowed-origins=wall.example"}, []string{"ALLOWED_ORIGINS", "wall.example"}},
		{"several mistakes", []string{"--history-messages=0", "--max-connections=0"},
			[]string{"--history-messages", "--max-connections"}},
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

func TestPublicAddressIsAcceptedWithAuthenticationOrOnRequest(t *testing.T) {
	for name, args := range map[string][]string{
		"authentication": {"--listen=0.0.0.0:3001", secret, "--operator-password=x"},
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
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil || string(got) != string(want) {
		t.Errorf("docs/configuration.md is not what the code says (%v): run go test ./internal/config -update", err)
	}
}
