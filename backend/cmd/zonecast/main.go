// Command zonecast is the server; without arguments it needs nothing else and listens on port 3001.
//
// Exit codes: 0 it ended as it was told; 1 it failed while running, or Redis was not there in time;
// 2 it could not start, and can't until something is changed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/internal/config"
)

// version is set by the build.
var version = "dev"

// program is the command line.
type program struct {
	Serve        serveCommand        `cmd:"" default:"withargs" help:"Serve. This is what happens without a command."`
	Demo         demoCommand         `cmd:"" help:"Serve, and play a simulated shift of a few warehouses, so that dashboard and screens have something to show."`
	Check        checkCommand        `cmd:"" help:"Check the settings, and say what they expose to whom; exit code 0 if they are valid, 2 if not."`
	Health       healthCommand       `cmd:"" help:"Ask an instance whether it is ready; exit code 0 if it is."`
	Drain        drainCommand        `cmd:"" help:"Ask an instance to leave (SIGTERM), and wait until it has: for preStop hooks. Exit code 0 once it is gone."`
	Token        tokenCommand        `cmd:"" help:"Make and inspect tokens of clients and keys of publishers."`
	Account      accountCommand      `cmd:"" help:"Make the line of OPERATORS_FILE for an operator. The password comes from the terminal or standard input."`
	CheckHistory checkHistoryCommand `cmd:"" help:"Check what publishers and clients saw against the promises of the protocol; exit code 0 if all were kept, 1 if not."`
	Quit         kong.VersionFlag    `name:"version" help:"Show the version."`
	Conformance  conformanceCommand  `cmd:"" help:"Hold any server to the protocol, over all transports; a line per promise, exit code 0 if all are kept, 1 if not, 2 if it is no such server."`
}

type serveCommand struct{ config.Config }

// gcPercent is how much garbage may come on top of what lives before the collector runs, unless
// GOGC says otherwise. What lives is mostly idle connections, and broadcasting makes little
// garbage: half of Go's default costs hardly any time and a fifth less memory.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: everything but the exit.
func run(args []string, stdout, stderr io.Writer) int {
	var p program
	left := -1 // by --help or --version
	command, err := config.Parse(&p, args, kong.Name("zonecast"), kong.Vars{"version": "zonecast " + version + " " + runtime.Version()},
		kong.Description("Zonecast pushes what happens in a warehouse to everyone who has to know. All settings: zonecast serve --help"),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { left = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if left >= 0 {
		return left
	}
	if err != nil {
		return complain(stderr, errors.Join(err, p.check(command), errors.New("see zonecast --help for what there is")), 2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(stdout, (*io.Writer)(nil))
	command.Bind(stderrWriter{stderr}, newReader(args))
	err = command.Run()
	var start *startError
	switch {
	case err == nil, errors.Is(err, errToldToEnd):
		return 0
	case errors.As(err, &start):
		return complain(stderr, start.error, 2)
	}
	return complain(stderr, err, 1)
}

// check finds what else is wrong with the settings of a command line that can't be read in full.
func (p *program) check(command *kong.Context) error {
	switch {
	case command == nil:
		return nil
	case command.Command() == "serve":
		return p.Serve.Check()
	case command.Command() == "check":
		return p.Check.Config.Check()
	case command.Command() == "demo":
		return p.Demo.check()
	}
	return nil
}

// A startError is why the program could not start as it was told.
type startError struct{ error }

// errToldToEnd is why the program did not start.
var errToldToEnd = errors.New("told to end before it had started")

// complain writes each mistake on a line of its own. Where the system denies something, it does not
// say to whom.
func complain(w io.Writer, err error, code int) int {
	denied := syscall.EACCES.Error()
	for line := range strings.Lines(err.Error()) {
		line = strings.Replace(line, denied, fmt.Sprintf("%s to user %d, as whom zonecast runs", denied, os.Getuid()), 1)
		fmt.Fprintln(w, "zonecast:", strings.TrimSpace(line))
	}
	return code
}

// Run is called by kong.
func (c *serveCommand) Run(ctx context.Context, stdout io.Writer, settings reader) error {
	s, err := start(ctx, &c.Config, settings)
	if err != nil {
		return err
	}
	if c.LogFormat == "text" {
		s.greet(stdout)
	}
	return s.run(ctx)
}

// start checks the settings and wires a server. It reads them again with settings, which may be
// nil.
func start(ctx context.Context, c *config.Config, settings reader) (*server, error) {
	given := *c
	connections, err := c.Connections(descriptors())
	if err := errors.Join(c.Check(), err); err != nil {
		return nil, &startError{err}
	}
	if connections < config.DefaultConnections && c.MaxConnections == 0 {
		newLog(c, new(slog.LevelVar)).Warn("the limit of open files leaves fewer connections than usual: raise it (ulimit -Hn)",
			"connections", connections, "usual", config.DefaultConnections)
	}
	c.MaxConnections = connections
	s, err := newServer(ctx, c)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, errToldToEnd
	case errors.As(err, new(*unavailableError)):
		return nil, err
	default:
		return nil, &startError{err}
	}
	s.reloading.read, s.reloading.current = settings, given
	return s, nil
}

// greet says where the server is and what to try.
func (s *server) greet(w io.Writer) {
	key := ""
	if s.guard.ServiceNeedsKey() {
		key = " -H 'Authorization: Bearer KEY'"
	}
	fmt.Fprintf(w, `Zonecast %s is at %[2]s

  a screen      %[2]s/screen/warehouse-1/zone-a
  the dashboard %[4]s/ui/
  an event      curl %[2]s/api/v1/warehouses/warehouse-1/zones/zone-a/broadcast%[3]s \
                  -H 'Content-Type: application/json' -d '{"event":"ALERT","data":{"id":"1","severity":"warning","title":"Hello"}}'

`, version, s.url(), key, s.adminURL())
	fmt.Fprintln(w, "access")
	for who := range slices.Chunk(s.config.Access(), 2) {
		fmt.Fprintf(w, "  %-13s %s\n", who...)
	}
	fmt.Fprintln(w)
}
