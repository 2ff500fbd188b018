package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What the system denies to the user as whom the server runs is found by check before the start,
// and by the start: one line, which names the setting, the file and the user.
func TestWhatTheServersUserMayNotDoIsSaidOfEachSetting(t *testing.T) {
	user := os.Getuid()
	attributes := &syscall.SysProcAttr{}
	if user == 0 { // to whom nothing is denied
		user = 65534
		attributes.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
	}
	folder := t.TempDir()
	testkit.Must(t, os.Chmod(folder, 0o755))
	testkit.Must(t, os.Chmod(filepath.Dir(folder), 0o755))
	program, err := os.ReadFile(binary())
	testkit.Must(t, err)
	own, file, closed := filepath.Join(folder, "zonecast"), filepath.Join(folder, "file"), filepath.Join(folder, "closed")
	testkit.Must(t, os.WriteFile(own, program, 0o755))
	testkit.Must(t, os.WriteFile(file, []byte("0123456789abcdef0123456789abcdef"), 0o600))
	testkit.Must(t, os.Chmod(file, 0))
	testkit.Must(t, os.Mkdir(closed, 0))
	within := filepath.Join(closed, "new")
	for _, tt := range []struct{ give, setting, path string }{
		{"AUTH_TOKEN_SECRET_FILE=" + file, "AUTH_TOKEN_SECRET_FILE", file},
		{"PUBLISH_KEYS_FILE=" + file, "PUBLISH_KEYS_FILE", file},
		{"OPERATORS_FILE=" + file, "OPERATORS_FILE", file},
		{"AUTH_PUBLIC_KEY_FILE=" + file, "AUTH_PUBLIC_KEY_FILE", file},
		{"SETTINGS_FILE=" + file, "SETTINGS_FILE", file},
		{"REDIS_URL=rediss://127.0.0.1:1 REDIS_CA_FILE=" + file, "REDIS_CA_FILE", file},
		{"TLS_KEY_FILE=" + file + " TLS_CERT_FILE=" + file, "TLS_KEY_FILE", file},
		{"AUDIT_LOG=" + file, "AUDIT_LOG", file},
		{"AUDIT_LOG=" + within, "AUDIT_LOG", within},
		{"LISTEN=unix:" + within, "--listen", within},
		{"ADMIN_LISTEN=unix:" + within, "--admin-listen", within},
	} {
		for _, command := range []string{"check", "serve"} {
			cmd := exec.CommandContext(t.Context(), own, command)
			cmd.Env = append([]string{"LISTEN=127.0.0.1:0"}, strings.Fields(tt.give)...)
			cmd.SysProcAttr = attributes
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run() // its exit code is looked at
			said := stderr.String()
			if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(said, tt.setting) || !strings.Contains(said, tt.path) ||
				!strings.Contains(said, "permission denied to user "+strconv.Itoa(user)) {
				t.Errorf("%s with %s: %v, said %q, want that user %d is denied %s of %s", command, tt.give, cmd.ProcessState, said, user, tt.path, tt.setting)
			}
		}
	}
}
