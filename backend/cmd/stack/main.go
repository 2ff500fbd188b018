// Command stack runs Zonecast's whole deployment natively, without containers, until it is
// interrupted: redis-server, the instances, nginx and Prometheus, each on a free port of 127.0.0.1.
//
//	stack --bin bin/zonecast ─▶ internal/stack ─▶ the processes
//	                        └─▶ their addresses, and what to try, on the terminal
//
//	stack --bare --instances 2 -- bin/loadtest …     the same around one command, which finds the instances in WS_URL
//
// It builds nothing. Exit codes: 0 stopped as asked, 1 failed, 2 wrong flags; with a command, the
// command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/stack"
)

type flags struct {
	Bin       string            `default:"bin/zonecast" type:"existingfile" help:"The zonecast program; make build makes it." placeholder:"FILE"`
	Root      string            `default:"." type:"existingdir" help:"The top folder of the repository, with nginx.conf and deploy/." placeholder:"FOLDER"`
	Instances int               `default:"3" help:"How many instances run."`
	Set       map[string]string `help:"A setting for every instance, like --set LOG_LEVEL=debug. Can be repeated." placeholder:"NAME=VALUE"`
	FirstPort int               `default:"0" env:"FIRST_PORT" help:"Ports from this one on, the same at each start; 0 = any that are free."`
	Logs      string            `default:"" env:"STACK_LOGS" help:"Keep the logs in this folder; those of the run before are replaced." placeholder:"FOLDER"`
	Bare      bool              `help:"Redis and the instances alone, without nginx and Prometheus."`
	Command   []string          `arg:"" optional:"" passthrough:"" help:"Run this while the stack is up, instead of waiting for an interrupt. WS_URL names the instances' WebSocket endpoints."`
}

func main() {
	var f flags
	parser := kong.Must(&f, kong.Name("stack"), kong.Description("Runs Zonecast with redis-server, nginx and Prometheus on this machine, without containers."))
	if _, err := parser.Parse(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "stack: %v (see stack --help)\n", err)
		os.Exit(2)
	}
	interrupted, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // also when its terminal goes
	err := run(interrupted, restore, f)
	restore()
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "stack: %v\n", err)
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() > 0 {
		os.Exit(ended.ExitCode())
	}
	os.Exit(1)
}

// run returns when ctx is done and everything has stopped. It calls restore before it stops things,
// so that a second interrupt ends the program at once.
func run(ctx context.Context, restore func(), f flags) error {
	options := stack.Full(f.Root, f.Bin)
	options.Instances, options.Settings = f.Instances, f.Set
	options.FirstPort, options.LogDir = f.FirstPort, f.Logs
	if f.Bare {
		options.Nginx, options.Prometheus = false, false
	}
	options.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))

	began := time.Now()
	s, err := stack.Start(ctx, options)
	if err != nil {
		return err
	}
	if len(f.Command) > 0 {
		return errors.Join(during(ctx, s, f.Command), settle(s), s.Close())
	}
	fmt.Printf("Zonecast's stack is ready after %v. Ctrl-C stops it.\n\n", time.Since(began).Round(10*time.Millisecond))
	if err := describe(os.Stdout, s); err != nil {
		return errors.Join(err, s.Close())
	}
	<-ctx.Done()
	restore()
	fmt.Println("\nStopping: the instances take leave of their clients (Ctrl-C again does not wait for that).")
	err = errors.Join(settle(s), s.Close())
	if f.Logs != "" {
		fmt.Println("The logs are in", s.LogDir())
	}
	return err
}

// during runs the command. An interrupt reaches it as well, and the stack stays up until it has
// ended.
func during(ctx context.Context, s *stack.Stack, command []string) error {
	var sockets []string
	for _, i := range s.Instances {
		sockets = append(sockets, i.WebSocket())
	}
	if command[0] == "--" {
		command = command[1:]
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), "WS_URL="+strings.Join(sockets, ","))
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = time.Minute
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}

// settle keeps Close from reporting the processes that the person took away, as the text below
// invites them to. Their end was logged when it came.
func settle(s *stack.Stack) error {
	var errs []error
	for _, p := range s.Processes() {
		if p.PID() == 0 {
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(errs...)
}

func describe(w io.Writer, s *stack.Stack) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	row := func(name, address string) { fmt.Fprintf(table, "  %s\t%s\n", name, address) }
	door, socket := s.Instances[0].URL, s.Instances[0].WebSocket()
	if s.Nginx != nil {
		door, socket = s.Nginx.URL, s.Nginx.WebSocket()
		row("front door", door+"   (nginx)")
	}
	row("dashboard", door+"/ui/")
	row("wall screen", door+"/screen/warehouse-1/zone-a")
	row("WebSocket", socket+"?warehouse=warehouse-1&zone=zone-a")
	for _, i := range s.Instances {
		row(i.Name(), fmt.Sprintf("%s   (pid %d)", i.URL, i.PID()))
	}
	if s.Prometheus != nil {
		row("Prometheus", s.Prometheus.URL)
	}
	row("Grafana", "not here: make up has it")
	row("Redis", s.Redis.URL)
	row("logs", s.LogDir())
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `
Open the wall screen, and send it an alert through the front door:

  curl %[1]s/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast \
    -H 'Content-Type: application/json' \
    -d '{"event":"ALERT","data":{"id":"try-1","severity":"critical","title":"Conveyor 3 stopped","detail":"Jam at the merge","raisedAt":%[2]d}}'

Then take an instance away, send again, and watch the screen go on:

  kill -9 %[3]d
`, door, time.Now().UnixMilli(), s.Instances[0].PID())
	return err
}
