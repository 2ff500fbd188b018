// Package stacktest starts a stack for a test. Only tests import it.
package stacktest

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Start starts a stack that ends with the test; how its processes end is part of the test. On a
// machine without the programs that it needs the test is left out. Without Root it is this
// repository's.
func Start(t testing.TB, o stack.Options) *stack.Stack {
	t.Helper()
	testkit.NeedProgram(t, o.Programs()...)
	if o.Root == "" {
		o.Root = root(t)
	}
	if _, set := o.Settings["DRAIN_DELAY"]; !set {
		o.Settings = maps.Clone(o.Settings)
		if o.Settings == nil {
			o.Settings = map[string]string{}
		}
		o.Settings["DRAIN_DELAY"] = "100ms" // no balancer looks at the instances of most tests
	}
	s, err := stack.Start(t.Context(), o)
	testkit.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Redis starts real Redis servers of this kind.
func Redis(t testing.TB, kind stack.Kind) *stack.Stack {
	t.Helper()
	return Start(t, stack.Options{Redis: true, Kind: kind})
}

// root is the folder with go.work, above the package under test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Fatalf("no folder above has a go.work (%v)", err)
	return ""
}

// showLogs shows the end of each process's log.
func showLogs(t testing.TB, s *stack.Stack) {
	const lines = 15
	for _, p := range s.Processes() {
		text, err := os.ReadFile(p.Log())
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		t.Logf("%s (%v):\n%s", p.Name(), err, strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
}
