package settings

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// parse parses with this environment and none of the machine's own settings.
func parse(t *testing.T, env map[string]string, args ...string) (Plan, error) {
	t.Helper()
	for _, name := range []string{
		"SCENARIO", "WS_URL", "CONNECTIONS", "MSG_PER_SEC", "DURATION", "WAREHOUSE", "ZONE", "PUBLISH_URL", "PUBLISHERS",
		"PUBLISH_KEY", "TOKEN", "PAYLOAD_BYTES", "CONNECT_RATE", "SETTLE", "RECONNECT", "MAX_ERRORS", "THRESHOLD", "JSON_FILE",
	} {
		t.Setenv(name, "") // restores it after the test
		os.Unsetenv(name)
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	return Parse(args, &bytes.Buffer{})
}

func TestDefaults(t *testing.T) {
	got, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Plan{
		Scenario:     Fanout,
		WSURLs:       []string{"ws://127.0.0.1:3001/ws?warehouse=warehouse-1&zone=zone-a"},
		PublishBases: []string{"http://127.0.0.1:3001"},
		Room:         wire.Room{Warehouse: "warehouse-1", Zone: "zone-a"},
		Connections:  1000, Rate: 100, Duration: time.Minute, Publishers: 16, PayloadBytes: 128, ConnectRate: 500,
		Settle: 5 * time.Second, Reconnect: 10 * time.Second, MaxErrors: 1000,
	}
	samePlan(t, got, want)
	if want := []string{"ws://127.0.0.1:3001/ws"}; !slices.Equal(got.ResumeURLs, want) {
		t.Errorf("addresses to come back to %q, want %q", got.ResumeURLs, want)
	}
}

func samePlan(t *testing.T, got, want Plan) {
	t.Helper()
	if !slices.Equal(got.WSURLs, want.WSURLs) || !slices.Equal(got.PublishBases, want.PublishBases) {
		t.Errorf("addresses\n got %q %q\nwant %q %q", got.WSURLs, got.PublishBases, want.WSURLs, want.PublishBases)
	}
	var limits, wantLimits []string
	for _, th := range got.Thresholds {
		limits = append(limits, th.String())
	}
	for _, th := range want.Thresholds {
		wantLimits = append(wantLimits, th.String())
	}
	if !slices.Equal(limits, wantLimits) {
		t.Errorf("thresholds %q, want %q", limits, wantLimits)
	}
	if got.Scenario != want.Scenario || got.Room != want.Room || got.Connections != want.Connections || got.Rate != want.Rate ||
		got.Duration != want.Duration || got.Publishers != want.Publishers || got.PublishKey != want.PublishKey ||
		got.Token != want.Token || got.PayloadBytes != want.PayloadBytes || got.ConnectRate != want.ConnectRate ||
		got.Settle != want.Settle || got.Reconnect != want.Reconnect || got.MaxErrors != want.MaxErrors || got.JSONFile != want.JSONFile {
		t.Errorf("plan\n got %+v\nwant %+v", got, want)
	}
}

func TestFlagsAndEnvironmentAlike(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
	}{
		{name: "environment", env: map[string]string{
			"WS_URL": "wss://a.example/zc/ws,ws://b.example:81/ws", "CONNECTIONS": "20", "MSG_PER_SEC": "2.5", "DURATION": "90",
			"WAREHOUSE": "w2", "ZONE": "", "PUBLISHERS": "3", "PUBLISH_KEY": "k", "TOKEN": "t", "PAYLOAD_BYTES": "4096",
			"CONNECT_RATE": "10", "SETTLE": "0", "RECONNECT": "30", "MAX_ERRORS": "0", "THRESHOLD": "lost==0,delivered>=99.9%", "JSON_FILE": "out.json",
		}},
		{name: "flags", args: []string{
			"--ws-url", "wss://a.example/zc/ws", "--ws-url", "ws://b.example:81/ws", "--connections", "20", "--msg-per-sec", "2.5",
			"--duration", "1m30s", "--warehouse", "w2", "--zone", "", "--publishers", "3", "--publish-key", "k", "--token", "t",
			"--payload-bytes", "4096", "--connect-rate", "10", "--settle", "0s", "--reconnect", "30s", "--max-errors", "0", "--threshold", "lost==0",
			"--threshold", "delivered>=99.9%", "--json", "out.json",
		}},
		{name: "a flag wins", env: map[string]string{"CONNECTIONS": "7", "ZONE": "zone-b"}, args: []string{
			"--ws-url", "wss://a.example/zc/ws,ws://b.example:81/ws", "--connections", "20", "--msg-per-sec", "2.5",
			"--duration", "90s", "--warehouse", "w2", "--zone=", "--publishers", "3", "--publish-key", "k", "--token", "t",
			"--payload-bytes", "4096", "--connect-rate", "10", "--settle", "0s", "--reconnect", "30s", "--max-errors", "0",
			"--threshold", "lost==0,delivered>=99.9%", "--json", "out.json",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(t, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := Plan{
				Scenario:     Fanout,
				WSURLs:       []string{"wss://a.example/zc/ws?warehouse=w2", "ws://b.example:81/ws?warehouse=w2"},
				PublishBases: []string{"https://a.example/zc", "http://b.example:81"},
				Room:         wire.Room{Warehouse: "w2"},
				Connections:  20, Rate: 2.5, Duration: 90 * time.Second, Publishers: 3, PublishKey: "k", Token: "t",
				PayloadBytes: 4096, ConnectRate: 10, Reconnect: 30 * time.Second, JSONFile: "out.json", Thresholds: got.Thresholds,
			}
			samePlan(t, got, want)
			if len(got.Thresholds) != 2 || got.Thresholds[1].String() != "delivered>=99.9%" {
				t.Errorf("thresholds %v", got.Thresholds)
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
			[]string{"ws://h:1/ws?warehouse=warehouse-1&zone=zone-a", "ws://h:2/ws?warehouse=warehouse-1&zone=zone-a"}, []string{"http://h:1"}},
		{"one publish address for two paths of one host", []string{"--ws-url=ws://h:1/ws,ws://h:1/ws"},
			[]string{"ws://h:1/ws?warehouse=warehouse-1&zone=zone-a", "ws://h:1/ws?warehouse=warehouse-1&zone=zone-a"}, []string{"http://h:1"}},
		{"a query is kept, but for the room", []string{"--ws-url=ws://h:1/ws?userId=u&zone=other"},
			[]string{"ws://h:1/ws?userId=u&warehouse=warehouse-1&zone=zone-a"}, []string{"http://h:1"}},
		{"another path with its publish address", []string{"--ws-url=ws://h:1/socket", "--publish-url=http://h:1/zc/"},
			[]string{"ws://h:1/socket?warehouse=warehouse-1&zone=zone-a"}, []string{"http://h:1/zc"}},
		{"http addresses without a path", []string{"--ws-url=http://h:1,https://h:2/"},
			[]string{"ws://h:1/ws?warehouse=warehouse-1&zone=zone-a", "wss://h:2/ws?warehouse=warehouse-1&zone=zone-a"},
			[]string{"http://h:1", "https://h:2"}},
		{"echo publishes nowhere", []string{"--ws-url=ws://h:1/socket", "--scenario=echo"},
			[]string{"ws://h:1/socket?warehouse=warehouse-1&zone=zone-a"}, nil},
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
		{"words for a number", map[string]string{"CONNECTIONS": "many"}, nil, []string{"many"}},
		{"no time", nil, []string{"--duration=0s"}, []string{"--duration (DURATION) is 0s"}},
		{"a negative time", nil, []string{"--duration=-1m"}, []string{"--duration (DURATION) is -1m0s"}},
		{"words for a time", map[string]string{"DURATION": "long"}, nil, []string{`"long" is not a duration: write it like 60s or 5m`}},
		{"a negative settle time", nil, []string{"--settle=-1s"}, []string{"--settle (SETTLE) is -1s"}},
		{"a negative reconnect time", nil, []string{"--reconnect=-1s"}, []string{"--reconnect (RECONNECT) is -1s"}},
		{"no publishers", nil, []string{"--publishers=0"}, []string{"--publishers (PUBLISHERS) is 0"}},
		{"no connect rate", nil, []string{"--connect-rate=0"}, []string{"--connect-rate (CONNECT_RATE) is 0"}},
		{"too little payload", nil, []string{"--payload-bytes=10"}, []string{"--payload-bytes (PAYLOAD_BYTES) is 10: give 44 to 1048576"}},
		{"too much payload", nil, []string{"--payload-bytes=2000000"}, []string{"--payload-bytes (PAYLOAD_BYTES) is 2000000"}},
		{"negative errors", nil, []string{"--max-errors=-1"}, []string{"max-errors"}},
		{"an unknown scenario", nil, []string{"--scenario=storm"}, []string{`--scenario must be one of "fanout","echo"`}},
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
		{"echo and a threshold for publishing", nil, []string{"--scenario=echo", "--threshold=publish.p95<1s"}, []string{"scenario echo publishes nothing"}},
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
