//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/protocol"
	"github.com/zonecast/zonecast/loadtest/internal/stamp"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

// An Outcome is what a scenario gave for one peer.
type Outcome struct {
	Scenario string `json:"scenario"`
	Peer     string `json:"peer"`
	Round    int    `json:"round"`             // 0 for the scenario's first
	Failure  string `json:"failure,omitempty"` // why there are no figures
	Invalid  string `json:"invalid,omitempty"` // why the figures are not the server's

	ConnectsPerSecond float64 `json:"connectsPerSecond"` // how fast all connections came into their rooms
	// ResidentBefore is the server's memory in bytes before the first connection, Resident with all
	// of them: of idle ones after they settled, else at the end of the run.
	ResidentBefore int64 `json:"residentBeforeBytes"`
	Resident       int64 `json:"residentBytes"`

	// Usage is of the measured run; nil for idle connections, as is Run.
	Usage *Usage  `json:"usage,omitempty"`
	Run   *Result `json:"run,omitempty"`
}

// Usage is the CPU time that a run took.
type Usage struct {
	Wall      time.Duration `json:"wallNanoseconds"`
	Server    time.Duration `json:"serverNanoseconds"`
	Generator time.Duration `json:"generatorNanoseconds"`
	Others    time.Duration `json:"othersNanoseconds"` // what all other programs took, and the host from this machine
	Idle      time.Duration `json:"idleNanoseconds"`   // what nobody took
}

// Good reports whether there are figures, and whether they are the server's.
func (o *Outcome) Good() bool { return o != nil && o.Failure == "" && o.Invalid == "" }

// KiBPerConnection returns what an idle connection costs the server.
func (o *Outcome) KiBPerConnection(connections int) float64 {
	return float64(o.Resident-o.ResidentBefore) / 1024 / float64(connections)
}

// MicrosPerDelivery returns the server's CPU time for each delivered message in µs.
func (o *Outcome) MicrosPerDelivery() float64 {
	if o.Run.Delivered == 0 {
		return 0
	}
	return float64(o.Usage.Server.Microseconds()) / float64(o.Run.Delivered)
}

// DeliveriesPerSecond returns the rate of the run until its last delivery.
func (o *Outcome) DeliveriesPerSecond() float64 {
	if o.Run.Elapsed <= 0 {
		return 0
	}
	return float64(o.Run.Delivered) / o.Run.Elapsed.Seconds()
}

// BytesPerDelivery returns the connections' bytes per delivered message, acks and headers included.
func (o *Outcome) BytesPerDelivery() float64 {
	if o.Run.Delivered == 0 {
		return 0
	}
	return float64(o.Run.Bytes) / float64(o.Run.Delivered)
}

// Run puts a peer through the scenario. The peer's error is the outcome's Failure, ctx's its own.
func (s Scenario) Run(ctx context.Context, peer *server.Peer) (Outcome, error) {
	o := Outcome{Scenario: s.Name, Peer: peer.Name}
	if err := s.measure(ctx, peer, &o); err != nil {
		if ctx.Err() != nil {
			return o, context.Cause(ctx)
		}
		o.Failure = err.Error()
	}
	return o, nil
}

func (s Scenario) measure(ctx context.Context, peer *server.Peer, o *Outcome) (err error) {
	if err := machine.Descriptors(s.Connections + s.Publishers); err != nil {
		return err
	}
	process, err := peer.Start(ctx, s.Deflate)
	if err != nil {
		return err
	}
	defer process.Kill()
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, process.Stderr())
		}
	}()
	if err := pause(ctx, time.Second); err != nil { // what a server does after its start is not the connections' cost
		return err
	}
	if o.ResidentBefore, err = process.Resident(); err != nil {
		return err
	}
	clients, err := worker.Open(s.job(peer, process), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.Close()) }()
	took, err := clients.Connect(ctx)
	if err != nil {
		return err
	}
	p, err := clients.Settle(ctx, nil, 0)
	if err != nil {
		return err
	}
	if len(p.Failures) > 0 || p.Joined < uint64(s.Connections) {
		return fmt.Errorf("%d of %d connections are in their rooms: %s", p.Joined, s.Connections, p.Failures[0].First)
	}
	o.ConnectsPerSecond = float64(s.Connections) / took.Seconds()
	if s.Kind == Idle {
		err = s.idle(ctx, clients, o)
	} else {
		err = s.load(ctx, clients, process, o)
	}
	if err != nil {
		return err
	}
	o.Resident, err = process.Resident()
	return err
}

// job is the load tester's: members that join by a frame, publishers that are clients too.
func (s Scenario) job(peer *server.Peer, process *server.Process) worker.Job {
	j := worker.Job{
		Run: stamp.NewRun(), Protocol: peer.Dialect, ByFrame: true, Deflate: s.Deflate, Members: s.Connections, PayloadBytes: s.Bytes,
		Targets: []worker.Address{{Addr: process.Addr, Host: process.Addr.String(), Path: protocol.Path(peer.Dialect)}},
		Publish: worker.Publish{Publishers: s.Publishers, ByClients: true, Writers: max(s.Writers, 1)},
	}
	for i := range s.Rooms {
		j.Rooms = append(j.Rooms, wire.Room{Warehouse: "bench", Zone: fmt.Sprint("zone-", i)}.String())
	}
	return j
}

func (s Scenario) idle(ctx context.Context, clients *worker.Worker, o *Outcome) error {
	if err := clients.Idle(ctx, s.Duration); err != nil {
		return err
	}
	p, err := clients.Settle(ctx, nil, 0)
	if err != nil {
		return err
	}
	if p.Missing > 0 {
		o.Invalid = fmt.Sprintf("%d connections were ended by the server", p.Missing)
	}
	return nil
}

func (s Scenario) load(ctx context.Context, clients *worker.Worker, process *server.Process, o *Outcome) error {
	warm, _, err := s.runStep(ctx, clients, s.WarmUp)
	if err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	before, err := takeReading(process)
	if err != nil {
		return err
	}
	p, step, err := s.runStep(ctx, clients, s.Duration)
	if err != nil {
		return err
	}
	after, err := takeReading(process)
	if err != nil {
		return err
	}
	o.Run, o.Usage = resultOf(p, warm, step), after.since(before)
	o.Invalid = s.invalid(o)
	return nil
}

// runStep carries out one step and waits for all deliveries, at most for the scenario's Settle.
func (s Scenario) runStep(ctx context.Context, clients *worker.Worker, d time.Duration) (*worker.Partial, worker.Step, error) {
	step := worker.Step{Start: client.Now(), Duration: d, Rate: s.Rate}
	if s.Kind == Flood {
		step.Rate, step.Window = 0, s.Window
	}
	if err := clients.Send(ctx, step); err != nil {
		return nil, step, err
	}
	p, err := clients.Settle(ctx, clients.Accepted(), s.Settle)
	return p, step, err
}

// What makes a run's figures the generator's and not the server's.
const (
	// busy is the part of a core at which a thread has reached its limit.
	busy = 0.9
	// full is the idle part of the machine below which everything is saturated.
	full = 0.05
	// late is how long after its time the 99th of 100 messages may be sent.
	late = 5 * time.Millisecond
)

// invalid says why the figures are not the server's; "" if they are.
func (s Scenario) invalid(o *Outcome) string {
	wall := o.Usage.Wall.Seconds()
	generator, serving := o.Usage.Generator.Seconds()/wall, o.Usage.Server.Seconds()/wall
	idle := o.Usage.Idle.Seconds() / (o.Usage.Idle + o.Usage.Server + o.Usage.Generator + o.Usage.Others).Seconds()
	switch {
	case generator > busy && serving < busy && idle > full:
		return fmt.Sprintf("the generator used %.2f cores, the server %.2f, and %.0f %% of the machine was idle",
			generator, serving, 100*idle)
	case s.Kind == Steady && o.Run.Late.P99 > late:
		return fmt.Sprintf("1 %% of the messages were sent more than %v late", o.Run.Late.P99.Round(100*time.Microsecond))
	}
	return ""
}

// A reading is of all clocks at one time.
type reading struct {
	at                      time.Time
	server, generator, idle time.Duration
}

func takeReading(process *server.Process) (r reading, err error) {
	r.at = time.Now()
	r.generator, _ = machine.Used()
	if r.server, err = process.CPU(); err != nil {
		return r, err
	}
	r.idle, err = machine.Idle()
	return r, err
}

func (r reading) since(earlier reading) *Usage {
	u := &Usage{
		Wall: r.at.Sub(earlier.at), Server: r.server - earlier.server, Generator: r.generator - earlier.generator,
		Idle: r.idle - earlier.idle,
	}
	u.Others = max(0, u.Wall*time.Duration(runtime.NumCPU())-u.Idle-u.Server-u.Generator)
	return u
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
