package main

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/config"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// settingsFile is a file that a server which runs reads again.
type settingsFile struct {
	t    *testing.T
	path string
}

func newSettingsFile(t *testing.T, lines ...string) settingsFile {
	t.Helper()
	f := settingsFile{t, filepath.Join(t.TempDir(), "settings")}
	f.write(lines...)
	return f
}

func (f settingsFile) write(lines ...string) {
	f.t.Helper()
	whole := f.path + ".new" // so that nobody reads half of it
	testkit.Must(f.t, os.WriteFile(whole, []byte(strings.Join(lines, "\n")), 0o600))
	testkit.Must(f.t, os.Rename(whole, f.path))
}

const oldSecret, newSecret = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// Each setting that can be changed while the server runs takes effect there, on SIGHUP.
func TestReloadableSettingsTakeEffect(t *testing.T) {
	f := newSettingsFile(t, "AUTH_TOKEN_SECRET="+oldSecret, "AUTH_TOKEN_SECRETS="+oldSecret, "PUBLISH_KEYS="+oldSecret,
		"MAX_CONNECTIONS_PER_USER=1", "MAX_CONNECTIONS_PER_ADDRESS=1", "LOG_LEVEL=error")
	s := serving(t, "--settings-file="+f.path)
	token := func(secret string) string {
		text, err := auth.Sign([]byte(secret), map[string]any{"sub": "somebody", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		testkit.Must(t, err)
		return text
	}
	valid := func(secret string) bool { _, err := s.guard.Token(token(secret), ""); return err == nil }
	publishes := func(key string) bool {
		r, err := http.NewRequest(http.MethodPost, "/", nil)
		testkit.Must(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		_, err = s.guard.Service(r, auth.Visit{})
		return err == nil
	}
	allows := func(user, address string, n int) bool { return s.gate.Allow(user, address, n, time.Now()) == 0 }
	publish := func(times int) (status int) {
		for range times {
			r, err := http.NewRequest(http.MethodPost, s.url()+"/api/v1/warehouses/w1/broadcast", strings.NewReader(`{"event":"E","data":1}`))
			testkit.Must(t, err)
			r.Header.Set("Authorization", "Bearer "+newSecret)
			r.Header.Set("Content-Type", "application/json")
			answer, err := http.DefaultTransport.RoundTrip(r)
			testkit.Must(t, err)
			answer.Body.Close()
			status = answer.StatusCode
		}
		return status
	}
	tests := map[string]struct {
		give string
		took func() bool
	}{
		"ALLOWED_ORIGINS":    {"https://wall.example", func() bool { return slices.Equal(s.gate.Origins(), []string{"https://wall.example"}) }},
		"AUTH_TOKEN_SECRET":  {newSecret, func() bool { return valid(newSecret) && valid(oldSecret) }},
		"AUTH_TOKEN_SECRETS": {newSecret, func() bool { return valid(newSecret) && !valid(oldSecret) }},
		"PUBLISH_KEYS":       {newSecret, func() bool { return publishes(newSecret) && !publishes(oldSecret) }},
		"RATE_LIMIT_TOKENS":  {"7", func() bool { return s.gate.FrameLimits().Frames.Tokens == 7 }},
		"RATE_LIMIT_REFILL":  {"3", func() bool { return s.gate.FrameLimits().Frames.Refill == 3 }},
		"USER_RATE_LIMIT_TOKENS": {"2", func() bool {
			return allows("a user", "", 2) && !allows("a user", "", 1)
		}},
		"USER_RATE_LIMIT_REFILL":    {"1", func() bool { return s.gate.Limits().UserFrames.Refill == 1 }},
		"ADDRESS_RATE_LIMIT_TOKENS": {"4", func() bool { return allows("", "192.0.2.9", 4) && !allows("", "192.0.2.9", 1) }},
		"ADDRESS_RATE_LIMIT_REFILL": {"1", func() bool { return s.gate.Limits().AddressFrames.Refill == 1 }},
		"QUOTA_PUBLISH_RATE":        {"0.01", func() bool { return publish(4) == http.StatusTooManyRequests }},
		"QUOTA_PUBLISH_BURST":       {"3", func() bool { return publish(4) == http.StatusTooManyRequests }},
		"MAX_CONNECTIONS_PER_USER": {"2", func() bool {
			return s.gate.EnterUser("user-2") == nil && s.gate.EnterUser("user-2") == nil && s.gate.EnterUser("user-2") != nil
		}},
		"MAX_CONNECTIONS_PER_ADDRESS": {"2", func() bool {
			defer s.gate.Leave("192.0.2.8")
			defer s.gate.Leave("192.0.2.8")
			return s.gate.Enter("192.0.2.8") == nil && s.gate.Enter("192.0.2.8") == nil && s.gate.Enter("192.0.2.8") != nil
		}},
		"LOG_LEVEL": {"debug", func() bool { return s.reloading.level.Level() == slog.LevelDebug }},
	}
	lines := []string{}
	for _, name := range config.Reloadable() {
		tt, ok := tests[name]
		if !ok {
			t.Fatalf("%s: show here that it takes effect", name)
		}
		lines = append(lines, name+"="+tt.give)
	}
	// AUTH_TOKEN_SECRET changes first and AUTH_TOKEN_SECRETS after it, as secrets are rotated.
	rotating := slices.Clone(lines)
	rotating[slices.Index(lines, "AUTH_TOKEN_SECRETS="+newSecret)] = "AUTH_TOKEN_SECRETS=" + oldSecret
	f.write(rotating...)
	testkit.Must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	testkit.Eventually(t, "it is reloaded", tests["LOG_LEVEL"].took)
	testkit.Eventually(t, "both secrets count", tests["AUTH_TOKEN_SECRET"].took)
	f.write(lines...)
	testkit.Must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	testkit.Eventually(t, "the old secret counts no more", tests["AUTH_TOKEN_SECRETS"].took)
	for name, tt := range tests {
		if name != "AUTH_TOKEN_SECRET" && !tt.took() {
			t.Errorf("%s=%s has no effect", name, tt.give)
		}
	}
}

// A file that changed counts without a signal; one with a mistake changes nothing; neither ends the
// server. The audit log has both.
func TestSettingsAreReloadedWhenTheirFileChanges(t *testing.T) {
	f := newSettingsFile(t, "LOG_LEVEL=error", "ALLOWED_ORIGINS=https://a.example")
	s := serving(t, "--settings-file="+f.path)
	f.write("ALLOWED_ORIGINS=https://b.example")
	has := func(want string) func() bool {
		return func() bool { return slices.Equal(s.gate.Origins(), []string{want}) }
	}
	testkit.Eventually(t, "the origin of the file", has("https://b.example"))
	f.write("ALLOWED_ORIGINS=nowhere", "LISTEN=127.0.0.1:1")
	testkit.Eventually(t, "the mistake is recorded", func() bool {
		_, page := s.ask(t, http.MethodGet, "/api/v1/audit?action=reload")
		return strings.Contains(string(page), "ALLOWED_ORIGINS has") && strings.Contains(string(page), "https://b.example")
	})
	if !has("https://b.example")() {
		t.Errorf("after a mistake: %v", s.gate.Origins())
	}
	f.write("ALLOWED_ORIGINS=https://c.example", "LISTEN=127.0.0.1:1", "OPERATOR_PASSWORD=0123456789")
	testkit.Eventually(t, "what can be changed is", has("https://c.example"))
}
