package stack

import (
	"os/exec"
	"runtime"
)

// A launcher starts programs from one operating system thread that lives as long as the launcher.
//
// The kernel ties a program's life to the thread that started it, not to the process (prctl(2),
// PR_SET_PDEATHSIG). On a thread of Go's choice a program could be ended whenever the runtime lets
// that thread go.
type launcher struct {
	starts chan startRequest
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan<- error
}

func newLauncher() *launcher {
	l := &launcher{starts: make(chan startRequest)}
	go l.run()
	return l
}

func (l *launcher) run() {
	// Never unlocked: the thread ends with this goroutine, and with it whatever it started and
	// still runs.
	runtime.LockOSThread()
	for s := range l.starts {
		s.done <- s.cmd.Start()
	}
}

// start starts the program. It must not be called after close.
func (l *launcher) start(cmd *exec.Cmd) error {
	done := make(chan error)
	l.starts <- startRequest{cmd: cmd, done: done}
	return <-done
}

// close ends the thread. On Linux programs that still run end with it.
func (l *launcher) close() { close(l.starts) }
