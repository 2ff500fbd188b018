// Package settings reads and checks what a run is asked to do, from flags and the environment.
//
//	main ──▶ Parse(args) ──▶ Plan       everything checked, every mistake told at once
package settings

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/threshold"
)

// The scenarios.
const (
	Fanout = "fanout" // publish through the HTTP API; every member must receive every message
	Echo   = "echo"   // send on each connection in turn; the same connection must have it back
)

// flags is what can be set, each as a flag and in the environment: this struct is the documentation.
type flags struct {
	Scenario    string   `enum:"fanout,echo" default:"fanout" env:"SCENARIO" help:"What to do: fanout publishes through the HTTP API to the zone's room, and every member must receive everything; echo sends a round trip on one connection after the other."`
	WSURL       []string `name:"ws-url" env:"WS_URL" default:"ws://127.0.0.1:3001/ws" placeholder:"URL" help:"Where members connect; http:// is understood too, and /ws is added to an address without a path. Several instances, separated by commas or by repeating the flag, share members and publishing evenly."`
	Connections int      `env:"CONNECTIONS" default:"1000" help:"How many members."`
	MsgPerSec   float64  `env:"MSG_PER_SEC" default:"100" help:"Messages per second, of all publishers (fanout) or all connections (echo) together."`
	Duration    span     `env:"DURATION" default:"60s" help:"How long to send, like 60s or 5m; a plain number is seconds."`
	Warehouse   string   `env:"WAREHOUSE" default:"warehouse-1" help:"The warehouse that members join."`
	Zone        string   `env:"ZONE" default:"zone-a" help:"The zone that members join and messages go to; empty for the warehouse's own room."`

	PublishURL   []string `name:"publish-url" env:"PUBLISH_URL" placeholder:"URL" help:"Where to publish, like http://127.0.0.1:3001; derived from WS_URL if not given. Several take turns."`
	Publishers   int      `env:"PUBLISHERS" default:"16" help:"How many messages may be on their way to the server at once."`
	PublishKey   string   `env:"PUBLISH_KEY" help:"The API key to publish with."`
	Token        string   `env:"TOKEN" help:"The token that members connect with."`
	PayloadBytes int      `env:"PAYLOAD_BYTES" default:"128" help:"Bytes of data in each message."`
	ConnectRate  float64  `env:"CONNECT_RATE" default:"500" help:"Connections to open per second."`
	Settle       span     `env:"SETTLE" default:"5s" help:"How long to wait at the end for messages that are still on their way."`
	Reconnect    span     `env:"RECONNECT" default:"10s" help:"How long a member that lost its connection tries to come back, to go on from its last offset; 0 for not at all."`
	MaxErrors    uint64   `env:"MAX_ERRORS" default:"1000" help:"End the run after this many messages that the server refused or did not answer; 0 for never."`

	Threshold []string `env:"THRESHOLD" placeholder:"CONDITION" help:"What the result must fulfil, like 'latency.p95<100ms' or 'delivered>=99.9%'; exit code 99 if it does not. Repeatable."`
	JSON      string   `name:"json" env:"JSON_FILE" placeholder:"FILE" help:"Write the result there as JSON."`
}

// A Plan is a run that can be carried out.
type Plan struct {
	Scenario     string
	WSURLs       []string // with the room in the query, which joins it
	ResumeURLs   []string // the same ones without it: a member that comes back subscribes from its last offset
	PublishBases []string // of the HTTP API; empty with Echo
	Room         wire.Room
	Connections  int
	Rate         float64 // messages per second
	Duration     time.Duration
	Publishers   int
	PublishKey   string
	Token        string
	PayloadBytes int
	ConnectRate  float64 // connections per second
	Settle       time.Duration
	Reconnect    time.Duration
	MaxErrors    uint64
	Thresholds   []threshold.Threshold
	JSONFile     string
}

// ErrHelp is the error of Parse when the help was asked for and written.
var ErrHelp = errors.New("help was asked for")

// Parse reads a plan from arguments and the environment. Help goes to out.
func Parse(args []string, out io.Writer) (Plan, error) {
	var f flags
	var helped bool
	parser, err := kong.New(&f,
		kong.Name("loadtest"),
		kong.Description("Load test of a Zonecast server: what it delivers, how fast, and whether all of it.\n\n"+
			"Exit codes: 0 good; 1 the run failed; 2 bad settings or no server there; 99 a threshold was missed."),
		kong.Writers(out, out),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return Plan{}, fmt.Errorf("set up the flags: %w", err)
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return Plan{}, ErrHelp
	case err != nil:
		return Plan{}, fmt.Errorf("%w (--help lists the settings)", err)
	}
	return f.plan()
}

// A span is a duration as people write it: 90s, 5m, or seconds as a plain number.
type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	if seconds, err := strconv.ParseFloat(string(text), 64); err == nil {
		*s = span(seconds * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write it like 60s or 5m", text)
	}
	*s = span(d)
	return nil
}
