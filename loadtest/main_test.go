package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
)

// short runs the program against a server for a fraction of a second.
func short(t *testing.T, s *fake.Server, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{
		"--ws-url", s.WSURL(), "--connections=20", "--msg-per-sec=200", "--duration=250ms", "--connect-rate=1000",
		"--settle=200ms", "--publishers=1",
	}, args...)
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults fake.Faults
		args   []string
		want   int
		says   []string
	}{
		{name: "good", want: exitGood, says: []string{"received      1,000\n", "success rate  100 %", "errors        none", "\nPASSED\n"}},
		{name: "good echo", args: []string{"--scenario=echo"}, want: exitGood, says: []string{"received      50\n", "PASSED"}},
		{name: "thresholds met", args: []string{"--threshold=latency.p95<30s,lost==0", "--threshold=delivered==100%"},
			want: exitGood, says: []string{"met     lost==0", "PASSED"}},
		{name: "a threshold missed", args: []string{"--threshold=latency.p50<1us"}, want: exitMissed,
			says: []string{"MISSED  latency.p50<1us", "FAILED: 1 of 1 thresholds missed"}},
		{name: "losses", faults: fake.Faults{Lose: fake.Every(10)}, want: exitFailed,
			says: []string{"lost          100\n", "success rate  90.000 %", "FAILED: 100 of 1,000 deliveries were lost"}},
		{name: "losses that are allowed", faults: fake.Faults{Lose: fake.Every(10)}, args: []string{"--threshold=delivered>=90%"},
			want: exitGood, says: []string{"PASSED"}},
		{name: "losses that are not", faults: fake.Faults{Lose: fake.Every(10)}, args: []string{"--threshold=delivered>=99.9%"},
			want: exitMissed, says: []string{"MISSED  delivered>=99.9%         90.000 %"}},
		{name: "the server goes away", faults: fake.Faults{Shut: fake.Only(20), Away: time.Hour}, args: []string{"--reconnect=600ms", "--duration=60s"},
			want: exitFailed, says: []string{"all connections were lost, and none came back within 600ms",
				"20  connection: closed with 1012 restart", "20  reconnect: HTTP 503", "0 replaced, 20 missing at the end"}},
		{name: "the server restarts", faults: fake.Faults{Shut: fake.Only(20)}, want: exitFailed, args: []string{"--settle=3s"},
			says: []string{"success rate  100 %", "20 replaced, 0 missing at the end", "FAILED: 20 connections broke during the run"}},
		{name: "a restart that is allowed", faults: fake.Faults{Shut: fake.Only(20)}, args: []string{"--settle=3s", "--threshold=broken<=20,offline.max<30s"},
			want: exitGood, says: []string{"met     broken<=20", "PASSED"}},
		{name: "not all connect", faults: fake.Faults{Connections: 16}, want: exitFailed,
			says: []string{"connections   15 of 20 (75.000 %)", "5  connect: HTTP 503", "first: the server answered HTTP 503 Service Unavailable: too many connections"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fake.New(tt.faults)
			defer s.Close()
			code, stdout, stderr := short(t, s, tt.args...)
			if code != tt.want || stderr != "" {
				t.Errorf("exit code %d, want %d; standard error: %s", code, tt.want, stderr)
			}
			for _, want := range tt.says {
				if !strings.Contains(stdout, want) {
					t.Errorf("the report does not say %q:\n%s", want, stdout)
				}
			}
		})
	}
}

func TestMistakesAreOneLineEach(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"no server", []string{"--ws-url=ws://127.0.0.1:1/ws"}, []string{"loadtest: can't connect to ws://127.0.0.1:1/ws"}},
		{"bad settings", []string{"--connections=0", "--duration=0"}, []string{"loadtest: --connections", "loadtest: --duration"}},
		{"an unknown flag", []string{"--what"}, []string{"loadtest: unknown flag --what"}},
		{"no place for the result", []string{"--json=" + filepath.Join(t.TempDir(), "no", "such", "folder.json")},
			[]string{"loadtest: --json (JSON_FILE): open"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, &stdout, &stderr)
			lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
			if code != exitUsage || stdout.Len() > 0 || len(lines) != len(tt.want) {
				t.Fatalf("exit code %d, %q on standard output, standard error:\n%s", code, stdout.String(), stderr.String())
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d is %q, want it to begin with %q", i+1, lines[i], want)
				}
			}
		})
	}
}

func TestJSONFile(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{})
	defer s.Close()
	name := filepath.Join(t.TempDir(), "result.json")
	if err := os.WriteFile(name, bytes.Repeat([]byte("an earlier, longer result\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := short(t, s, "--json", name, "--publish-key=very-secret", "--token=very-secret"); code != exitGood {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != report.Schema || r.Messages.Received != 1000 || r.Latency.Count != 1000 || r.Connect.Count != 20 {
		t.Errorf("%s", text)
	}
	if bytes.Contains(text, []byte("very-secret")) {
		t.Errorf("the result gives a secret away: %s", text)
	}
}

// A run that can't begin leaves no empty file behind, and an earlier result alone.
func TestJSONFileWithoutAResult(t *testing.T) {
	fresh, earlier := filepath.Join(t.TempDir(), "fresh.json"), filepath.Join(t.TempDir(), "earlier.json")
	if err := os.WriteFile(earlier, []byte("an earlier result"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fresh, earlier} {
		if code := run(t.Context(), []string{"--ws-url=ws://127.0.0.1:1/ws", "--json", name}, io.Discard, io.Discard); code != exitUsage {
			t.Errorf("exit code %d", code)
		}
	}
	if _, err := os.Stat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file without a result: %v", err)
	}
	if text, err := os.ReadFile(earlier); err != nil || string(text) != "an earlier result" {
		t.Errorf("the earlier result is %q now, %v", text, err)
	}
}

// The members of one run may sit on several addresses, and publishing may go to one of them.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{})
	defer s.Close()
	code, stdout, _ := short(t, s, "--ws-url", s.WSURL(), "--publish-url", s.URL, "--publish-url", s.URL+"/")
	if code != exitGood || !strings.Contains(stdout, "received      1,000\n") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

func TestInterruptedRunReports(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{})
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	go func() {
		for s.Published() < 10 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	code := run(ctx, []string{"--ws-url", s.WSURL(), "--connections=5", "--duration=60s", "--connect-rate=1000", "--settle=1s"}, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stdout.String(), "(ended early: interrupted)") {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}
