//go:build linux

package scenario

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
	"github.com/zonecast/zonecast/loadtest/internal/worker"
)

func planned(members, workers int, addrs ...string) *Run {
	r := New(settings.Plan{Connections: members, Workers: workers, Publishers: 16, Rooms: []string{"zone:w:a"}, PayloadBytes: 128, ConnectRate: 1000})
	for _, a := range addrs {
		r.addresses.targets = append(r.addresses.targets, worker.Address{Addr: netip.MustParseAddrPort(a)})
	}
	return r
}

// One process does everything; of several, this one publishes and the others share the members.
func TestDivide(t *testing.T) {
	one := planned(10, 1, "127.0.0.1:1")
	if err := one.divide(); err != nil || len(one.addresses.shares) != 1 || !one.addresses.shares[0].publishes || one.addresses.shares[0].members != 10 {
		t.Errorf("%+v, %v", one.addresses.shares, err)
	}
	three := planned(10, 3, "127.0.0.1:1")
	if err := three.divide(); err != nil {
		t.Fatal(err)
	}
	want := []share{{local: true, publishes: true}, {first: 0, members: 4}, {first: 4, members: 3}, {first: 7, members: 3}}
	if !slices.Equal(three.addresses.shares, want) {
		t.Fatalf("%+v, want %+v", three.addresses.shares, want)
	}
	jobs := three.jobs()
	if jobs[0].Members != 0 || jobs[0].Publish.Publishers != 16 || jobs[2].Publish.Publishers != 0 || jobs[1].ConnectRate != 400 {
		t.Errorf("%+v", jobs)
	}
}

func TestPorts(t *testing.T) {
	per := machine.Ports()
	few := planned(per/4, 1, "127.0.0.1:1")
	if err := few.ports(); err != nil || few.addresses.sources != nil {
		t.Errorf("%v, %v", few.addresses.sources, err)
	}
	// More connections than one address has ports come from several: all of 127.0.0.0/8 is ours.
	many := planned(3*per, 1, "127.0.0.1:1")
	if err := many.ports(); err != nil || len(many.addresses.sources) < 4 || !many.addresses.sources[0].IsLoopback() {
		t.Errorf("%v, %v", many.addresses.sources, err)
	}
	spread := planned(3*per, 1, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5", "127.0.0.1:6", "127.0.0.1:7")
	if err := spread.ports(); err != nil || spread.addresses.sources != nil {
		t.Errorf("%v, %v", spread.addresses.sources, err)
	}
	var short *machine.PortError
	far := planned(3*per, 1, "192.0.2.1:80")
	if err := far.ports(); !errors.As(err, &short) || short.Need != 3*per || short.Have != per {
		t.Errorf("%v", err)
	}
	far.plan.Sources = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")}
	if err := far.ports(); err != nil || len(far.addresses.sources) != 3 {
		t.Errorf("%v, %v", far.addresses.sources, err)
	}
}

// A member's connections, as many as its echoes need while a server answers late, are counted.
func TestSockets(t *testing.T) {
	for _, tt := range []struct {
		transport, scenario, by string
		members                 int
		want                    int
	}{
		{settings.WebSocket, settings.Echo, "", 10, 1},
		{settings.SSE, settings.Fanout, "", 10, 1},
		{settings.SSE, settings.Echo, "", 10_000, 1 + 1},
		{settings.Poll, settings.Echo, "", 500, 1 + 2},
		{settings.Poll, settings.Echo, "", 10, 1 + maxEchoPosts},
		{settings.SSE, settings.Mixed, "", 500, 1 + 1},
		{settings.WebSocket, settings.Storm, settings.StormSilence, 10, 2},
		{settings.WebSocket, settings.Storm, "reset", 10, 1},
	} {
		r := planned(tt.members, 1, "127.0.0.1:1")
		r.plan.Transport, r.plan.Scenario, r.plan.StormBy, r.plan.Rate, r.plan.EchoShare = tt.transport, tt.scenario, tt.by, 100, 0.2
		if got := r.socketsPerMember(); got != tt.want {
			t.Errorf("%+v: %d sockets", tt, got)
		}
	}
}
