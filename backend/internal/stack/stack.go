package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/zonecast/zonecast/backend/internal/program"
)

// Options say which parts a stack has. The zero value has none.
type Options struct {
	// Root is the top folder of the repository, with nginx.conf and deploy/.
	Root string
	// Binary is the zonecast program; needed for instances.
	Binary string
	// Instances is how many of them run. More than one needs Redis; without Redis, the one uses its
	// embedded broker.
	Instances int
	// Redis, Nginx and Prometheus add these. Nginx and Prometheus need at least one instance.
	Redis, Nginx, Prometheus bool
	// TLS lets nginx speak TLS and HTTP/2, too, with deploy/nginx-tls.conf.
	TLS bool
	// Kind is the kind of Redis; one server unless it says otherwise.
	Kind Kind
	// RedisProgram is the server that is run as Redis (default redis-server); valkey-server speaks
	// the same. RedisArgs are added to its arguments, like "--appendfsync", "always".
	RedisProgram string
	RedisArgs    []string
	// Clock lets SetClock set the wall clocks of the Redis servers.
	Clock bool
	// Settings are environment variables for every instance, like "HISTORY_MESSAGES". They come
	// after the stack's own ones (LISTEN, NODE_NAME, REDIS_URL) and so override them.
	Settings map[string]string
	// FirstPort makes the ports the same in each stack of these options: this one and those after
	// it, in the order in which processes start. 0 takes free ones.
	FirstPort int
	// LogDir is a folder that keeps the log of each process after the stack was closed; those of
	// the stack before are replaced. Empty keeps none.
	LogDir string
	// ReadyWithin bounds the wait for each process to become ready; 0 means 30 s.
	ReadyWithin time.Duration
	// Logger hears of processes that end by themselves; nil means nobody does.
	Logger *slog.Logger
}

// Full are the options of the topology in docker-compose.yml, without Grafana.
func Full(root, binary string) Options {
	return Options{Root: root, Binary: binary, Instances: 3, Redis: true, Nginx: true, Prometheus: true}
}

// Programs are those that the stack needs besides Binary.
func (o Options) Programs() []string {
	var all []string
	for _, p := range []struct {
		name   string
		needed bool
	}{{o.redisProgram(), o.Redis}, {"gcc", o.Clock}, {"nginx", o.Nginx}, {"prometheus", o.Prometheus}} {
		if p.needed {
			all = append(all, p.name)
		}
	}
	return all
}

func (o Options) redisProgram() string { return cmp.Or(o.RedisProgram, "redis-server") }

func (o Options) check() error {
	var errs []error
	if o.Instances < 0 {
		errs = append(errs, fmt.Errorf("Instances is %d: give 0 or more", o.Instances))
	}
	if o.Instances > 0 && o.Binary == "" {
		errs = append(errs, errors.New("Binary is empty: instances need the path of the zonecast program"))
	}
	if o.Instances > 1 && !o.Redis {
		errs = append(errs, fmt.Errorf("%d instances without Redis share nothing: add Redis, or run one", o.Instances))
	}
	if (o.Nginx || o.Prometheus) && o.Instances == 0 {
		errs = append(errs, errors.New("Nginx and Prometheus have nothing to talk to: add instances"))
	}
	if (o.Redis || o.Nginx || o.Prometheus) && o.Root == "" {
		errs = append(errs, errors.New("Root is empty: the configuration files are read from there"))
	}
	if o.FirstPort < 0 || o.FirstPort > 65000 {
		errs = append(errs, fmt.Errorf("FirstPort is %d: give 1 to 65000, or 0 for free ports", o.FirstPort))
	}
	return errors.Join(errs...)
}

// A Stack is a running topology. Parts that were not asked for are nil.
type Stack struct {
	// Redis is the only server, or the first one of several; Redises are all of them, Sentinels
	// what watches them.
	Redis     *Redis
	Redises   []*Redis
	Sentinels []*Redis
	// RedisURL and the files that go with it are what instances are told: REDIS_URL, REDIS_CA_FILE,
	// REDIS_CERT_FILE and REDIS_KEY_FILE. The files are empty without TLS.
	RedisURL                                 string
	RedisCAFile, RedisCertFile, RedisKeyFile string

	// NginxTLS is where nginx speaks TLS, and NginxCA the file of who signed its certificate; empty
	// without Options.TLS.
	NginxTLS, NginxCA string

	Instances         []*Server
	Nginx, Prometheus *Server

	dir     string
	clock   string   // the file that says how far ahead the servers' clocks are
	env     []string // of the servers besides environment
	options Options
	logger  *slog.Logger
	ports   []*port
}

// Start starts the parts, those that others depend on first, and returns when all of them are
// ready. On an error nothing is left running.
func Start(ctx context.Context, options Options) (*Stack, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	if options.ReadyWithin == 0 {
		options.ReadyWithin = 30 * time.Second
	}
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp("", "zonecast-stack-")
	if err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	if options.LogDir != "" {
		options.LogDir, err = filepath.Abs(options.LogDir)
		if err := cmp.Or(err, os.MkdirAll(options.LogDir, 0o755)); err != nil {
			return nil, errors.Join(fmt.Errorf("start the stack: %w", err), os.Remove(dir))
		}
	}
	s := &Stack{dir: dir, options: options, logger: logger}
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the stack: %w", err), s.Close())
	}
	return s, nil
}

func (s *Stack) startAll(ctx context.Context) error {
	var err error
	if s.options.Redis {
		if err = s.startRedis(ctx); err != nil {
			return err
		}
	}
	for n := range s.options.Instances {
		instance, err := s.startInstance(ctx, n+1)
		if err != nil {
			return err
		}
		s.Instances = append(s.Instances, instance)
	}
	if s.options.Nginx {
		if s.Nginx, err = s.startNginx(ctx); err != nil {
			return err
		}
	}
	if s.options.Prometheus {
		if s.Prometheus, err = s.startPrometheus(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Dir is the stack's folder: the rewritten configuration, the data of Redis and Prometheus.
func (s *Stack) Dir() string { return s.dir }

// LogDir is the folder with a log for each process.
func (s *Stack) LogDir() string { return cmp.Or(s.options.LogDir, s.dir) }

// Processes lists every process in the order in which they were started.
func (s *Stack) Processes() []*Process {
	all := slices.Concat(processes(s.Redises), processes(s.Sentinels), processes(s.Instances))
	if s.Nginx != nil {
		all = append(all, s.Nginx.Process)
	}
	if s.Prometheus != nil {
		all = append(all, s.Prometheus.Process)
	}
	return all
}

// processes are those of several parts of one kind.
func processes[Part interface{ process() *Process }](parts []Part) (all []*Process) {
	for _, p := range parts {
		all = append(all, p.process())
	}
	return all
}

// Close stops every process, the instances side by side and before nginx, through which their
// clients are told, gives the ports back and removes the folder. It goes on when something fails,
// and its error says all that did: a process that left with another exit code than 0, or before it
// was asked to. A stack is closed once.
func (s *Stack) Close() error {
	var errs []error
	if s.Prometheus != nil {
		errs = append(errs, stopAll(s.Prometheus.Process))
	}
	var doors []*Process
	if s.Nginx != nil {
		doors = append(doors, s.Nginx.Process)
	}
	for _, some := range [][]*Process{processes(s.Instances), doors, processes(s.Sentinels), processes(s.Redises)} {
		errs = append(errs, stopAll(some...))
	}
	for _, p := range s.ports {
		errs = append(errs, p.release())
	}
	errs = append(errs, os.RemoveAll(s.dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the stack: %w", err)
	}
	return nil
}

// stopAll stops the processes at the same time. Each one's own time to leave bounds the wait.
func stopAll(processes ...*Process) error {
	errs := make([]error, len(processes))
	var wait sync.WaitGroup
	for n, p := range processes {
		wait.Go(func() { errs[n] = p.Stop(context.Background()) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// hold reserves a port until the stack is closed.
func (s *Stack) hold() (*port, error) {
	number := s.options.FirstPort
	if number > 0 {
		number += len(s.ports)
	}
	p, err := holdPort(number)
	if err != nil {
		return nil, err
	}
	s.ports = append(s.ports, p)
	return p, nil
}

// A place is where one process of the stack runs: its program, its folder and its port.
type place struct {
	path, dir string
	port      *port
}

// place finds the program, makes a folder of this name and holds a port.
func (s *Stack) place(name, executable string) (p place, err error) {
	if p.path, err = program.Find(executable); err != nil {
		return p, err
	}
	if p.port, err = s.hold(); err != nil {
		return p, err
	}
	p.dir, err = s.folder(name)
	return p, err
}

// start starts a process of the stack. The recipe's log, times and defaults are filled in.
func (s *Stack) start(ctx context.Context, r recipe) (*Process, error) {
	r.log = filepath.Join(s.LogDir(), r.name+".log")
	if err := os.Remove(r.log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("start %s: %w", r.name, err)
	}
	r.env = environment(r.env...)
	r.readyWithin = s.options.ReadyWithin
	r.orphaned = cmp.Or(r.orphaned, syscall.SIGKILL)
	r.graceful = cmp.Or(r.graceful, 10*time.Second)
	p := &Process{recipe: r, logger: s.logger}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// source reads a file of the repository.
func (s *Stack) source(path ...string) (string, error) {
	text, err := os.ReadFile(filepath.Join(append([]string{s.options.Root}, path...)...))
	return string(text), err
}

// folder makes a folder within the stack's own.
func (s *Stack) folder(name string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.MkdirAll(path, 0o755)
}

// backends lists the addresses of the instances.
func (s *Stack) backends() []string {
	var addresses []string
	for _, i := range s.Instances {
		addresses = append(addresses, i.Address)
	}
	return addresses
}

// environment is what programs get of this process's environment: where things are, and what steers
// Go's own tools. Settings of the person who runs the stack stay out.
func environment(extra ...string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "TZ", "GORACE", "GOCOVERDIR", "GOTRACEBACK", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, extra...)
}
