// Package e2e_test proves the whole thing: the real binary, alone and in its deployment, through
// its public addresses.
//
//	ZONECAST_BIN, or go build ─▶ TestMain ─▶ tests ─▶ internal/stack ─▶ instances, Redis, nginx, …
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
)

// repository is the top folder, seen from this package.
const repository = "../.."

// binaryVariable names the program under test. Unset, TestMain builds the program and sets it.
const binaryVariable = "ZONECAST_BIN"

// patience bounds every read and request of these tests.
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
