//go:build linux

package table

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

var update = flag.Bool("update", false, "write the golden table anew")

func sample() *Result {
	chosen := map[string]bool{scenario.IdleMany: true, scenario.SteadyMany: true, scenario.FloodSmall: true}
	all := slices.DeleteFunc(scenario.All(scenario.Options{Few: 1000, Many: 10_000, Rounds: 2}),
		func(s scenario.Scenario) bool { return !chosen[s.Name] })
	run := func(delivered uint64, p99 time.Duration) *scenario.Result {
		return &scenario.Result{Delivered: delivered, Bytes: 200 * delivered, Elapsed: 20 * time.Second,
			Latency: latency.Summary{P50: p99 / 2, P99: p99}}
	}
	usage := func(server time.Duration) *scenario.Usage {
		return &scenario.Usage{Wall: 20 * time.Second, Server: server, Generator: time.Second, Idle: 39*time.Second - server}
	}
	noisy := usage(4 * time.Second)
	noisy.Others = 8 * time.Second
	lossy := run(199_000, 8*time.Millisecond)
	lossy.Lost, lossy.Troubles = 1000, map[string]uint64{"connection: closed with 3008 slow": 10}
	return &Result{
		Started: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		Machine: machine.Description{Cores: 2, Processor: "AMD EPYC", MemoryGiB: 24, Kernel: "6.18", Go: "1.26.8"},
		Peers: []Peer{{server.Zonecast, "Zonecast", "1.0"}, {server.Baseline, "baseline", "0.9"}, {server.Centrifuge, "Centrifuge", "v0.40.0"},
			{server.SocketIO, "Socket.IO", "4.8.4"}, {server.Write2, "write(2)", "a bare loop"}},
		Scenarios: all,
		Outcomes: []scenario.Outcome{
			{Scenario: "idle-many", Peer: server.Zonecast, Resident: 100 << 20, ConnectsPerSecond: 12_000},
			{Scenario: "idle-many", Peer: server.Centrifuge, Resident: 250 << 20, ConnectsPerSecond: 10_000},
			{Scenario: "idle-many", Peer: server.SocketIO, Failure: "start socketio: it ended without printing its address"},
			{Scenario: "idle-many", Peer: server.Zonecast, Round: 1, Resident: 90 << 20, ConnectsPerSecond: 11_000},
			{Scenario: "idle-many", Peer: server.Centrifuge, Round: 1, Resident: 250 << 20, ConnectsPerSecond: 10_000},
			{Scenario: "idle-many", Peer: server.SocketIO, Round: 1, Resident: 200 << 20, ConnectsPerSecond: 3_000},
			{Scenario: "steady-many", Peer: server.Zonecast, Usage: usage(2 * time.Second), Run: run(200_000, 2*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.Centrifuge, Usage: noisy, Run: run(200_000, 4*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.SocketIO, Usage: usage(8 * time.Second), Run: lossy},
			{Scenario: "steady-many", Peer: server.Write2, Invalid: "1 % of the messages were sent more than 8ms late",
				Usage: usage(2 * time.Second), Run: run(200_000, 3*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.Zonecast, Round: 1, Usage: usage(3 * time.Second), Run: run(200_000, 2*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.Centrifuge, Round: 1, Usage: usage(4 * time.Second), Run: run(200_000, 4*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.SocketIO, Round: 1, Usage: usage(8 * time.Second), Run: lossy},
			{Scenario: "steady-many", Peer: server.Write2, Round: 1, Usage: usage(3 * time.Second), Run: run(200_000, 3*time.Millisecond)},
			{Scenario: "flood", Peer: server.Zonecast, Usage: usage(12 * time.Second), Run: run(60_000_000, 400*time.Millisecond)},
			{Scenario: "flood", Peer: server.Centrifuge, Usage: usage(15 * time.Second), Run: run(15_000_000, 3*time.Second)},
			{Scenario: "flood", Peer: server.Baseline, Usage: usage(15 * time.Second), Run: run(50_000_000, 500*time.Millisecond)},
			{Scenario: "flood", Peer: server.Zonecast, Round: 1, Usage: usage(12 * time.Second), Run: run(50_000_000, 400*time.Millisecond)},
			{Scenario: "flood", Peer: server.Baseline, Round: 1, Usage: usage(12 * time.Second), Run: run(50_000_000, 400*time.Millisecond)},
			{Scenario: "flood", Peer: server.Centrifuge, Round: 1, Usage: usage(15 * time.Second), Run: run(15_000_000, 3*time.Second)},
		},
	}
}

func TestWriteMarkdown(t *testing.T) {
	var got bytes.Buffer
	if err := sample().WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.md"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s\nIf this is meant: go test ./internal/table -update", &got, want)
	}
}

func TestWriteJSONKeepsEverything(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Result
	if err := json.Unmarshal(b.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if want := sample(); !reflect.DeepEqual(&again, want) {
		t.Errorf("read back as\n%+v\nwant\n%+v", &again, want)
	}
}

func TestATargetIsMetByTheMedianOfAllRounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		kib  []int64 // of idle connections, by round; 0 for a failed one
		want bool
	}{
		{"below", []int64{9, 9, 9}, true},
		{"on the limit", []int64{10, 10, 10}, true},
		{"most of them below", []int64{9, 12, 10}, true},
		{"most of them above", []int64{11, 9, 11}, false},
		{"one failed", []int64{9, 0, 9}, false},
		{"none", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Result{Peers: []Peer{{Name: server.Zonecast}},
				Scenarios: []scenario.Scenario{{Name: scenario.IdleMany, Kind: scenario.Idle, Connections: 1024, Rounds: 3}}}
			for round, kib := range tt.kib {
				o := scenario.Outcome{Scenario: scenario.IdleMany, Peer: server.Zonecast, Round: round, Resident: kib << 20}
				if kib == 0 {
					o.Failure = "it did not start"
				}
				r.Outcomes = append(r.Outcomes, o)
			}
			if got := r.Met(); got != tt.want {
				t.Errorf("it is met: %v", got)
			}
		})
	}
	if new(Result).Met() {
		t.Error("a run without a scenario that has a target meets them")
	}
	if sample().Met() {
		t.Error("a run with an invalid round meets its targets")
	}
}

func TestMedian(t *testing.T) {
	for want, give := range map[float64][]float64{3: {3}, 2.5: {3, 2}, 2: {9, 1, 2}} {
		if got := median(give); got != want {
			t.Errorf("of %v it is %v", give, got)
		}
	}
}
