// Package testkit has what the tests of several packages need. Only tests import it.
package testkit

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/program"
)

// Patience bounds every wait. Nothing waits that long unless it is broken, however busy the
// machine.
const Patience = time.Minute

// Must ends the test with err unless it is nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until a condition holds, and fails the test when it doesn't within [Patience].
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", Patience, what)
		}
	}
}

// Succeeds waits until check returns nil, and fails the test with its last error when it doesn't
// within [Patience].
func Succeeds(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for err := check(); err != nil; err = check() {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s: %v", Patience, what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// NoGoroutineBeyond waits until no more goroutines than these are left. A test in which some stay
// for [Patience] fails, and shows where each of them stands.
func NoGoroutineBeyond(t testing.TB, before int) {
	t.Helper()
	for deadline := time.Now().Add(Patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left, %d were there before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// RequireAll is the environment variable that makes a missing program a failure. `make test` sets
// it, so that there nothing is left out.
const RequireAll = "ZONECAST_TEST_ALL"

// NeedProgram leaves the test out on a machine that lacks a program like redis-server, and says in
// one line how to get it.
func NeedProgram(t testing.TB, names ...string) {
	t.Helper()
	if missing := lacking(names...); missing == "" {
		return
	} else if os.Getenv(RequireAll) != "" {
		t.Fatal(missing)
	} else {
		t.Skip("left out: " + missing)
	}
}

// lacking says how to get those of the programs that are not installed; empty when all are.
func lacking(names ...string) string {
	var errs []string
	for _, name := range names {
		if _, err := program.Find(name); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if errs == nil {
		return ""
	}
	return strings.Join(errs, "; ") + "; or run make test, which installs what it needs"
}
