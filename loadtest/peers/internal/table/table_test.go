//go:build linux

package table

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/internal/machine"
	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

var update = flag.Bool("update", false, "write the golden table anew")

func sample() *Result {
	all := scenario.All(scenario.Options{Few: 1000, Many: 10_000})
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
		Peers: []Peer{{server.Zonecast, "Zonecast", "1.0"}, {server.Centrifuge, "Centrifuge", "v0.40.0"},
			{server.SocketIO, "Socket.IO", "4.8.4"}, {server.Write2, "write(2)", "a bare loop"}},
		Scenarios: []scenario.Scenario{all[1], all[2], all[6]},
		Outcomes: []scenario.Outcome{
			{Scenario: "idle-10000", Peer: server.Zonecast, Resident: 100 << 20, ConnectsPerSecond: 12_000},
			{Scenario: "idle-10000", Peer: server.Centrifuge, Resident: 250 << 20, ConnectsPerSecond: 10_000},
			{Scenario: "idle-10000", Peer: server.SocketIO, Failure: "start socketio: it ended without printing its address"},
			{Scenario: "steady-many", Peer: server.Zonecast, Usage: usage(2 * time.Second), Run: run(200_000, 2*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.Centrifuge, Usage: noisy, Run: run(200_000, 4*time.Millisecond)},
			{Scenario: "steady-many", Peer: server.SocketIO, Usage: usage(8 * time.Second), Run: lossy},
			{Scenario: "steady-many", Peer: server.Write2, Invalid: "1 % of the messages were sent more than 8ms late",
				Usage: usage(2 * time.Second), Run: run(200_000, 3*time.Millisecond)},
			{Scenario: "flood", Peer: server.Zonecast, Usage: usage(12 * time.Second), Run: run(60_000_000, 400*time.Millisecond)},
			{Scenario: "flood", Peer: server.Centrifuge, Usage: usage(15 * time.Second), Run: run(15_000_000, 3*time.Second)},
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
	var first, second bytes.Buffer
	if err := sample().WriteMarkdown(&first); err != nil {
		t.Fatal(err)
	}
	if err := again.WriteMarkdown(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("a result that was read back has another table:\n%s", &second)
	}
}
