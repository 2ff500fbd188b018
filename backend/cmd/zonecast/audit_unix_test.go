//go:build unix

package main

import (
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// logrotate renames the file and sends SIGHUP.
func TestTheAuditLogIsOpenedAgainOnHangup(t *testing.T) {
	ignored := make(chan os.Signal, 1) // else one that comes before the server listens ends the test
	signal.Notify(ignored, syscall.SIGHUP)
	defer signal.Stop(ignored)
	file := filepath.Join(t.TempDir(), "audit.log")
	s := serving(t, "--operator-password="+operatorPassword, "--audit-log="+file)
	s.act(t, http.MethodDelete, "/api/v1/connections?userId=anna", "")
	testkit.Must(t, os.Rename(file, file+".1"))
	testkit.Eventually(t, "the file is there again", func() bool {
		testkit.Must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		_, err := os.Stat(file)
		return err == nil
	})
	s.act(t, http.MethodDelete, "/api/v1/connections?userId=bert", "")
	for name, want := range map[string]string{file: "bert", file + ".1": "anna"} {
		if p, err := os.ReadFile(name); err != nil || !strings.Contains(string(p), "userId="+want) {
			t.Errorf("%s: %q %v", name, p, err)
		}
	}
}
