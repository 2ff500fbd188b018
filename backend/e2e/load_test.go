package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/stack"
	"github.com/zonecast/zonecast/backend/internal/stack/stacktest"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// TestTheLoadTesterFindsNothingLostThroughTwoInstances is `make load-redis` in short: whatever is
// published at either instance reaches each member of both, once and in order. How fast is for the
// long run to say, on a quiet machine.
func TestTheLoadTesterFindsNothingLostThroughTwoInstances(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Binary: binary(), Instances: 2, Redis: true})
	c := exec.CommandContext(t.Context(), loadTester(t), "--connections=200", "--msg-per-sec=50", "--duration=5s",
		"--threshold=delivered==100%", "--settle=20s", "--max-lag=1m")
	c.Env = append(os.Environ(), "WS_URL="+strings.Join(sockets(s, 0), ","))
	if output, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// What the load tester writes with --history is judged by zonecast check-history: a good run keeps
// every promise, over each transport and with members that come and go, and a file in which one
// message is missing or differs is refused by the promise that this breaks.
func TestTheHistoryOfALoadRunIsJudged(t *testing.T) {
	s := stacktest.Start(t, stack.Options{Binary: binary(), Instances: 2, Redis: true})
	tester := loadTester(t)
	for i, flags := range [][]string{
		{"--transport=websocket", "--scenario=flaky", "--every=2s", "--offline=500ms", "--batch=10"},
		{"--transport=websocket", "--scenario=churn", "--churn-rate=20", "--publish-as=client", "--publishers=4", "--zones=2"},
		{"--transport=sse", "--scenario=flaky", "--every=2s", "--offline=500ms", "--publish-as=client"},
		{"--transport=poll", "--scenario=storm"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "history.jsonl")
			c := exec.CommandContext(t.Context(), tester, append(flags, "--connections=20", "--msg-per-sec=50", "--duration=3s", "--settle=20s",
				"--max-lag=1m", fmt.Sprintf("--warehouse=judged-%d", i), "--history="+file)...)
			c.Env = append(os.Environ(), "WS_URL="+strings.Join(sockets(s, 0), ","))
			if output, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			text, err := os.ReadFile(file)
			testkit.Must(t, err)
			lines := strings.SplitAfter(strings.TrimSpace(string(text))+"\n", "\n")
			joins, events, at := 0, 0, 0
			last := map[string]int{} // the line of the last event, by member, while nothing else came
			for k, line := range lines {
				_, rest, _ := strings.Cut(line, `"who":"`)
				who, _, _ := strings.Cut(rest, `"`)
				switch {
				case strings.HasPrefix(line, `{"kind":"event"`):
					if before, ok := last[who]; ok && events > 500 {
						at = before // another one follows
					}
					last[who] = k
					events++
				case strings.HasPrefix(line, `{"kind":"join"`):
					joins++
					fallthrough
				default:
					delete(last, who)
				}
			}
			if joins < 20 || events < 1000 || at == 0 {
				t.Fatalf("%d joins and %d events were written, want 20 members with 75 messages each or more", joins, events)
			}
			for _, judged := range []struct{ name, give, want string }{
				{"as it was", strings.Join(lines, ""), "keep every promise"},
				{"one message missing", strings.Join(slices.Concat(lines[:at], lines[at+1:]), ""), "silent hole: "},
				{"one message different", strings.Join(lines[:at], "") + strings.Replace(lines[at], `"hash":"`, `"hash":"x`, 1) +
					strings.Join(lines[at+1:], ""), "same bytes: "},
			} {
				testkit.Must(t, os.WriteFile(file, []byte(judged.give), 0o600))
				output, err := exec.CommandContext(t.Context(), binary(), "check-history", file).CombinedOutput()
				if good := judged.name == "as it was"; !strings.Contains(string(output), judged.want) || (err == nil) != good {
					t.Errorf("%s: %v, %.2000s; want %q", judged.name, err, output, judged.want)
				}
			}
		})
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
