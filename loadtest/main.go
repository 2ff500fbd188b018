// Command loadtest measures a Zonecast server: it opens many connections, sends messages at a fixed rate, and counts what
// every single connection receives.
//
//	settings.Parse ──▶ scenario.Run.Do ──▶ threshold.Judge ──▶ report (standard output, --json)
//	                        └──▶ progress (standard error)
//
// Exit codes: 0 good; 1 the run failed; 2 bad settings, or no server there; 99 a threshold was missed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"

	"github.com/zonecast/zonecast/loadtest/internal/progress"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/threshold"
)

// The exit codes.
const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2
	exitMissed = 99
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: everything but the signals and the exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	plan, err := settings.Parse(args, stdout)
	if errors.Is(err, settings.ErrHelp) {
		return exitGood
	}
	if err != nil {
		return usage(stderr, err)
	}
	save, err := resultFile(plan.JSONFile)
	if err != nil {
		return usage(stderr, err)
	}

	r := scenario.New(plan)
	stopProgress := show(ctx, stderr, r.Snapshot)
	result, err := r.Do(ctx)
	stopProgress()
	if err != nil {
		return usage(stderr, errors.Join(err, save(nil)))
	}

	threshold.Judge(result, plan.Thresholds)
	if err := errors.Join(result.WriteText(stdout), save(result)); err != nil {
		fmt.Fprintln(stderr, "loadtest: write the result:", err)
		return exitFailed
	}
	return exitCode(result)
}

func exitCode(r *report.Result) int {
	if len(r.Failures) > 0 {
		return exitFailed
	}
	for _, t := range r.Thresholds {
		if !t.Met {
			return exitMissed
		}
	}
	return exitGood
}

// usage writes each mistake on a line of its own.
func usage(w io.Writer, err error) int {
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		fmt.Fprintln(w, "loadtest:", err)
		return exitUsage
	}
	for _, one := range several.Unwrap() {
		fmt.Fprintln(w, "loadtest:", one)
	}
	return exitUsage
}

// resultFile opens the file for the result before the run, so that nobody waits for a run whose result can't be kept. The
// returned function writes the result and closes the file. Without a result it leaves the file as it was found. An empty
// name gives a function that does nothing.
func resultFile(name string) (save func(*report.Result) error, err error) {
	if name == "" {
		return func(*report.Result) error { return nil }, nil
	}
	_, missing := os.Stat(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("--json (JSON_FILE): %w: name a file that can be written", err)
	}
	return func(r *report.Result) error {
		switch {
		case r != nil:
			_ = f.Truncate(0) // fails for a pipe or a terminal, which have no old content
			return errors.Join(r.WriteJSON(f), f.Close())
		case missing != nil:
			return errors.Join(f.Close(), os.Remove(name))
		}
		return f.Close()
	}, nil
}

// show writes the progress to w until the returned function is called.
func show(ctx context.Context, w io.Writer, source func() progress.Snapshot) (stop func()) {
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
