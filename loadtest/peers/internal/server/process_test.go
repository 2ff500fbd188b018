//go:build linux

package server

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func startShell(t *testing.T, script string) (*Process, error) {
	t.Helper()
	p, err := start(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", script))
	if err == nil {
		t.Cleanup(p.Kill)
	}
	return p, err
}

func TestStart(t *testing.T) {
	p, err := startShell(t, `echo starting; echo "Zonecast is at http://127.0.0.1:4711/"; echo http://127.0.0.1:2; exec sleep 60`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Addr.String(), "127.0.0.1:4711"; got != want {
		t.Errorf("address %s, want %s", got, want)
	}
	if cpu, err := p.CPU(); err != nil || cpu < 0 || cpu > time.Second {
		t.Errorf("CPU %v, %v", cpu, err)
	}
	n, err := p.Resident()
	for deadline := time.Now().Add(5 * time.Second); err == nil && n < 100<<10 && time.Now().Before(deadline); n, err = p.Resident() {
		time.Sleep(time.Millisecond) // it has printed its address, and is still becoming sleep
	}
	if err != nil || n < 100<<10 || n > 100<<20 {
		t.Errorf("resident %d bytes, %v", n, err)
	}
	pid := p.command.Process.Pid
	p.Kill()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d lives on", pid)
	}
	if _, err := p.CPU(); err == nil {
		t.Error("a process that has ended has a CPU time")
	}
}

func TestStartFails(t *testing.T) {
	_, err := startShell(t, `echo no address here; echo "the port is taken" >&2; exit 3`)
	if err == nil || !strings.Contains(err.Error(), "without printing its address") || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("error %v", err)
	}
}

func TestStartEndsWhenTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := start(ctx, exec.CommandContext(ctx, "sleep", "60")); err == nil {
		t.Error("no error")
	}
}

func TestLastLinesAreBounded(t *testing.T) {
	var l lastLines
	for range 100 {
		if n, err := l.Write([]byte(strings.Repeat("x", 99) + "\n")); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = l.Write([]byte("the end\n"))
	if got := l.String(); len(got) > keptBytes+20 || !strings.HasSuffix(got, "the end") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestKitRefuses(t *testing.T) {
	kit := Kit{Zonecast: t.TempDir() + "/none", Module: t.TempDir(), Output: t.TempDir()}
	for name, want := range map[string]string{Zonecast: "build it first", SocketIO: "npm ci", "other": "none of"} {
		if _, err := kit.Peer(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say %q", name, err, want)
		}
	}
}
