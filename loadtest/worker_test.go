//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

const workerKey = "the key of the worker and the load tester"

// startWorker runs the program as a worker at a free port, and returns its address and log.
func startWorker(t *testing.T, args ...string) (address string, said *fake.Lines) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said = &fake.Lines{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"worker", "--listen=127.0.0.1:0"}, args...), io.Discard, said)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitGood {
			t.Errorf("the worker ended with %d: %s", code, said)
		}
	})
	at := regexp.MustCompile(`waiting for work at (\S+)\n`)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if found := at.FindStringSubmatch(said.String()); found != nil {
			return found[1], said
		}
	}
	t.Fatalf("the worker does not wait for work: %s", said)
	return "", nil
}

func TestAWorkerOnAnotherMachine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(workerKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, said := startWorker(t, "--worker-key=@"+file)
	s := fake.New(fake.Faults{Lose: fake.Only(20)})
	defer s.Close()
	for range 2 { // one run after the other
		file := filepath.Join(t.TempDir(), "r.json")
		code, stdout, stderr := runShort(t, s, "--worker-at", address, "--worker-key", workerKey, "--json", file)
		if code == exitGood || !strings.Contains(stdout, "from 2 processes") || !strings.Contains(stdout, "lost ") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		text, err := os.ReadFile(file)
		if all := stdout + stderr + said.String() + string(text); err != nil || strings.Contains(all, workerKey) {
			t.Errorf("%v, or the key is given away: %s", err, all)
		}
	}
}

// What the other workers measured is reported when one of them dies in the middle of a run.
func TestAWorkerThatDies(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{})
	defer s.Close()
	plan, err := settings.Parse([]string{"--ws-url", s.WSURL(), "--connections=20", "--workers=3", "--duration=60s", "--connect-rate=1000",
		"--max-lag=1h"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := scenario.New(plan)
	var mu sync.Mutex
	var started []*exec.Cmd
	r.Spawn = func() *exec.Cmd {
		mu.Lock()
		defer mu.Unlock()
		started = append(started, spawn())
		return started[len(started)-1]
	}
	var killing sync.WaitGroup
	defer killing.Wait()
	killing.Go(func() {
		for s.Published() < 20 && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		_ = started[0].Process.Kill()
	})
	result, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Connections{Asked: 20, Joined: 20, Lost: 7}); result.Stopped != "worker 1: its process ended" || result.Connections != want {
		t.Errorf("stopped %q, connections %+v, want %+v", result.Stopped, result.Connections, want)
	}
	if m := result.Messages; m.Sent < 10 || m.Expected != 13*m.Sent || m.Received != m.Expected || result.Latency.Count < 13*10 || result.Connect.Count != 20 {
		t.Errorf("messages %+v, latency %+v, connect %+v", m, result.Latency, result.Connect)
	}
}

func TestBadWorkers(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"worker"}, "give --listen HOST:PORT"},
		{[]string{"worker", "--listen", "nowhere"}, `--listen "nowhere"`},
		{[]string{"worker", "--what"}, "-what"},
		{[]string{"worker", "--listen=0.0.0.0:0"}, "set WORKER_KEY (--worker-key) to the same secret"},
		{[]string{"worker", "--listen=:0"}, "set WORKER_KEY (--worker-key) to the same secret"},
		{[]string{"worker", "--listen=192.0.2.1:7070"}, "set WORKER_KEY (--worker-key) to the same secret"},
		{[]string{"worker", "--listen=127.0.0.1:0", "--worker-key=short"}, "it has 5 characters"},
		{[]string{"worker", "--listen=127.0.0.1:0", "--worker-key=@" + filepath.Join(t.TempDir(), "none")}, "no such file"},
		{[]string{"--worker-at=127.0.0.1:1", "--ws-url=ws://127.0.0.1:1"}, "can't connect"},
		{[]string{"--worker-at=127.0.0.1:7070", "--worker-key=short"}, "it has 5 characters"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), tt.args, io.Discard, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), tt.want) || strings.Contains(stderr.String(), "short") {
			t.Errorf("%q: exit code %d, %q does not say %q", tt.args, code, stderr.String(), tt.want)
		}
	}
}

// The usage text shows defaults; the key of the environment is none.
func TestTheUsageTextKeepsTheKeyToItself(t *testing.T) {
	t.Setenv("WORKER_KEY", workerKey)
	for _, args := range [][]string{{"worker", "--help"}, {"--help"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, &out); code != exitGood || !strings.Contains(out.String(), "worker-key") ||
			strings.Contains(out.String(), workerKey) {
			t.Errorf("%q: exit code %d: %s", args, code, out.String())
		}
	}
}
