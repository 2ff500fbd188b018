//go:build linux

// Command loadtest measures a Zonecast server: it opens many connections, sends messages at a fixed
// rate, and counts what every single connection receives.
//
//	settings.Parse ──▶ scenario.Run.Do ──▶ report.Evaluate ──▶ Result.WriteText, --json, --csv …
//	                        └──▶ progress (standard error)
//	loadtest compare A.json B.json ──▶ report.Compare
//	loadtest worker                ──▶ workers.Serve: a process with a part of the members
//
// Needs Linux: it lives on epoll and /proc.
//
// Exit codes: 0 good; 1 the run failed; 2 bad settings, or no server there; 3 the load tester was
// the bottleneck; 99 a threshold was missed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/zonecast/zonecast/loadtest/internal/progress"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

const (
	exitGood    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitInvalid = 3
	exitMissed  = 99
)

func main() {
	ctx, stop := interruptible(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// interruptible returns a context that ends with the first signal to end, so that what was measured
// is reported, also when a terminal goes away. The second one ends the program at once.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// version is set by the build.
var version = "dev"

// run is the program: everything but the signals and the exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "compare":
			return compare(args[1:], stdout, stderr)
		case "worker":
			return runWorker(ctx, args[1:], stderr)
		case "--version":
			fmt.Fprintln(stdout, "loadtest", version, runtime.Version())
			return exitGood
		}
	}
	return measure(ctx, args, stdout, stderr)
}

func measure(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	plan, err := settings.Parse(args, stdout)
	if errors.Is(err, settings.ErrHelp) {
		return exitGood
	}
	if err != nil {
		return printUsage(stderr, err)
	}
	files, err := openFiles(plan)
	if err != nil {
		return printUsage(stderr, errors.Join(err, files.discard()))
	}

	r := scenario.New(plan)
	r.Spawn, r.History = spawn, files.history()
	stopProgress := showProgress(ctx, stderr, r.Snapshot)
	result, err := r.Do(ctx)
	stopProgress()
	if err != nil {
		return printUsage(stderr, errors.Join(err, files.discard()))
	}

	report.Evaluate(result, plan.Thresholds)
	if err := errors.Join(result.WriteText(stdout), files.write(result, r)); err != nil {
		fmt.Fprintln(stderr, "loadtest: write the result:", err)
		return exitFailed
	}
	return exitCode(result)
}

func spawn() *exec.Cmd {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	command := exec.Command(program, "worker", "--stdio")
	// A Ctrl-C is for the coordinator, which tells its workers; and no worker outlives it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return command
}

func exitCode(r *report.Result) int {
	return map[string]int{report.Passed: exitGood, report.Failed: exitFailed, report.Missed: exitMissed, report.Invalid: exitInvalid}[r.Verdict]
}

// printUsage writes each mistake on a line of its own.
func printUsage(w io.Writer, err error) int {
	mistakes := []error{err}
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		mistakes = several.Unwrap()
	}
	for _, one := range mistakes {
		fmt.Fprintln(w, "loadtest:", one)
	}
	return exitUsage
}

// showProgress writes the progress to w until the returned function is called.
func showProgress(ctx context.Context, w io.Writer, source func() progress.Snapshot) (stop func()) {
	p := progress.Printer{W: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.Live = true
		p.Width, _, _ = term.GetSize(int(f.Fd())) // 0 when unknown: nothing is cut then
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // Ctrl-C does not end it: settling is shown as well
	var watching sync.WaitGroup
	watching.Go(func() { p.Watch(ctx, source) })
	return func() { cancel(); watching.Wait() }
}
