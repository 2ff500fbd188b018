package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// check finds what the start would find in files and URLs that settings name: a line for each,
// which says what to change.
func TestCheckFindsWhatIsWrongInWhatSettingsName(t *testing.T) {
	folder := t.TempDir()
	damaged, missing := filepath.Join(folder, "damaged"), filepath.Join(folder, "missing")
	testkit.Must(t, os.WriteFile(damaged, []byte("no key\n"), 0o600))
	for _, tt := range []struct{ give, want string }{
		{"--publish-keys-file=" + missing, "PUBLISH_KEYS_FILE: open " + missing},
		{"--publish-keys-file=" + damaged, "PUBLISH_KEYS_FILE: " + damaged + ": line 1: key no: the second field must be sha256:"},
		{"--auth-public-key-file=" + missing, "AUTH_PUBLIC_KEY_FILE: open " + missing},
		{"--auth-public-key-file=" + damaged, "AUTH_PUBLIC_KEY_FILE: " + damaged},
		{"--operators-file=" + missing, missing},
		{"--settings-file=" + missing, "SETTINGS_FILE: open " + missing},
		{"--settings-file=" + damaged, "SETTINGS_FILE: " + damaged + ", line 1 is not NAME=VALUE"},
		{"--redis-url=localhost", "REDIS_URL: the URL is not one of Redis"},
		{"--redis-url=redis://127.0.0.1:1 --redis-ca-file=" + missing, "REDIS_URL: certificates are given, but the URL does not ask for TLS"},
		{"--redis-url=rediss://127.0.0.1:1 --redis-ca-file=" + missing, "REDIS_CA_FILE: open " + missing},
		{"--redis-url=rediss://127.0.0.1:1 --redis-ca-file=" + damaged, damaged + " holds no certificate in PEM form"},
		{"--redis-url=rediss://127.0.0.1:1 --redis-cert-file=" + damaged + " --redis-key-file=" + damaged, "REDIS_CERT_FILE, REDIS_KEY_FILE: "},
		{"--audit-log=" + folder, "AUDIT_LOG " + folder + " is no regular file"},
		{"--listen=192.0.2.1:3001 --allow-anonymous", "cannot listen on 192.0.2.1:3001"},
		{"--listen=unix:" + missing + "/socket", "cannot listen on unix:" + missing + "/socket"},
		{"--tls-cert-file=" + damaged + " --tls-key-file=" + damaged, "TLS_CERT_FILE"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"check"}, strings.Fields(tt.give)...), &stdout, &stderr)
		if code != 2 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit code %d, want 2; said %q, want %q", tt.give, code, stderr.String(), tt.want)
		}
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, "zonecast: ") {
				t.Errorf("%s: the line %q is not one of complaint", tt.give, line)
			}
		}
	}
}
