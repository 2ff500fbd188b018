//go:build linux && smoke

// The smoke test starts every server, so it needs what they need: bin/zonecast, and npm ci in
// socketio. Hence the tag:
//
//	GOWORK=off go test -tags smoke -run TestEveryPeer .
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/zonecast/zonecast/loadtest/peers/internal/scenario"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
	"github.com/zonecast/zonecast/loadtest/peers/internal/table"
)

// Every server takes part in all of its scenarios, and no message is lost, doubled or reordered.
func TestEveryPeer(t *testing.T) {
	out := filepath.Join(t.TempDir(), "results.json")
	program := cmp.Or(os.Getenv("ZONECAST_BIN"), "../../bin/zonecast")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--quick", "--zonecast", program, "--baseline", program, "--out", out}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	if code != exitGood {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var result table.Result
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, s := range result.Scenarios {
		for _, peer := range server.Names() {
			if s.Includes(peer) {
				want += s.Rounds
			}
		}
	}
	if len(result.Outcomes) != want {
		t.Errorf("%d outcomes, want %d", len(result.Outcomes), want)
	}
	for i := range result.Outcomes {
		check(t, &result.Outcomes[i])
	}
}

func check(t *testing.T, o *scenario.Outcome) {
	t.Helper()
	switch r := o.Run; {
	case o.Failure != "":
		t.Errorf("%s, %s: %s", o.Scenario, o.Peer, o.Failure)
	case o.ConnectsPerSecond <= 0 || o.Resident <= 0:
		t.Errorf("%s, %s: %+v", o.Scenario, o.Peer, o)
	case r == nil: // idle
	case r.Delivered == 0 || r.Acked != r.Published || r.Lost+r.Duplicates+r.Reordered+r.Damaged > 0 || len(r.Troubles) > 0:
		t.Errorf("%s, %s: %+v", o.Scenario, o.Peer, *r)
	}
}
