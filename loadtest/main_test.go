//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

// runShort runs the program against a server for a fraction of a second.
func runShort(t *testing.T, s *fake.Server, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runAt(t, s.WSURL(), args...)
}

// runAt is runShort with an address.
func runAt(t *testing.T, at string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{
		"--ws-url", at, "--connections=20", "--msg-per-sec=200", "--duration=250ms", "--connect-rate=1000",
		"--settle=200ms", "--publishers=1", "--max-lag=1h",
	}, args...)
	code = run(t.Context(), args, &out, &errs)
	for line := range strings.Lines(errs.String()) {
		if strings.HasPrefix(line, "loadtest") { // and no progress, which a slow machine's runs have
			stderr += line
		}
	}
	return code, out.String(), stderr
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
		{name: "the server restarts", faults: fake.Faults{Shut: fake.Only(20)}, want: exitFailed, args: []string{"--settle=3s"},
			says: []string{"success rate  100 %", "20 replaced, 0 missing at the end", "FAILED: 20 connections broke during the run"}},
		{name: "the load tester is the bottleneck, whatever else failed", faults: fake.Faults{Lose: fake.Every(10)},
			args: []string{"--max-lag=1ns", "--duration=600ms"}, want: exitInvalid,
			says: []string{"INVALID: the load tester could not keep its schedule"}},
		{name: "not all connect", faults: fake.Faults{Connections: 16}, want: exitFailed,
			says: []string{"connections   15 of 20 (75.000 %)", "5  connect: HTTP 503", "first: the server answered HTTP 503 Service Unavailable: too many connections"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fake.New(tt.faults)
			defer s.Close()
			code, stdout, stderr := runShort(t, s, tt.args...)
			passed := strings.Contains(stdout, "PASSED")
			if code != tt.want || stderr != "" || passed != (tt.want == exitGood) {
				t.Errorf("exit code %d, want %d; passed: %v; standard error: %s", code, tt.want, passed, stderr)
			}
			for _, want := range tt.says {
				if !strings.Contains(stdout, want) {
					t.Errorf("the report does not say %q:\n%s", want, stdout)
				}
			}
		})
	}
}

// A run that is ended, also because its terminal went away, reports what was measured.
func TestAHangupInterrupts(t *testing.T) {
	ctx, stop := interruptible(t.Context())
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Error("SIGHUP does not end the run")
	}
}

func TestVersionIsSaid(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--version"}, &stdout, &stderr); code != exitGood || !strings.HasPrefix(stdout.String(), "loadtest "+version) {
		t.Errorf("exit code %d, %q, %q", code, stdout.String(), stderr.String())
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
	code, stdout, _ := runShort(t, s, "--ws-url", s.WSURL(), "--publish-url", s.URL, "--publish-url", s.URL+"/")
	if code != exitGood || !strings.Contains(stdout, "received      1,000\n") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// TestMain lets this program be a worker of the tests' runs, as loadtest is of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	settings.Grace = time.Minute
	os.Exit(m.Run())
}

// Several processes count what one would: losses, duplicates and reorderings exactly.
func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{Lose: fake.Only(20), Duplicate: fake.Only(30), Swap: fake.Only(40)})
	defer s.Close()
	name := filepath.Join(t.TempDir(), "result.json")
	code, stdout, stderr := runShort(t, s, "--workers=3", "--json", name)
	if code != exitFailed || stderr != "" {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, want := range []string{"from 4 processes", "connections   20 of 20", "expected      1,000\n", "lost          20\n", "duplicated    20\n", "reordered     20\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report does not say %q:\n%s", want, stdout)
		}
	}
	r, err := readResult(name)
	if err != nil {
		t.Fatal(err)
	}
	// The message that nobody got is never complete; the others are as late as their last members.
	if r.Latency.Count != 980 || r.Completion.Count != 49 || r.Completion.Max != r.Latency.Max ||
		r.Completion.Avg < r.Latency.Avg || r.Connect.Count != 20 {
		t.Errorf("latency %+v, completion %+v, connect %+v", r.Latency, r.Completion, r.Connect)
	}
}

func TestEveryKindOfFile(t *testing.T) {
	t.Parallel()
	s := fake.New(fake.Faults{})
	defer s.Close()
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(at("r.json"), bytes.Repeat([]byte("an earlier, longer result\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runShort(t, s, "--duration=1300ms", "--csv", at("r.csv"), "--hdr", at("r.hdr"),
		"--html", at("r.html"), "--json", at("r.json"), "--publish-key=very-secret", "--token=very-secret", "--threshold=delivered==100%")
	if code != exitGood {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	for name, want := range map[string]string{
		"r.csv": "second,phase,connected", "r.hdr": "HIST", "r.html": "</html>", "r.json": `"schema": 1`,
	} {
		text, err := os.ReadFile(at(name))
		if err != nil || !bytes.Contains(text, []byte(want)) || bytes.Contains(text, []byte("very-secret")) {
			t.Errorf("%s, %v: %.500s", name, err, text)
		}
	}
	r, err := readResult(at("r.json"))
	if err != nil || r.Messages.Received != 260*20 || r.Latency.Count != 260*20 || r.Connect.Count != 20 {
		t.Errorf("%+v, %v", r, err)
	}
	log, err := os.Open(at("r.hdr"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	reader, total := hdrhistogram.NewHistogramLogReader(log), int64(0)
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		total += h.TotalCount()
	}
	if total != 260*20 {
		t.Errorf("the HDR log has %d latencies of %d", total, 260*20)
	}
}

func TestCompare(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, r report.Result) string {
		t.Helper()
		path := filepath.Join(folder, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.WriteJSON(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := report.Result{Schema: report.Schema, Settings: report.Settings{Connections: 5}, Latency: report.Times{Count: 1, P95: 10, P99: 20}}
	before := write("before.json", r)
	r.Latency.P95, r.Latency.P99 = 15, 10
	after := write("after.json", r)
	r.Latency.P95, r.Latency.P99, r.Failures = 10, 20, []string{"the run ended early: interrupted"}
	failed := write("failed.json", r)
	unlike := r
	unlike.Settings.Connections, unlike.Failures = 6, nil
	unalike := write("unlike.json", unlike)
	r.Schema++
	newer := write("newer.json", r)
	other := filepath.Join(folder, "other.txt")
	if err := os.WriteFile(other, []byte("no result"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want int
		says []string
	}{
		{[]string{before, after}, exitGood, []string{"+50.0 %  worse", "-50.0 %  better"}},
		{[]string{after, unalike}, exitGood, []string{"not the same run: connections: 5 and 6", "-33.3 %\n"}},
		{[]string{"--worse=10%", after, unalike}, exitUsage, []string{"these runs are not alike (connections: 5 and 6)"}},
		{[]string{"--worse=10%", before, after}, exitMissed, []string{"worse"}},
		{[]string{"--worse=60%", before, after}, exitGood, nil},
		{[]string{before, after, "--worse", "10%"}, exitMissed, []string{"worse"}},
		{[]string{before, after, "--worse"}, exitUsage, []string{`--worse is "": give a percentage`}},
		{[]string{"--help"}, exitGood, []string{"Usage: loadtest compare [--worse=10%] BEFORE.json AFTER.json"}},
		{[]string{before, failed}, exitGood, []string{"FAILED, after: the run ended early: interrupted"}},
		{[]string{"--worse=10%", failed, before}, exitGood, []string{"FAILED, before: "}},
		{[]string{"--worse=10%", before, failed}, exitMissed, nil},
		{[]string{before}, exitUsage, []string{"give two files"}},
		{[]string{"--worse=much", before, after}, exitUsage, []string{"give a percentage"}},
		{[]string{before, newer}, exitUsage, []string{"schema 2"}},
		{[]string{before, other}, exitUsage, []string{"is not a result"}},
		{[]string{before, filepath.Join(folder, "none")}, exitUsage, []string{"no such file"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"compare"}, tt.args...), &stdout, &stderr)
		if code != tt.want {
			t.Errorf("%q: exit code %d, want %d: %s", tt.args, code, tt.want, stderr.String())
		}
		for _, want := range tt.says {
			if !strings.Contains(stdout.String()+stderr.String(), want) {
				t.Errorf("%q: does not say %q:\n%s%s", tt.args, want, stdout.String(), stderr.String())
			}
		}
	}
}
