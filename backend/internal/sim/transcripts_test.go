//go:build !race

package sim

import (
	"cmp"
	"flag"
	"fmt"
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
	scenario    Scenario
}{
	{"resume", "A client loses its connection, comes back with its last offset, and receives what it missed before anything newer.",
		"ws", Scenario{Faults: []Fault{{Kind: "away client", At: 3 * time.Second, For: 2 * time.Second}}}},
	{"beyond-the-history", "A client is away for longer than what the server keeps (here 2 messages). It is told the gap, from where it was, " +
		"and goes on after it.", "ws", Scenario{History: 2, Faults: []Fault{{Kind: "away client", At: 3 * time.Second, For: 4 * time.Second}}}},
	{"failover", "Redis fails over to a replica that lacks its last writes. The room has a new epoch from then on, and the client is told.",
		"sse", Scenario{Faults: []Fault{{Kind: "failover", At: 4 * time.Second, N: 12}}}},
	{"empty-redis", "Redis comes back empty. Epochs tell it, even to a client that was away and comes back with an offset of before.",
		"ws", Scenario{Faults: []Fault{{Kind: "away client", At: 3 * time.Second, For: 2 * time.Second}, {Kind: "empty redis", At: 4 * time.Second}}}},
	{"demoted-master", "An instance stays subscribed to a master that was demoted and tells nothing any more. It finds what is missing by the offsets.",
		"ws", Scenario{Faults: []Fault{{Kind: "demote", At: 3 * time.Second}}}},
	{"drain", "An instance leaves. It tells its clients when to come back, and they resume at the other one.",
		"ws", Scenario{Faults: []Fault{{Kind: "drain instance", At: 3 * time.Second, For: 5 * time.Second}}}},
	{"poll", "A client that polls takes the cursor of each answer to the next request, at whichever instance. Each answer has the events after it.",
		"poll", Scenario{Faults: []Fault{{Kind: "kill instance", At: 3 * time.Second, For: time.Second}}}},
	{"slow-consumer", "A client reads nothing for a while, and more waits for it than the server keeps for one connection. What was replaced by " +
		"newer events of the same name is conflated, and it is told so.",
		"ws", Scenario{QueuedBytes: 4 << 10, Window: 1 << 10, Pace: 100 * time.Millisecond, Length: 6 * time.Second,
			Faults: []Fault{{Kind: "sleep client", At: 3 * time.Second, For: 2500 * time.Millisecond}}}},
}

// moments are the times at the beginning of lines, which change with each change of the code.
var moments = regexp.MustCompile(`(?m)^ *\d+\.\d{6} `)

// The transcripts in testdata are what happens.
func TestTranscripts(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := c.scenario
			rooms := []string{"zone:w1:a"}
			s.Seed, s.Instances = 1, 2
			s.Clients, s.Publishers = []Actor{{"c1", c.client, rooms}}, []Actor{{"p1", "keys", rooms}}
			s.History, s.QueuedBytes, s.Window = cmp.Or(s.History, 1000), cmp.Or(s.QueuedBytes, 1<<20), cmp.Or(s.Window, 64<<10)
			s.Length, s.Pace = cmp.Or(s.Length, 7*time.Second), cmp.Or(s.Pace, 500*time.Millisecond)
			s.Linger = 2 * time.Second
			for i := range s.Faults {
				s.Faults[i].Name = fmt.Sprintf("f%d", i+1)
			}
			r := Run(t, &s)
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
