// Package e2e_test proves the whole thing: the real binary, alone and in its deployment, through its public addresses.
//
//	ZONECAST_BIN, or go build ─▶ TestMain ─▶ tests ─▶ internal/stack ─▶ instances, Redis, nginx, Prometheus
//
// It also holds the deployment's files to one another and to the program: deploy_*_test.go.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/stack"
)

// repository is the top folder, seen from this package.
const repository = "../.."

// binaryVariable names the program under test. When it is unset, TestMain builds the program and sets it.
const binaryVariable = "ZONECAST_BIN"

// patience bounds every wait of these tests. Nothing waits that long when all is well.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if os.Getenv(binaryVariable) == "" {
		dir, err := os.MkdirTemp("", "zonecast-e2e-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "zonecast")
		if err := build(path); err != nil {
			return 0, err
		}
		if err := os.Setenv(binaryVariable, path); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// build builds the program as the tests themselves were built: with the race detector or without.
func build(path string) error {
	args := []string{"build", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "-race" && setting.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	output, err := exec.Command("go", append(args, "../cmd/zonecast")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build zonecast for the tests (or set %s): %w\n%s", binaryVariable, err, output)
	}
	return nil
}

// binary is the path of the program under test.
func binary() string { return os.Getenv(binaryVariable) }

// startStack starts a stack that ends with the test. How its processes end is part of the test.
func startStack(t *testing.T, options stack.Options) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logs(t, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// logs shows the end of each process's log.
func logs(t *testing.T, s *stack.Stack) {
	for _, p := range s.Processes() {
		output, err := exec.Command("tail", "-n", "15", p.Log()).CombinedOutput()
		t.Logf("%s (%v):\n%s", p.Name(), err, output)
	}
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	eventuallyWithin(t, patience, what, check)
}

func eventuallyWithin(t *testing.T, patience time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	err := check()
	for err != nil && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		err = check()
	}
	if err != nil {
		t.Fatalf("after %v still not so: %s: %v", patience, what, err)
	}
}
