package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
)

// TestTheLoadTesterFindsNothingLostThroughTwoInstances is `make load-redis` in short: whatever is
// published at either instance reaches each member of both, once and in order. How fast is for the
// long run to say, on a quiet machine.
func TestTheLoadTesterFindsNothingLostThroughTwoInstances(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Binary: binary(), Instances: 2, Redis: true})
	c := exec.CommandContext(t.Context(), loadTester(t), "--connections=200", "--msg-per-sec=50", "--duration=10s",
		"--threshold=delivered==100%", "--settle=20s")
	c.Env = append(os.Environ(), "WS_URL="+strings.Join(sockets(s, 0), ","))
	if output, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// loadTester is the path of the load tester, which is built unless LOADTEST_BIN names it.
func loadTester(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LOADTEST_BIN"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "loadtest")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Dir = filepath.Join(repository, "loadtest")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the load tester (or set LOADTEST_BIN): %v\n%s", err, output)
	}
	return path
}
