//go:build linux

// Package server starts the servers to measure, one at a time, and reads their cost from /proc.
//
//	Kit.Build ──▶ Peer ──▶ Peer.Start ──▶ Process: Addr, CPU, Resident, Kill
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/machine"
)

// startLimit is how long a server may take until it prints its address.
const startLimit = 20 * time.Second

// A Process is a server that runs.
type Process struct {
	// Addr is where it listens.
	Addr netip.AddrPort

	command *exec.Cmd
	output  sync.WaitGroup // whoever reads its standard output
	errors  *lastLines
}

var address = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// start runs a program and waits for the first http://127.0.0.1:… on its standard output.
func start(ctx context.Context, command *exec.Cmd) (*Process, error) {
	p := &Process{command: command, errors: &lastLines{}}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = p.errors
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	found := make(chan string, 1)
	p.output.Go(func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		close(found)
		_, _ = io.Copy(io.Discard, stdout) // until the process ends
	})
	select {
	case text := <-found:
		if p.Addr, err = netip.ParseAddrPort(text); err != nil {
			err = errors.New("it ended without printing its address")
		}
	case <-time.After(startLimit):
		err = fmt.Errorf("it did not print its address within %v", startLimit)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w%s", err, p.errors)
	}
	return p, nil
}

// Kill ends the process and waits for its end.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // has ended already, if this fails
	p.output.Wait()
	_ = p.command.Wait() // "signal: killed"
}

// Stderr returns the last lines of the process's standard error.
func (p *Process) Stderr() string { return p.errors.String() }

// CPU returns the time that the process has computed, in user mode and in the kernel.
func (p *Process) CPU() (time.Duration, error) { return machine.CPU(p.command.Process.Pid) }

// Resident returns the bytes of memory that the process has (VmRSS).
func (p *Process) Resident() (int64, error) { return machine.Resident(p.command.Process.Pid) }

// lastLines keeps the end of what is written to it.
type lastLines struct {
	mu   sync.Mutex
	text []byte
}

const keptBytes = 2000

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - keptBytes; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	return len(p), nil
}

// String returns it as the end of an error message.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) == 0 {
		return ""
	}
	return "; it wrote: " + strings.TrimSpace(string(l.text))
}
