package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// recipe is everything that it takes to start a program, and to start it again.
type recipe struct {
	name string
	path string
	args []string
	env  []string // KEY=VALUE, besides what [environment] leaves
	dir  string   // working directory
	log  string   // file that both outputs are appended to
	// orphaned is what the program gets when this process dies. SIGKILL, its default, is certain; a
	// program with children of its own needs SIGTERM to end them.
	orphaned syscall.Signal
	// ready asks the program once whether it can be used; nil means yes.
	ready func(context.Context) error
	// readyWithin bounds the wait for that, graceful the wait for the end after SIGTERM.
	readyWithin, graceful time.Duration
}

// A Process is one program of the stack. It can be killed, stopped and started again, at the same
// address and with the same data, by any goroutine.
type Process struct {
	// Static after construction.
	recipe recipe
	logger *slog.Logger

	mu      sync.Mutex
	current *life // the last start; nil before the first
}

// A life is one run of a program, from its start to its end.
type life struct {
	pid   int
	ended chan struct{} // closed when the program is gone and waited for
	err   error         // how it ended; read after ended

	mu    sync.Mutex
	asked bool // its end was asked for
}

// Name is the process's name, as in docker-compose.yml: "redis", "backend-1", "nginx",
// "prometheus".
func (p *Process) Name() string { return p.recipe.name }

// Log is the path of the file with everything the process ever wrote. It is removed when the stack
// is closed.
func (p *Process) Log() string { return p.recipe.log }

// PID is the id of the running process, or 0 when there is none.
func (p *Process) PID() int {
	if l := p.life(); l != nil && !l.over() {
		return l.pid
	}
	return 0
}

// Start starts the process and waits until it is ready. A process that does not become ready is
// killed, and the error ends with the last lines of its log. Starting a running one is an error.
func (p *Process) Start(ctx context.Context) error {
	l, err := p.launch()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.recipe.name, err)
	}
	if err := p.awaitReady(ctx, l); err != nil {
		_ = l.kill() // what matters to the caller is why it was not ready
		return fmt.Errorf("start %s: %w\n%s", p.recipe.name, err, p.tail())
	}
	return nil
}

func (p *Process) launch() (*life, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && !p.current.over() {
		return nil, fmt.Errorf("it runs already, with pid %d", p.current.pid)
	}
	output, err := os.OpenFile(p.recipe.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open its log: %w", err)
	}
	defer output.Close() // the program has its own copy
	cmd := exec.Command(p.recipe.path, p.recipe.args...)
	cmd.Env, cmd.Dir = p.recipe.env, p.recipe.dir
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = attributes(p.recipe.orphaned)
	l := &life{ended: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, l, started)
	if err := <-started; err != nil {
		return nil, err
	}
	p.current = l
	return l, nil
}

// run starts the program and waits for its end, on one operating system thread that lives as long.
// The kernel ties a program's life to the thread that started it, not to the process (prctl(2),
// PR_SET_PDEATHSIG): on a thread of Go's choice it could be ended whenever the runtime lets that
// thread go.
func (p *Process) run(cmd *exec.Cmd, l *life, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	l.pid = cmd.Process.Pid
	started <- nil
	p.watch(cmd, l)
}

// watch waits for the end of one life. It returns when the program is gone.
func (p *Process) watch(cmd *exec.Cmd, l *life) {
	l.err = cmd.Wait()
	// Whatever the program left in its group goes with it.
	_ = syscall.Kill(-l.pid, syscall.SIGKILL)
	if l.wasAsked() {
		p.logger.Info("process ended", "process", p.recipe.name, "pid", l.pid, "error", l.err)
	} else {
		p.logger.Warn("process ended by itself", "process", p.recipe.name, "pid", l.pid, "error", l.err, "log", p.recipe.log)
	}
	close(l.ended)
}

func (p *Process) awaitReady(ctx context.Context, l *life) error {
	if p.recipe.ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.recipe.readyWithin)
	defer cancel()
	for {
		err := p.recipe.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-l.ended:
			return fmt.Errorf("it ended at once: %w", orEnded(l.err))
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the process and its children at once, with SIGKILL, as a crash would. Killing one that
// has ended by itself is no error, and settles that: Stop and Close do not report it any more.
func (p *Process) Kill() error {
	l := p.life()
	if l == nil {
		return nil
	}
	if err := l.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p.recipe.name, err)
	}
	return nil
}

// Stop asks the process to leave (SIGTERM) and waits for it. It is an error when the process leaves
// with another exit code than 0, when it left earlier by itself, or when it has to be killed
// because the time to leave or ctx is over.
func (p *Process) Stop(ctx context.Context) error {
	l := p.life()
	if l == nil {
		return nil
	}
	if err := l.stop(ctx, p.recipe.graceful); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.recipe.name, err, p.tail())
	}
	return nil
}

// Restart stops the process, if it runs, and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if p.PID() != 0 {
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	return p.Start(ctx)
}

// process is the process of a part that embeds it.
func (p *Process) process() *Process { return p }

func (p *Process) life() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// tail is the end of the log, for an error message.
func (p *Process) tail() string {
	const lines = 20
	text, err := os.ReadFile(p.recipe.log)
	if err != nil {
		return fmt.Sprintf("(its log can't be read: %v)", err)
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (l *life) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (l *life) wasAsked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// signal marks the end as asked for and sends the signal, to the program (pid) or to its group
// (-pid). It reports whether there was still a program to get it.
func (l *life) signal(pid int, s syscall.Signal) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = true
	if l.over() {
		return false, nil
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return false, err
	}
	return true, nil
}

func (l *life) kill() error {
	if _, err := l.signal(-l.pid, syscall.SIGKILL); err != nil {
		return err
	}
	<-l.ended
	return nil
}

func (l *life) stop(ctx context.Context, graceful time.Duration) error {
	asked := l.wasAsked()
	running, err := l.signal(l.pid, syscall.SIGTERM)
	if err != nil {
		return err
	}
	if !running {
		if asked {
			return nil
		}
		return fmt.Errorf("it had ended by itself: %w", orEnded(l.err))
	}
	select {
	case <-l.ended:
		return l.err
	case <-time.After(graceful):
		return errors.Join(fmt.Errorf("still there %v after SIGTERM: killed", graceful), l.kill())
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("wait for its end: %w: killed", ctx.Err()), l.kill())
	}
}

// orEnded names an end that was no error.
func orEnded(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
