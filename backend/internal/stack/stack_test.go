package stack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestFullStackRunsAndLeavesNothing(t *testing.T) {
	options := played("instance", Full(repository, ""))
	testkit.NeedProgram(t, options.Programs()...)
	s, err := Start(t.Context(), options)
	testkit.Must(t, err)
	pids := map[string]int{}
	for _, p := range s.Processes() {
		pids[p.Name()] = p.PID()
	}
	if len(pids) != 6 {
		t.Errorf("processes: %v, want redis, three backends, nginx and prometheus", pids)
	}
	answers := map[string]bool{}
	for range 30 {
		answers[fetch(t, s.Nginx.URL+"/livez")] = true
	}
	for _, i := range s.Instances {
		if !answers[i.Name()] {
			t.Errorf("30 requests through nginx never reached %s, but %v", i.Name(), answers)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for name, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s (pid %d) is still there after Close: %v", name, pid, err)
		}
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there after Close: %v", s.Dir(), err)
	}
}

func TestProcessComesBackAtItsAddress(t *testing.T) {
	s := start(t, played("instance", Options{Root: repository, Redis: true, Instances: 2}))
	for _, p := range s.Processes() {
		t.Run(p.Name(), func(t *testing.T) {
			before := p.PID()
			testkit.Must(t, p.Kill())
			if got := p.PID(); got != 0 {
				t.Errorf("PID is %d after Kill, want 0", got)
			}
			testkit.Must(t, p.Start(t.Context()))
			if after := p.PID(); after == before || after == 0 {
				t.Errorf("PID is %d after another start, and was %d", after, before)
			}
			if err := p.Start(t.Context()); err == nil {
				t.Error("starting a running process was no error")
			}
			testkit.Must(t, p.Restart(t.Context()))
		})
	}
	if got, want := fetch(t, s.Instances[1].URL+"/readyz"), "backend-2"; got != want {
		t.Errorf("the second address answers as %q, want %q", got, want)
	}
}

func TestClockOfRedisJumps(t *testing.T) {
	s := start(t, Options{Root: repository, Redis: true, Clock: true})
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 0} {
		testkit.Must(t, s.SetClock(ahead))
		text, err := s.Redis.Command(t.Context(), "TIME")
		testkit.Must(t, err)
		seconds, err := strconv.ParseInt(text, 10, 64)
		testkit.Must(t, err)
		if got := time.Until(time.Unix(seconds, 0)); (got - ahead).Abs() > 10*time.Second {
			t.Errorf("its clock is ahead by %v, want %v", got, ahead)
		}
	}
}

func TestInstancesGetTheirSettingsAndNoOthers(t *testing.T) {
	t.Setenv("MAX_CONNECTIONS", "1")
	t.Setenv("REDIS_URL", "redis://192.0.2.1:6379")
	options := played("instance", Options{Instances: 1})
	options.Settings["HISTORY_MESSAGES"] = "25"
	s := start(t, options)
	settings := "\n" + fetch(t, s.Instances[0].URL+"/settings") + "\n"
	for _, want := range []string{"LISTEN=" + s.Instances[0].Address, "NODE_NAME=backend-1", "HISTORY_MESSAGES=25"} {
		if !strings.Contains(settings, "\n"+want+"\n") {
			t.Errorf("the instance was not given %s, but:%s", want, settings)
		}
	}
	for _, stranger := range []string{"MAX_CONNECTIONS=", "REDIS_URL="} {
		if strings.Contains(settings, "\n"+stranger) {
			t.Errorf("the instance was given %s from the environment of the test", stranger)
		}
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	tests := []struct {
		name string
		give Options
		want string
	}{
		{"instance ends", played("broken", Options{Instances: 1}),
			"start backend-1: it ended at once: exit status 2\nREDIS_URL: no such host"},
		{"no binary", Options{Instances: 1}, "Binary is empty: instances need the path of the zonecast program"},
		{"missing binary", Options{Instances: 1, Binary: "/nowhere/zonecast"}, "/nowhere/zonecast: no such file"},
		{"no root", Options{Redis: true}, "Root is empty: the configuration files are read from there"},
		{"wrong root", played("instance", Options{Root: "/nowhere", Instances: 1, Nginx: true}), "open /nowhere/nginx.conf"},
		{"alone together", played("instance", Options{Instances: 2}), "2 instances without Redis share nothing"},
		{"negative", Options{Instances: -1}, "Instances is -1: give 0 or more"},
		{"nothing behind nginx", Options{Root: repository, Nginx: true}, "have nothing to talk to: add instances"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Start(t.Context(), tt.give)
			if err == nil {
				t.Fatalf("no error; closed: %v", s.Close())
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestStopReportsAnEndNobodyAskedFor(t *testing.T) {
	s, err := Start(t.Context(), played("instance", Options{Instances: 1}))
	testkit.Must(t, err)
	crash(t, s.Instances[0])
	err = s.Close()
	if want := "backend-1: it had ended by itself"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Close says %v, want it to contain %q", err, want)
	}
}

func TestKillSettlesAnEndNobodyAskedFor(t *testing.T) {
	// Its Close must find nothing to report.
	s := start(t, played("instance", Options{Instances: 1}))
	crash(t, s.Instances[0])
	testkit.Must(t, s.Instances[0].Kill())
}

// crash ends an instance without asking it, and waits until it is gone.
func crash(t *testing.T, i *Server) {
	t.Helper()
	testkit.Must(t, syscall.Kill(i.PID(), syscall.SIGABRT))
	testkit.Eventually(t, "the instance is gone", func() bool { return i.PID() == 0 })
}

func TestStopKillsWhoDoesNotLeave(t *testing.T) {
	s, err := Start(t.Context(), played("deaf", Options{Instances: 1}))
	testkit.Must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = s.Instances[0].Stop(ctx)
	if want := "context deadline exceeded: killed"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Stop says %v, want it to contain %q", err, want)
	}
	if pid := s.Instances[0].PID(); pid != 0 {
		t.Errorf("pid %d still runs", pid)
	}
	testkit.Must(t, s.Close())
}

// The invariant: when the process that started a stack is killed, all that it started ends too.
func TestNothingOutlivesItsParent(t *testing.T) {
	testkit.NeedProgram(t, Full(repository, "").Programs()...)
	t.Setenv("TMPDIR", t.TempDir()) // the parent has no chance to remove its folder
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), roleVariable+"=parent")
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	if killed := parent.Process.Kill(); killed != nil {
		t.Fatal(killed)
	}
	_ = parent.Wait() // "signal: killed"
	if err != nil {
		t.Fatalf("the parent printed %q: %v", line, err)
	}
	for _, address := range strings.Fields(line) {
		testkit.Succeeds(t, address+" is free again", func() error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return nil
			}
			return errors.Join(errors.New("something listens there"), conn.Close())
		})
	}
}

func start(t *testing.T, options Options) *Stack {
	t.Helper()
	testkit.NeedProgram(t, options.Programs()...)
	s, err := Start(t.Context(), options)
	testkit.Must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	testkit.Must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, response.Status, err)
	}
	return strings.TrimSpace(string(body))
}

// Clients are told by their instances, through nginx, so it ends after them; and each end of a
// process is logged.
func TestInstancesEndBeforeNginx(t *testing.T) {
	options := played("instance", Full(repository, ""))
	testkit.NeedProgram(t, options.Programs()...)
	var log bytes.Buffer
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Start(t.Context(), options)
	testkit.Must(t, err)
	testkit.Must(t, s.Close())
	at := func(process string) int {
		i := strings.Index(log.String(), `msg="process ended" process=`+process+" ")
		if i < 0 {
			t.Errorf("the end of %s is not logged:\n%s", process, &log)
		}
		return i
	}
	for _, instance := range []string{"backend-1", "backend-2", "backend-3"} {
		if at(instance) > at("nginx") {
			t.Errorf("%s ended after nginx:\n%s", instance, &log)
		}
	}
	if at("nginx") > at("redis") || at("prometheus") < 0 {
		t.Errorf("in this order:\n%s", &log)
	}
}
