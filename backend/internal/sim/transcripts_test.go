//go:build !race

package sim

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// cases are what whoever writes a client wants to see once. Each has a transcript in testdata.
var cases = []struct {
	name, about string
	client      string // its transport
	history     int
	fault       Fault
}{
	{"resume", "A client loses its connection, comes back with its last offset, and receives what it missed before anything newer.",
		"ws", 1000, Fault{Kind: "cut client", At: 3 * time.Second}},
	{"beyond-the-history", "A client is away for longer than what the server keeps (here 2 messages). It is told the gap, from where it was, " +
		"and goes on after it.", "ws", 2, Fault{Kind: "half-open client", At: 3 * time.Second}},
	{"failover", "Redis fails over to a replica that lacks its last writes. The room has a new epoch from then on, and the client is told.",
		"sse", 1000, Fault{Kind: "failover", At: 4 * time.Second, N: 12}},
	{"drain", "An instance leaves. It tells its clients when to come back, and they resume at the other one.",
		"ws", 1000, Fault{Kind: "drain instance", At: 3 * time.Second, For: 5 * time.Second}},
	{"poll", "A client that polls takes the cursor of each answer to the next request, at whichever instance. Each answer has the events after it.",
		"poll", 1000, Fault{Kind: "kill instance", At: 3 * time.Second, For: time.Second}},
}

// moments are the times at the beginning of lines, which change with each change of the code.
var moments = regexp.MustCompile(`(?m)^ *\d+\.\d{6} `)

// The transcripts in testdata are what happens.
func TestTranscripts(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fault := c.fault
			fault.Name = "f1"
			rooms := []string{"zone:w1:a"}
			r := Run(t, &Scenario{Seed: 1, Instances: 2, Clients: []Actor{{"c1", c.client, rooms}}, Publishers: []Actor{{"p1", "keys", rooms}},
				Faults: []Fault{fault}, History: c.history, QueuedBytes: 1 << 20, Window: 64 << 10, Length: 7 * time.Second, Pace: 500 * time.Millisecond})
			for _, v := range r.Violations {
				t.Error(v)
			}
			var got strings.Builder
			got.WriteString("# " + c.about + "\n\n")
			for line := range strings.Lines(moments.ReplaceAllString(r.Transcript, "")) {
				if !strings.HasPrefix(line, "ask-") { // who looks where the rooms stand in the end
					got.WriteString(line)
				}
			}
			file := filepath.Join("testdata", c.name+".txt")
			if *update {
				testkit.Must(t, os.WriteFile(file, []byte(got.String()), 0o600))
			}
			want, err := os.ReadFile(file)
			testkit.Must(t, err)
			if got.String() != string(want) {
				t.Errorf("%s is not what happens; after a look at why, write it anew by: go test ./internal/sim -run TestTranscripts -update\n%s", file,
					firstDifference(string(want), got.String()))
			}
		})
	}
}
