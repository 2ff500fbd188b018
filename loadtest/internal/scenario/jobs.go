//go:build linux

package scenario

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/zonecast/zonecast/loadtest/internal/client"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/schedule"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

// maxTracked is how many messages are followed to their last receiver, in one worker: 8 bytes each.
const maxTracked = 4 << 20

// addresses are where a run's connections go and come from, and who makes them.
type addresses struct {
	targets, bases []worker.Address
	sources        []netip.Addr
	shares         []share
}

// A share is one worker's part.
type share struct {
	at             string // of a worker on another machine
	local          bool   // in this process
	first, members int
	publishes      bool
}

// resolve finds the addresses of all hosts.
func (r *Run) resolve(ctx context.Context) error {
	for _, text := range r.plan.WSURLs {
		a, err := resolve(ctx, text)
		if err != nil {
			return r.explainDial(text, err)
		}
		r.addresses.targets = append(r.addresses.targets, a)
	}
	for _, text := range r.plan.PublishBases {
		a, err := resolve(ctx, text)
		if err != nil {
			return explainPublish(text, err)
		}
		r.addresses.bases = append(r.addresses.bases, a)
	}
	return nil
}

func resolve(ctx context.Context, text string) (worker.Address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return worker.Address{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return worker.Address{}, err
	}
	i := max(slices.IndexFunc(ips, func(a netip.Addr) bool { return a.Unmap().Is4() }), 0) // what servers in a hurry listen on
	return worker.NewAddress(u, netip.AddrPortFrom(ips[i].Unmap(), worker.Port(u))), nil
}

// divide decides how many workers there are and who does what. One process does everything if it
// may; otherwise this one publishes, and the others have the members.
func (r *Run) divide() error {
	p := r.plan
	perMember := r.socketsPerMember()
	if slices.ContainsFunc(r.addresses.targets, func(a worker.Address) bool { return a.TLS != "" }) {
		perMember *= 3
	}
	all := perMember*p.Connections + p.Publishers + len(r.addresses.targets)
	workers := cmp.Or(len(p.WorkerAt), p.Workers)
	if workers == 0 {
		workers = machine.Processes(all)
	}
	if workers > 1 && r.History != nil {
		return fmt.Errorf("--history (HISTORY_FILE) is written by one process, and %d connections take %d: lower --connections",
			p.Connections, workers)
	}
	own := share{local: true, publishes: p.Publishers > 0}
	if workers == 1 && len(p.WorkerAt) == 0 {
		own.members = p.Connections
		r.addresses.shares = []share{own}
		return machine.Descriptors(all)
	}
	r.addresses.shares = []share{own}
	for i, first := 0, 0; i < workers; i++ {
		s := share{first: first, members: p.Connections/workers + min(1, max(0, p.Connections%workers-i))}
		if len(p.WorkerAt) > 0 {
			s.at = p.WorkerAt[i]
		}
		r.addresses.shares = append(r.addresses.shares, s)
		first += s.members
	}
	if len(p.WorkerAt) > 0 {
		return machine.Descriptors(p.Publishers)
	}
	return machine.Descriptors(perMember*(p.Connections/workers+1) + p.Publishers)
}

// socketsPerMember is how many connections a member has at most.
func (r *Run) socketsPerMember() int {
	if r.plan.Scenario == settings.Storm && r.plan.StormBy == settings.StormSilence {
		return 2 // the old connection stays
	}
	return 1 + r.echoPosts()
}

// maxEchoPosts is how many echoes of one member may be under way by POST: browsers open 6
// connections to a server, so a member that had more would be no client.
const maxEchoPosts = 8

// echoPosts is how many it takes so that no echo waits for another, if the server answers at all.
func (r *Run) echoPosts() int {
	p := r.plan
	share := map[string]float64{settings.Echo: 1, settings.Mixed: p.EchoShare}[p.Scenario]
	if share == 0 || p.Transport == settings.WebSocket {
		return 0
	}
	unanswered := p.Rate * share * worker.RequestTimeout.Seconds() / float64(max(p.Connections, 1)) // when the server is silent
	return int(min(max(math.Ceil(unanswered), 1), maxEchoPosts))
}

// ports chooses where connections come from, and makes sure that there are ports for all of them.
func (r *Run) ports() error {
	per := machine.Ports()
	targets := map[netip.AddrPort]bool{}
	loopback := true
	for _, t := range r.addresses.targets {
		targets[t.Addr] = true
		loopback = loopback && t.Addr.Addr().IsLoopback() && t.Addr.Addr().Is4()
	}
	r.addresses.sources = r.plan.Sources
	sources := max(len(r.plan.Sources), 1)
	needed := (r.socketsPerMember()*r.plan.Connections + len(targets) - 1) / max(len(targets), 1) // to each target
	if len(r.plan.Sources) == 0 && loopback && needed > per/2 {
		// Every address of 127.0.0.0/8 is this machine's: 127.10.0.1, 127.10.0.2 …
		sources = needed/(per/2) + 1
		for i := range sources {
			r.addresses.sources = append(r.addresses.sources, netip.AddrFrom4([4]byte{127, 10, byte(i / 250), byte(1 + i%250)}))
		}
	}
	if len(r.plan.WorkerAt) > 0 {
		needed = needed/len(r.plan.WorkerAt) + 1
	}
	if needed > sources*per {
		return &machine.PortError{Need: needed, Have: sources * per, Sources: sources}
	}
	return nil
}

// jobs returns what each worker has to do.
func (r *Run) jobs() (jobs []worker.Job) {
	p := r.plan
	bound := 1.0
	if p.Scenario == settings.Storm || p.Scenario == settings.Slow {
		bound = schedule.Bound(p.Connections, p.Share)
	}
	for _, s := range r.addresses.shares {
		j := worker.Job{
			Run: r.name, Protocol: p.Protocol, Mode: r.mode(), Deflate: p.Deflate, Targets: r.addresses.targets, Token: p.Token,
			CA: p.CA, Header: p.Header, Sources: r.addresses.sources, Rooms: p.Rooms, Exponent: p.Zipf, First: s.first, Members: s.members,
			ConnectRate:  p.ConnectRate * float64(s.members) / float64(max(p.Connections, 1)),
			PayloadBytes: p.PayloadBytes, Reconnect: p.Reconnect, Grace: p.Grace, MaxErrors: p.MaxErrors,
			Tracked: maxTracked, EchoPosts: r.echoPosts(),
			Behaviour: worker.Behaviour{
				Kind: worker.Kind(p.Scenario), Share: bound, By: p.StormBy, At: p.Duration / 3,
				Every: p.Every, Offline: p.Offline, BytesPerSec: p.SlowBytes,
				Rate: p.ChurnRate * float64(s.members) / float64(max(p.Connections, 1)),
			},
		}
		if s.local {
			j.History = r.History
		}
		if s.at != "" {
			j.Sources = nil // this machine's mean nothing there
		}
		j.Publish.Writers = r.writers()
		if s.publishes {
			j.Publish.Publishers = p.Publishers
			j.Publish.ByClients = p.PublishAs == settings.AsClient
			j.Publish.Bases, j.Publish.Key, j.Publish.Batch = r.addresses.bases, p.PublishKey, p.Batch
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// mode is how members receive.
func (r *Run) mode() client.Mode {
	switch r.plan.Transport {
	case settings.SSE:
		return client.Stream
	case settings.Poll:
		return client.Polling
	}
	return client.WebSocket
}

// writers is how many publish to each room: as clients with a WebSocket, all have something to say.
func (r *Run) writers() int {
	if r.plan.PublishAs == settings.AsClient && r.plan.Transport == settings.WebSocket {
		return max(1, r.plan.Publishers/len(r.plan.Rooms))
	}
	return 1
}
