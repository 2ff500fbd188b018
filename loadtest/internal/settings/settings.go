// Package settings reads and checks a run's settings: flags, the environment and a scenario file.
//
//	main ──▶ Parse(args) ──▶ Plan       everything checked, every mistake told at once
package settings

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zonecast/zonecast/loadtest/internal/handshake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
)

const (
	Fanout = "fanout" // publish; every member must receive every message
	Echo   = "echo"   // send on each connection in turn; the same connection must have it back
	Mixed  = "mixed"  // both at once
	Idle   = "idle"   // be connected, and nothing else
	Storm  = "storm"  // fanout, while a share of the members loses its connections at once
	Flaky  = "flaky"  // fanout, while each member is offline again and again
	Churn  = "churn"  // fanout, while members leave and others come
	Slow   = "slow"   // fanout, while a share of the members reads slowly
	Ramp   = "ramp"   // fanout, faster and faster, until a threshold is missed
	Flood  = "flood"  // publish as fast as it is answered
)

const (
	Zonecast   = "zonecast"
	SocketIO   = "socketio"
	Centrifugo = "centrifugo"

	WebSocket = "websocket"
	SSE       = "sse"
	Poll      = "poll"
)

const (
	AsAPI    = "api"
	AsClient = "client"
)

// StormSilence is the storm in which old connections are neither closed nor read.
const StormSilence = "silence"

// A Plan is a run that can be carried out. Each setting is a flag, an environment variable and a
// name in scenario files: this is the documentation. Parse derives from what ends in Flag.
type Plan struct {
	File string `short:"f" env:"SCENARIO_FILE" placeholder:"FILE" help:"A YAML file of settings, named like the flags; flags and the environment take precedence."`

	Scenario    string        `enum:"fanout,echo,mixed,idle,storm,flaky,churn,slow,ramp,flood" default:"fanout" env:"SCENARIO" help:"What to do: fanout, echo, mixed, idle, storm, flaky, churn, slow, ramp or flood; docs/load-testing.md describes each."`
	WSURLs      []string      `name:"ws-url" env:"WS_URL" default:"ws://127.0.0.1:3001/ws" placeholder:"URL" help:"Where members connect; http:// is understood too, and /ws is added to an address without a path. Several instances, separated by commas or by repeating the flag, share members and publishing evenly."`
	Protocol    string        `enum:"zonecast,socketio,centrifugo" default:"zonecast" env:"PROTOCOL" help:"Protocol of the server: zonecast, socketio or centrifugo."`
	Transport   string        `enum:"websocket,sse,poll" default:"websocket" env:"TRANSPORT" help:"How members of Zonecast receive: websocket, sse or poll. The path /ws of their addresses becomes /sse or /poll."`
	Deflate     bool          `env:"DEFLATE" help:"Ask for per-message deflate."`
	Connections int           `env:"CONNECTIONS" default:"1000" help:"Number of members."`
	Rate        float64       `name:"msg-per-sec" env:"MSG_PER_SEC" default:"100" help:"Messages per second, of all publishers (fanout) or all connections (echo) together."`
	Duration    time.Duration `env:"DURATION" default:"60s" help:"How long to send, like 60s or 5m; a plain number is seconds."`
	Warehouse   string        `env:"WAREHOUSE" default:"warehouse-1" help:"The warehouse that members join."`
	Zone        string        `env:"ZONE" default:"zone-a" help:"The zone that members join and messages go to; empty for the warehouse's own room."`
	Warehouses  int           `env:"WAREHOUSES" default:"1" help:"How many warehouses: warehouse-1, warehouse-2 …, counted on from the one given."`
	Zones       int           `env:"ZONES" default:"1" help:"How many zones of each warehouse: zone-a, zone-b …, counted on from the one given."`
	Zipf        float64       `env:"ZIPF" default:"0" help:"Spread members and messages over the rooms by Zipf's law with this exponent, like 1; 0 spreads them evenly."`

	PublishAs    string        `enum:"api,client" default:"api" env:"PUBLISH_AS" help:"Publish through the HTTP API (api), or as clients by frames (client)."`
	PublishURLs  []string      `name:"publish-url" env:"PUBLISH_URL" placeholder:"URL" help:"Where to publish, like http://127.0.0.1:3001; derived from WS_URL if not given. Several take turns."`
	Publishers   int           `env:"PUBLISHERS" default:"16" help:"Maximum publishes in flight; with --publish-as client, the number of publishing clients."`
	Batch        int           `env:"BATCH" default:"1" help:"Maximum messages in one publish request, of those that wait for a free publisher."`
	PublishKey   string        `env:"PUBLISH_KEY" help:"The API key to publish with."`
	Token        string        `env:"TOKEN" help:"The token that members connect with."`
	CAFile       string        `name:"ca" env:"CA_FILE" placeholder:"FILE" help:"CA certificates (PEM) to verify servers with (wss, https). Default: those of the system."`
	HeaderFlags  []string      `name:"header" env:"HEADER" sep:"none" placeholder:"NAME: VALUE" help:"A header of each request, what opens connections included, like 'X-Forwarded-For: 192.0.2.7'. Repeatable."`
	PayloadBytes int           `env:"PAYLOAD_BYTES" default:"128" help:"Payload size in bytes."`
	ConnectRate  float64       `env:"CONNECT_RATE" default:"500" help:"Connections to open per second."`
	Settle       time.Duration `env:"SETTLE" default:"5s" help:"How long to wait at the end for messages in flight."`
	Reconnect    time.Duration `env:"RECONNECT" default:"10s" help:"How long a disconnected member tries to reconnect and resume from its last offset; 0 to not reconnect."`
	MaxErrors    uint64        `env:"MAX_ERRORS" default:"1000" help:"End the run after this many refused or unanswered messages; 0 for never."`

	EchoShareFlag string        `name:"echo-share" env:"ECHO_SHARE" default:"20%" help:"mixed: the share of the messages that are echoes."`
	ShareFlag     string        `name:"share" env:"SHARE" help:"storm, slow: the share of the members affected (100% and 10% if not given)."`
	StormBy       string        `enum:"reset,close,silence" default:"reset" env:"STORM_BY" help:"storm: how connections end: reset (TCP RST), close (a close frame) or silence (neither closed nor read)."`
	Offline       time.Duration `env:"OFFLINE" default:"2s" help:"flaky: how long a member is offline each time."`
	Every         time.Duration `env:"EVERY" default:"15s" help:"flaky: how often each member goes offline."`
	ChurnRate     float64       `env:"CHURN_RATE" default:"10" help:"churn: members that leave and are replaced, per second."`
	SlowBytes     int           `env:"SLOW_BYTES" default:"4096" help:"slow: bytes that a slow member reads per second."`
	RampFactor    float64       `env:"RAMP_FACTOR" default:"1.5" help:"ramp: factor of the rate from one step to the next."`
	RampMax       float64       `env:"RAMP_MAX" default:"100000" help:"ramp: highest rate that is tried."`
	Step          time.Duration `env:"STEP" default:"10s" help:"ramp: how long a step takes."`
	Window        int           `env:"WINDOW" default:"64" help:"flood: unacknowledged messages per publisher."`

	Workers       int      `env:"WORKERS" default:"0" help:"Number of processes that share the members; 0 for as many as the descriptors require."`
	WorkerAt      []string `env:"WORKER_AT" placeholder:"HOST:PORT" help:"Processes on other machines, started there with: loadtest worker --listen HOST:PORT."`
	WorkerKeyFlag string   `name:"worker-key" env:"WORKER_KEY" placeholder:"KEY" help:"The secret that this and the workers of --worker-at share, 16 characters or more, or @FILE for a file that has it. Others on this machine can read arguments: use the environment or a file."`
	SourceFlags   []string `name:"source-address" env:"SOURCE_ADDRESS" placeholder:"ADDRESS" help:"Local addresses to connect from, in turns; prefixes such as 10.0.0.8/29 are expanded. For servers in 127.0.0.0/8 they are chosen automatically."`
	ServerPIDs    []int    `name:"server-pid" env:"SERVER_PID" placeholder:"PID" help:"Processes of the server on this machine, for their memory and CPU from /proc; from /metrics if not given."`

	MaxLag time.Duration `env:"MAX_LAG" default:"20ms" help:"Highest p99 of the load tester's own send delay; above it the run is invalid (exit code 3), since the load tester was the bottleneck."`

	ThresholdFlags []string `name:"threshold" env:"THRESHOLD" placeholder:"CONDITION" help:"A condition on the result, like 'latency.p95<100ms' or 'delivered>=99.9%'; exit code 99 if it is not met. Repeatable."`
	JSONFile       string   `name:"json" env:"JSON_FILE" placeholder:"FILE" help:"Write the result to this file as JSON."`
	CSVFile        string   `name:"csv" env:"CSV_FILE" placeholder:"FILE" help:"Write one line per second to this file as CSV."`
	HDRFile        string   `name:"hdr" env:"HDR_FILE" placeholder:"FILE" help:"Write each second's latencies to this file as an HDR histogram log."`
	HistoryFile    string   `name:"history" env:"HISTORY_FILE" placeholder:"FILE" help:"Write what each member and publisher saw to this file, a line for each delivery: zonecast check-history FILE judges it."`
	HTMLFile       string   `name:"html" env:"HTML_FILE" placeholder:"FILE" help:"Write a self-contained HTML page with charts to this file."`

	// Derived by Parse. WSURLs get the transport's path and lose their room.
	Name         string             `kong:"-"` // of the scenario file
	About        string             `kong:"-"`
	PublishBases []string           `kong:"-"` // of the HTTP API; empty if it is not used
	Rooms        []string           `kong:"-"`
	Grace        time.Duration      `kong:"-"` // how long after the end messages that are due still go out
	EchoShare    float64            `kong:"-"` // of Rate
	Share        float64            `kong:"-"`
	WorkerKey    handshake.Key      `kong:"-"`
	CA           []byte             `kong:"-"` // PEM
	Header       string             `kong:"-"` // the lines of HeaderFlags, each with its end
	Sources      []netip.Addr       `kong:"-"`
	Thresholds   []report.Threshold `kong:"-"`
}

// Publishes reports whether the scenario publishes anything.
func (p *Plan) Publishes() bool { return p.Scenario != Echo && p.Scenario != Idle }

// ErrHelp is the error of Parse when the help was asked for and written.
var ErrHelp = errors.New("help was asked for")

// Parse reads a plan from arguments, the environment and the file that they name. Help goes to out.
func Parse(args []string, out io.Writer) (Plan, error) {
	var p Plan
	var helped bool
	file := &file{}
	parser, err := kong.New(&p,
		kong.Name("loadtest"),
		kong.Description("Load test of a Zonecast server: what it delivers, how fast, and whether all of it.\n\n"+
			"loadtest compare A.json B.json compares two results. loadtest worker --listen HOST:PORT waits for work from another machine. "+
			"loadtest --version says which one this is.\n\n"+
			"Exit codes: 0 good; 1 the run failed; 2 bad settings or no server there; 3 the load tester was the bottleneck, so "+
			"the figures are not the server's; 99 a threshold was missed."),
		kong.Writers(out, out), kong.Exit(func(int) { helped = true }), kong.Resolvers(file), readValues())
	if err != nil {
		return Plan{}, fmt.Errorf("set up the flags: %w", err)
	}
	args = joinNegatives(args)
	if err := file.open(fileName(args)); err != nil {
		return Plan{}, err
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return Plan{}, ErrHelp
	case err != nil:
		return Plan{}, fmt.Errorf("%w (--help lists the settings)", file.nameFile(err))
	}
	p.Name, p.About = file.name, file.about
	return p, file.nameFileInEach(p.complete())
}
