package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// wrongByKind are values that no setting of such a type takes.
var wrongByKind = map[reflect.Type][]string{
	reflect.TypeFor[int]():            {"many", "-1"},
	reflect.TypeFor[float64]():        {"many", "-1", "NaN"},
	reflect.TypeFor[bool]():           {"perhaps"},
	reflect.TypeFor[time.Duration]():  {"soon", "-1s"},
	reflect.TypeFor[*time.Duration](): {"soon", "-1s"},
}

// A wrongSetting is what is wrong with a text or a list. Beside it stand settings that it needs.
type wrongSetting struct {
	give string
	with []string // NAME=VALUE
}

// wrongTexts has each setting that is a text or a list. FILE is one that there is not, TEXT one
// that has no such content.
var wrongTexts = map[string][]wrongSetting{
	"ACKNOWLEDGE_PINS":            {{give: "ann"}, {give: "ann:1"}},
	"ADMIN_LISTEN":                {{give: "4001"}, {give: "127.0.0.1:3001"}, {give: "0.0.0.0:4001"}, {give: "127.0.0.1:-1"}},
	"ALLOWED_HOSTS":               {{give: "https://push.example/"}},
	"ALLOWED_ORIGINS":             {{give: "wall.example"}},
	"AUDIT_LOG":                   {{give: "FILE/log"}},
	"AUTH_AUDIENCE":               {{give: "zonecast"}}, // without tokens
	"AUTH_ISSUER":                 {{give: "login"}},
	"AUTH_JWKS_URL":               {{give: "login.example"}},
	"AUTH_PUBLIC_KEY_FILE":        {{give: "FILE"}, {give: "TEXT"}},
	"AUTH_TOKEN_SECRET":           {{give: "short"}},
	"AUTH_TOKEN_SECRETS":          {{give: "short"}},
	"AUTH_URL":                    {{give: "app.example"}},
	"BASE_PATH":                   {{give: "push"}},
	"CLUSTER_SECRET":              {{give: "short", with: []string{"REDIS_URL=redis://127.0.0.1:1"}}},
	"GRAFANA_URL":                 {{give: "grafana.example/d/zonecast"}, {give: "javascript:alert(1)"}},
	"HEALTH_ROOMS":                {{give: "nobody"}},
	"LISTEN":                      {{give: "3001"}, {give: "0.0.0.0:3001"}, {give: "unix:here"}, {give: "127.0.0.1:65536"}},
	"LOG_FORMAT":                  {{give: "xml"}},
	"LOG_LEVEL":                   {{give: "loud"}},
	"NODE_NAME":                   {{give: strings.Repeat("n", 65)}},
	"OIDC_CLIENT_ID":              {{give: "zonecast"}}, // without OIDC_ISSUER
	"OIDC_CLIENT_SECRET":          {{give: "secret"}},
	"OIDC_ISSUER":                 {{give: "login.example", with: []string{"OIDC_CLIENT_ID=zonecast"}}, {give: "https://login.example"}},
	"OIDC_REDIRECT_URL":           {{give: "push.example", with: []string{"OIDC_ISSUER=https://login.example", "OIDC_CLIENT_ID=zonecast"}}},
	"OIDC_ROLES":                  {{give: "staff", with: []string{"OIDC_ISSUER=https://login.example", "OIDC_CLIENT_ID=zonecast"}}},
	"OPERATORS_FILE":              {{give: "FILE"}, {give: "TEXT"}},
	"OPERATOR_PASSWORD":           {{give: "short"}},
	"OTEL_EXPORTER_OTLP_ENDPOINT": {{give: "collector:4318"}},
	"PUBLISH_KEYS":                {{give: "short"}, {give: long + ",," + long}},
	"PUBLISH_KEYS_FILE":           {{give: "FILE"}, {give: "TEXT"}},
	"REDIS_CA_FILE":               {{give: "FILE", with: []string{"REDIS_URL=rediss://127.0.0.1:1"}}, {give: "TEXT", with: []string{"REDIS_URL=rediss://127.0.0.1:1"}}},
	"REDIS_CERT_FILE":             {{give: "FILE", with: []string{"REDIS_URL=rediss://127.0.0.1:1"}}},
	"REDIS_KEY_FILE": {{give: "FILE", with: []string{"REDIS_URL=rediss://127.0.0.1:1"}},
		{give: "FILE", with: []string{"REDIS_URL=rediss://127.0.0.1:1", "REDIS_CERT_FILE=/nowhere/certificate"}}},
	"REDIS_PASSWORD":     {{give: "secret"}}, // without REDIS_URL
	"REDIS_PREFIX":       {{give: "a b"}},
	"REDIS_URL":          {{give: "redis:6379"}, {give: "http://127.0.0.1:6379"}},
	"SESSION_SECRET":     {{give: "short"}},
	"SETTINGS_FILE":      {{give: "FILE"}, {give: "TEXT"}},
	"TLS_CERT_FILE":      {{give: "FILE"}, {give: "TEXT"}},
	"TLS_CLIENT_AUTH":    {{give: "perhaps"}},
	"TLS_CLIENT_CA_FILE": {{give: "FILE"}, {give: "TEXT"}},
	"TLS_KEY_FILE":       {{give: "FILE"}, {give: "TEXT"}},
	"TRUSTED_PROXIES":    {{give: "10.0.0.1"}},
	"UNREADABLE_EVENTS":  {{give: "perhaps"}},
	"USER_LIMIT_POLICY":  {{give: "perhaps"}},
}

// takeAnything are settings of which no text is wrong.
var takeAnything = []string{"OIDC_NAME", "OIDC_SCOPES", "OIDC_ROLE_CLAIM"}

// Each wrong value of each setting is found by zonecast check, before the start: exit code 2, and
// one line that names the setting and says what to change.
func TestEachWrongSettingIsOneLineThatNamesIt(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	testkit.Must(t, os.WriteFile(text, []byte("neither a key nor a name\n"), 0o600))
	parser, err := kong.New(&serveCommand{}, kong.Name("zonecast"))
	testkit.Must(t, err)
	var seen []string
	for _, flag := range parser.Model.Flags {
		if len(flag.Envs) == 0 {
			continue
		}
		name := flag.Envs[0]
		seen = append(seen, name)
		wrong := wrongTexts[name]
		for _, give := range wrongByKind[flag.Target.Type()] {
			wrong = append(wrong, wrongSetting{give: give})
		}
		if len(wrong) == 0 && !slices.Contains(takeAnything, name) {
			t.Errorf("nothing wrong is known of %s (%s): add it to this table", name, flag.Target.Type())
		}
		for _, w := range wrong {
			t.Run(name+"="+w.give, func(t *testing.T) {
				give := strings.NewReplacer("FILE", "/nowhere/file", "TEXT", text).Replace(w.give)
				t.Setenv(name, give)
				for _, other := range w.with {
					n, value, _ := strings.Cut(other, "=")
					t.Setenv(n, value)
				}
				var stdout, stderr bytes.Buffer
				code := run([]string{"check"}, &stdout, &stderr)
				var named []string
				for line := range strings.Lines(stderr.String()) {
					if strings.Contains(line, name) || strings.Contains(line, "--"+flag.Name) {
						named = append(named, line)
					}
				}
				if code != 2 || len(named) != 1 {
					t.Errorf("exit code %d, %d lines name it, want 2 and 1:\n%s", code, len(named), &stderr)
				}
			})
		}
	}
	for name := range wrongTexts {
		if !slices.Contains(seen, name) {
			t.Errorf("%s is no setting", name)
		}
	}
}
