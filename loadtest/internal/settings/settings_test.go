package settings

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parse parses with this environment and none of the machine's own settings.
func parse(t *testing.T, env map[string]string, args ...string) (Plan, error) {
	t.Helper()
	parser, err := kong.New(&Plan{})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range parser.Model.Flags {
		for _, name := range flag.Envs {
			t.Setenv(name, "") // restores it after the test
			os.Unsetenv(name)
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	return Parse(args, &bytes.Buffer{})
}

func TestFlagsAndEnvironmentAlike(t *testing.T) {
	defaults := Plan{
		Scenario:     Fanout,
		WSURLs:       []string{"ws://127.0.0.1:3001/ws"},
		PublishBases: []string{"http://127.0.0.1:3001"},
		Rooms:        []string{"zone:warehouse-1:zone-a"},
		Connections:  1000, Rate: 100, Duration: time.Minute, Publishers: 16, PayloadBytes: 128, ConnectRate: 500,
		Settle: 5 * time.Second, Reconnect: 10 * time.Second, MaxErrors: 1000,
	}
	own := Plan{
		Scenario:     Fanout,
		WSURLs:       []string{"wss://a.example/zc/ws", "ws://b.example:81/ws"},
		PublishBases: []string{"https://a.example/zc", "http://b.example:81"},
		Rooms:        []string{"warehouse:w2"},
		Connections:  20, Rate: 2.5, Duration: 90 * time.Second, Publishers: 3, PublishKey: "k", Token: "t",
		PayloadBytes: 4096, ConnectRate: 10, Reconnect: 30 * time.Second, JSONFile: "out.json",
		ThresholdFlags: []string{"lost==0", "delivered>=99.9%"},
	}
	env := map[string]string{
		"WS_URL": "wss://a.example/zc/ws,ws://b.example:81/ws", "CONNECTIONS": "20", "MSG_PER_SEC": "2.5", "DURATION": "90",
		"WAREHOUSE": "w2", "ZONE": "", "PUBLISHERS": "3", "PUBLISH_KEY": "k", "TOKEN": "t", "PAYLOAD_BYTES": "4096",
		"CONNECT_RATE": "10", "SETTLE": "0", "RECONNECT": "30", "MAX_ERRORS": "0", "THRESHOLD": "lost==0,delivered>=99.9%",
		"JSON_FILE": "out.json",
	}
	flags := []string{
		"--ws-url", "wss://a.example/zc/ws", "--ws-url", "ws://b.example:81/ws", "--connections", "20", "--msg-per-sec", "2.5",
		"--duration", "1m30s", "--warehouse", "w2", "--zone", "", "--publishers", "3", "--publish-key", "k", "--token", "t",
		"--payload-bytes", "4096", "--connect-rate", "10", "--settle", "0s", "--reconnect", "30s", "--max-errors", "0",
		"--threshold", "lost==0", "--threshold", "delivered>=99.9%", "--json", "out.json",
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		want Plan
	}{
		{"defaults", nil, nil, defaults}, {"environment", env, nil, own}, {"flags", nil, flags, own},
		{"flags win", map[string]string{"CONNECTIONS": "7", "ZONE": "zone-b", "THRESHOLD": "lost<5"}, flags, own},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parse(t, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			got := Plan{
				Scenario: p.Scenario, WSURLs: p.WSURLs, PublishBases: p.PublishBases, Rooms: p.Rooms, Connections: p.Connections,
				Rate: p.Rate, Duration: p.Duration, Publishers: p.Publishers, PublishKey: p.PublishKey, Token: p.Token,
				PayloadBytes: p.PayloadBytes, ConnectRate: p.ConnectRate, Settle: p.Settle, Reconnect: p.Reconnect,
				MaxErrors: p.MaxErrors, JSONFile: p.JSONFile,
			}
			for _, limit := range p.Thresholds {
				got.ThresholdFlags = append(got.ThresholdFlags, limit.String())
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("plan\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		give     []string
		ws, http []string
	}{
		{"members on two, publishing to one of them",
			[]string{"--ws-url=ws://h:1/ws,ws://h:2/ws", "--publish-url=http://h:1"},
			[]string{"ws://h:1/ws", "ws://h:2/ws"}, []string{"http://h:1"}},
		{"one publish address for two paths of one host", []string{"--ws-url=ws://h:1/ws,ws://h:1/ws"},
			[]string{"ws://h:1/ws", "ws://h:1/ws"}, []string{"http://h:1"}},
		{"a query is kept, but for the room", []string{"--ws-url=ws://h:1/ws?userId=u&zone=other"},
			[]string{"ws://h:1/ws?userId=u"}, []string{"http://h:1"}},
		{"another path with its publish address", []string{"--ws-url=ws://h:1/socket", "--publish-url=http://h:1/zc/"},
			[]string{"ws://h:1/socket"}, []string{"http://h:1/zc"}},
		{"http addresses without a path", []string{"--ws-url=http://h:1,https://h:2/"},
			[]string{"ws://h:1/ws", "wss://h:2/ws"},
			[]string{"http://h:1", "https://h:2"}},
		{"Server-Sent Events", []string{"--ws-url=ws://h:1/zc/ws,wss://h:2", "--transport=sse"},
			[]string{"http://h:1/zc/sse", "https://h:2/sse"}, []string{"http://h:1/zc", "https://h:2"}},
		{"long polls", []string{"--ws-url=ws://h:1/ws", "--transport=poll"}, []string{"http://h:1/poll"}, []string{"http://h:1"}},
		{"Socket.IO", []string{"--ws-url=http://h:1", "--protocol=socketio"}, []string{"ws://h:1/socket.io/"}, nil},
		{"Centrifugo", []string{"--ws-url=http://h:1", "--protocol=centrifugo"}, []string{"ws://h:1/connection/websocket"}, nil},
		{"published by clients", []string{"--ws-url=ws://h:1", "--publish-as=client"}, []string{"ws://h:1/ws"}, nil},
		{"echo publishes nowhere", []string{"--ws-url=ws://h:1/socket", "--scenario=echo"},
			[]string{"ws://h:1/socket"}, nil},
	} {
		got, err := parse(t, nil, tt.give...)
		if err != nil || !slices.Equal(got.WSURLs, tt.ws) || !slices.Equal(got.PublishBases, tt.http) {
			t.Errorf("%s: %v\n got %q %q\nwant %q %q", tt.name, err, got.WSURLs, got.PublishBases, tt.ws, tt.http)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		want []string // one for each line
	}{
		{"no connections", map[string]string{"CONNECTIONS": "0"}, nil, []string{"--connections (CONNECTIONS) is 0: give a number above 0"}},
		{"a negative rate", map[string]string{"MSG_PER_SEC": "-5"}, nil, []string{"--msg-per-sec (MSG_PER_SEC) is -5"}},
		{"a rate that is no number", nil, []string{"--msg-per-sec=NaN"}, []string{"--msg-per-sec (MSG_PER_SEC) is NaN"}},
		{"an endless rate", nil, []string{"--msg-per-sec=+Inf"},
			[]string{"--msg-per-sec (MSG_PER_SEC) is +Inf", "a run holds less than"}},
		{"words for a number", nil, []string{"--connections", "ten"}, []string{`--connections: "ten" is not a whole number: write it like 1000`}},
		{"words for a number in the environment", map[string]string{"CONNECTIONS": "many"}, nil,
			[]string{`--connections: "many" is not a whole number: write it like 1000 (from envar CONNECTIONS="many")`}},
		{"a part of a connection", nil, []string{"--connections=10.5"}, []string{`--connections: "10.5" is not a whole number`}},
		{"a number that is none", nil, []string{"--connections=NaN"}, []string{`--connections: "NaN" is not a whole number`}},
		{"too many", nil, []string{"--connections=1e300"}, []string{`--connections: "1e300" is too much`}},
		{"more than there are numbers", nil, []string{"--connections=1e999"}, []string{`--connections: "1e999" is too much`}},
		{"more than there may be", nil, []string{"--connections=1e8"}, []string{"--connections (CONNECTIONS) is 100000000: give a number above 0 and up to 10000000"}},
		{"nothing for a number", map[string]string{"CONNECTIONS": ""}, nil, []string{"--connections: it is empty: write it like 1000, or leave it out"}},
		{"a number that is missing", nil, []string{"--connections"}, []string{"--connections: a value is missing: write it like 1000"}},
		{"a flag for a number", nil, []string{"--connections", "--deflate"}, []string{"--connections: a value is missing: write it like 1000"}},
		{"a negative number by itself", nil, []string{"--connections", "-5"}, []string{"--connections (CONNECTIONS) is -5: give a number above 0"}},
		{"a negative exponent", nil, []string{"--zipf=-0.5"}, []string{"--zipf (ZIPF) is -0.5: give a number from 0 to 10"}},
		{"an exponent that is none", nil, []string{"--zipf=NaN"}, []string{"--zipf (ZIPF) is NaN"}},
		{"too many workers", nil, []string{"--workers=2000"}, []string{"--workers (WORKERS) is 2000: give a number from 0 to 1000"}},
		{"a latency of nothing", nil, []string{"--scenario=idle", "--threshold=latency.p95<1s"},
			[]string{`threshold "latency.p95<1s": scenario idle never measures latency, so it could not be met`}},
		{"the CPU of nothing", nil, []string{"--scenario=idle", "--threshold=server.cpu<10,server.kib<12"}, []string{"never measures server.cpu"}},
		{"the memory of a ramp's steps", nil, []string{"--scenario=ramp", "--threshold=server.kib<10"}, []string{"scenario ramp never measures server"}},
		{"the last receiver of those that leave", nil, []string{"--scenario=churn", "--threshold=completion.max<1s"}, []string{"never measures completion"}},
		{"words for a rate", nil, []string{"--msg-per-sec=fast"}, []string{`--msg-per-sec: "fast" is not a number: write it like 100`}},
		{"words for a process", nil, []string{"--server-pid=7,me"}, []string{`--server-pid: "me" is not a whole number: write it like 1000`}},
		{"a time that is none", nil, []string{"--duration=NaN"}, []string{`"NaN" is not a duration`}},
		{"a time without end", nil, []string{"--duration=Inf"}, []string{`"Inf" is longer than 720h0m0s`}},
		{"a time too long", nil, []string{"--duration=1e12"}, []string{`"1e12" is longer than 720h0m0s`}},
		{"no time", nil, []string{"--duration=0s"}, []string{"--duration (DURATION) is 0s"}},
		{"a negative time", nil, []string{"--duration=-1m"}, []string{"--duration (DURATION) is -1m0s"}},
		{"words for a time", map[string]string{"DURATION": "long"}, nil, []string{`"long" is not a duration: write it like 60s`}},
		{"a negative settle time", nil, []string{"--settle=-1s"}, []string{"--settle (SETTLE) is -1s"}},
		{"a negative reconnect time", nil, []string{"--reconnect=-1s"}, []string{"--reconnect (RECONNECT) is -1s"}},
		{"no publishers", nil, []string{"--publishers=0"}, []string{"--publishers (PUBLISHERS) is 0"}},
		{"no connect rate", nil, []string{"--connect-rate=0"}, []string{"--connect-rate (CONNECT_RATE) is 0"}},
		{"too little payload", nil, []string{"--payload-bytes=10"}, []string{"--payload-bytes (PAYLOAD_BYTES) is 10: give 67 to 1048576"}},
		{"too much payload", nil, []string{"--payload-bytes=2000000"}, []string{"--payload-bytes (PAYLOAD_BYTES) is 2000000"}},
		{"negative errors", nil, []string{"--max-errors", "-1"}, []string{`--max-errors: "-1" is below 0: write it like 1000`}},
		{"an unknown scenario", nil, []string{"--scenario=hurricane"}, []string{`--scenario must be one of "fanout","echo"`}},
		{"no rooms", nil, []string{"--zones=0"}, []string{"--warehouses (WAREHOUSES) is 1 and --zones (ZONES) 0"}},
		{"too many rooms", nil, []string{"--zones=1000", "--warehouses=1000"}, []string{"at most 100000 rooms"}},
		{"zones without a name", nil, []string{"--zones=2", "--zone="}, []string{"--zone (ZONE) is empty"}},
		{"a share without its sign", nil, []string{"--share=0.1"}, []string{`--share (SHARE) is "0.1": give a percentage`}},
		{"a share above all", nil, []string{"--echo-share=101%"}, []string{"--echo-share (ECHO_SHARE)"}},
		{"offline for longer than there is time", nil, []string{"--scenario=flaky", "--offline=20s"}, []string{"--offline (OFFLINE) is 20s of every 15s"}},
		{"a ramp to nowhere", nil, []string{"--scenario=ramp"}, []string{"give a --threshold"}},
		{"a ramp that begins above its end", nil, []string{"--scenario=ramp", "--threshold=lost==0", "--msg-per-sec=100", "--ramp-max=50"}, []string{"--ramp-max (RAMP_MAX) is 50, less than the 100"}},
		{"a ramp that does not rise", nil, []string{"--ramp-factor=1"}, []string{"--ramp-factor (RAMP_FACTOR) is 1"}},
		{"a flood over SSE", nil, []string{"--scenario=flood", "--transport=sse"}, []string{"use websocket"}},
		{"echo to Socket.IO", nil, []string{"--scenario=echo", "--protocol=socketio"}, []string{"needs an echo"}},
		{"batches of clients", nil, []string{"--publish-as=client", "--batch=2"}, []string{"use --publish-as api"}},
		{"batches of a flood", nil, []string{"--scenario=flood", "--batch=2"}, []string{"clients publish one message in each frame"}},
		{"a history of several processes", nil, []string{"--history=h.jsonl", "--workers=2"}, []string{"--history (HISTORY_FILE) is written by one process"}},
		{"a history without offsets", nil, []string{"--history=h.jsonl", "--protocol=socketio"}, []string{"needs offsets, which socketio does not give"}},
		{"a worker elsewhere without a key", nil, []string{"--worker-at=10.0.0.2:7070"}, []string{"set WORKER_KEY"}},
		{"a worker by name without a key", nil, []string{"--worker-at=machine-2:7070"}, []string{"set WORKER_KEY"}},
		{"a worker without a port", nil, []string{"--worker-at=localhost"}, []string{"write it like 10.0.0.2:7070"}},
		{"a short key", map[string]string{"WORKER_KEY": "short"}, nil, []string{"it has 5 characters"}},
		{"no address to come from", nil, []string{"--source-address=here"}, []string{"is no address"}},
		{"a file that is not there", nil, []string{"--file=nowhere.yaml"}, []string{"name a scenario file that is there"}},
		{"an unknown flag", nil, []string{"--conections=5"}, []string{"unknown flag --conections"}},
		{"a stray word", nil, []string{"fast"}, []string{"unexpected argument fast"}},
		{"a bad warehouse", nil, []string{"--warehouse=a b"}, []string{`warehouse name "a b"`}},
		{"no warehouse", nil, []string{"--warehouse="}, []string{"warehouse is missing"}},
		{"a bad zone", nil, []string{"--zone=a:b"}, []string{`zone name "a:b"`}},
		{"another scheme", nil, []string{"--ws-url=tcp://h/ws"},
			[]string{`WebSocket address "tcp://h/ws" must begin with ws://, wss://, http:// or https://: write it like ws://127.0.0.1:3001/ws (--ws-url, WS_URL)`}},
		{"no scheme", nil, []string{"--ws-url=127.0.0.1:3001"}, []string{`WebSocket address "127.0.0.1:3001" is not a URL`}},
		{"no host", nil, []string{"--ws-url=ws:///ws"}, []string{"names no host"}},
		{"a password in the address", nil, []string{"--ws-url=ws://u:p@h/ws"}, []string{"has a user name in it"}},
		{"a fragment", nil, []string{"--ws-url=ws://h/ws#top"}, []string{"has a # in it"}},
		{"no way to derive the publish address", nil, []string{"--ws-url=ws://h/socket"}, []string{"does not end in /ws"}},
		{"ws for publishing", nil, []string{"--publish-url=ws://h"}, []string{`publish address "ws://h" must begin with http:// or https://`}},
		{"the API's path for publishing", nil, []string{"--publish-url=http://h/api/v1/broadcast"}, []string{"leave it out"}},
		{"fewer members than addresses", nil, []string{"--connections=1", "--ws-url=ws://h:1/ws,ws://h:2/ws"},
			[]string{"1 connections can't be spread over 2 WebSocket addresses"}},
		{"more messages than numbers", nil, []string{"--msg-per-sec=1000000", "--duration=2h"}, []string{"are 7200000000 messages"}},
		{"echo and a publish address", nil, []string{"--scenario=echo", "--publish-url=http://h"}, []string{"scenario echo publishes nothing"}},
		{"echo and a threshold for publishing", nil, []string{"--scenario=echo", "--threshold=publish.p95<1s"}, []string{"scenario echo never measures publish"}},
		{"a bad threshold", nil, []string{"--threshold=latency.p95<fast"}, []string{"a duration like 100ms"}},
		{"several at once", map[string]string{"CONNECTIONS": "-1", "DURATION": "-1"}, []string{"--zone=!", "--threshold=x", "--ws-url=ftp://h"},
			[]string{"zone name", "CONNECTIONS", "DURATION", "ftp://h", "threshold"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.env, tt.args...)
			if err == nil {
				t.Fatal("nothing was found wrong")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Errorf("%d lines, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i := range min(len(lines), len(tt.want)) {
				if !strings.Contains(lines[i], tt.want[i]) {
					t.Errorf("line %d is %q, want it to say %q", i+1, lines[i], tt.want[i])
				}
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := Parse([]string{"--help"}, &out); !errors.Is(err, ErrHelp) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"--ws-url", "$WS_URL", "$MSG_PER_SEC", "99.9%'", "Exit codes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help does not say %q", want)
		}
	}
}

// The file gives what neither a flag nor the environment does.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: Rush hour\nabout: |\n  Two lines\n  of text.\nconnections: 50\nmsg-per-sec: 7\nduration: 9s\nzones: 3\n" +
		"threshold:\n  - latency.p95<100ms\n  - delivered==100%\n")
	got, err := parse(t, map[string]string{"MSG_PER_SEC": "8"}, "--file", name, "--duration=10s")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Rush hour" || got.About != "Two lines\nof text." || got.Connections != 50 || got.Rate != 8 || got.Duration != 10*time.Second ||
		len(got.Rooms) != 3 || len(got.Thresholds) != 2 {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"conections: 5":          "there is no setting conections; there are scenario, ws-url",
		"connections: {a: 1}":    "connections: a list or a single value belongs here",
		"connections: [":         "write one setting a line",
		"- connections":          "write one setting a line",
		"connections: many":      "s.yaml: connections: \"many\" is not a whole number",
		"connections: 1.5":       "s.yaml: connections: ",
		"connections:":           "s.yaml: connections: ",
		"deflate: perhaps":       "s.yaml: deflate: ",
		"duration: soon":         "s.yaml: duration: ",
		"scenario: dance":        "s.yaml: scenario must be one of",
		"zone: a\n---\nzone: b":  "write one scenario in each file",
		"zone: a\nzone: b":       `mapping key "zone" already defined`,
		"\xff\xfe\x00":           "write one setting a line",
		"file: other.yaml":       "there is no setting file",
		"threshold: [p95<100ms]": `s.yaml: threshold "p95<100ms": there is no metric p95`,
		"connections: 0":         "s.yaml: connections (CONNECTIONS) is 0: give a number above 0",
		"share: 10":              `s.yaml: share (SHARE) is "10": give a percentage`,
	} {
		write(text)
		if _, err := parse(t, nil, "-f", name); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v does not say %q in one line", text, err, want)
		}
	}
	write("")
	if _, err := parse(t, nil, "-f", name); err != nil {
		t.Errorf("a file that sets nothing: %v", err)
	}
	// A flag goes before the file, so the flag is to blame.
	write("connections: 5")
	if _, err := parse(t, nil, "-f", name, "--connections=many"); err == nil || strings.Contains(err.Error(), "s.yaml") {
		t.Errorf("a flag that is wrong: %v", err)
	}
}

// The files that are checked in can be carried out.
func TestCheckedInFiles(t *testing.T) {
	names, err := filepath.Glob("../../scenarios/*.yaml")
	if err != nil || len(names) < 9 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		p, err := parse(t, nil, "--file", name)
		if err != nil || p.Name == "" || p.About == "" || len(p.Thresholds) == 0 {
			t.Errorf("%s: %v, %q about %q with %d thresholds", name, err, p.Name, p.About, len(p.Thresholds))
		}
	}
}

// Whatever a scenario file holds, it is read or refused.
func FuzzFile(f *testing.F) {
	f.Add([]byte("name: x\nconnections: 5\nthreshold: [lost==0]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var one file
		if err := one.parse(text); err == nil && len(one.values) > len(text) {
			t.Errorf("%d settings in %d bytes", len(one.values), len(text))
		}
	})
}

func TestCountOn(t *testing.T) {
	for _, tt := range []struct {
		give string
		i    int
		want string
	}{
		{"warehouse-1", 0, "warehouse-1"}, {"warehouse-1", 9, "warehouse-10"}, {"zone-a", 1, "zone-b"}, {"zone-a", 25, "zone-z"},
		{"zone-a", 26, "zone-aa"}, {"zone-a", 27, "zone-ab"}, {"zone-a", 26 * 27, "zone-aaa"}, {"hall", 2, "hall-2"}, {"b", 1, "b-1"},
	} {
		if got := nextName(tt.give, tt.i); got != tt.want {
			t.Errorf("%d after %s is %s, want %s", tt.i, tt.give, got, tt.want)
		}
	}
}
