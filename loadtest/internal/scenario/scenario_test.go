//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

const (
	members  = 10
	messages = 100 // at 200 per second: half a second
)

// start starts a fake server and returns it with a plan for it, with changes applied.
func start(t *testing.T, faults fake.Faults, change ...func(*settings.Plan)) (*fake.Server, settings.Plan) {
	t.Helper()
	s := fake.New(faults)
	t.Cleanup(s.Close)
	plan := settings.Plan{
		Scenario: settings.Fanout, Protocol: settings.Zonecast, Transport: settings.WebSocket, PublishAs: settings.AsAPI,
		WSURLs: []string{s.WSURL()}, PublishBases: []string{s.URL}, MaxLag: time.Hour, Grace: time.Minute,
		Rooms: []string{fake.Room.String()}, Connections: members, Rate: 200, Duration: messages * 5 * time.Millisecond, Publishers: 4,
		PayloadBytes: 128, ConnectRate: 1000, Settle: 300 * time.Millisecond, Reconnect: 10 * time.Second,
	}
	for _, c := range change {
		c(&plan)
	}
	return s, plan
}

func do(t *testing.T, plan settings.Plan) *report.Result {
	t.Helper()
	res, err := New(plan).Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func asEcho(p *settings.Plan) { p.Scenario, p.PublishBases, p.Publishers = settings.Echo, nil, 0 }

// Every fault is reported with its exact number. One publisher at a time, so that the order of the
// sequence numbers is that of the offsets and a swap is always one.
func TestFanoutCountsFaultsExactly(t *testing.T) {
	perfect := report.Messages{
		Scheduled: messages, Sent: messages, Expected: members * messages, Received: members * messages,
	}
	with := func(change func(*report.Messages)) report.Messages {
		m := perfect
		change(&m)
		return m
	}
	for _, tt := range []struct {
		name       string
		give       fake.Faults
		want       report.Messages
		violations report.Violations
		errors     []string // kinds
	}{
		{name: "none", want: perfect},
		{name: "loses each 10th", give: fake.Faults{Lose: fake.Every(10)},
			// The last of them, message 99, leaves no hole: nothing comes after it.
			want:       with(func(m *report.Messages) { m.Lost, m.Received = members*10, members*90 }),
			violations: report.Violations{Holes: members * 9}},
		{name: "duplicates each 7th", give: fake.Faults{Duplicate: fake.Every(7)},
			want: with(func(m *report.Messages) { m.Duplicated = members * 14 })},
		{name: "swaps each 25th with the next", give: fake.Faults{Swap: func(seq uint32) bool { return seq%25 == 10 }},
			want: with(func(m *report.Messages) { m.Reordered = members * 4 })},
		{name: "loses, duplicates and swaps", give: fake.Faults{
			Lose: fake.Only(20), Duplicate: fake.Only(30), Swap: fake.Only(40)},
			want: with(func(m *report.Messages) {
				m.Lost, m.Received, m.Duplicated, m.Reordered = members, members*99, members, members
			}),
			violations: report.Violations{Holes: members}},
		{name: "damages one", give: fake.Faults{Damage: fake.Only(5)},
			want: with(func(m *report.Messages) {
				m.Lost, m.Received, m.Foreign = members, members*99, members
			}),
			violations: report.Violations{Damaged: members}, errors: []string{"frame: damaged data"}},
		{name: "sends one to the wrong room", give: fake.Faults{Misroute: fake.Only(5)},
			want:       with(func(m *report.Messages) { m.Lost, m.Received = members, members*99 }),
			violations: report.Violations{Holes: members, Misrouted: members}, errors: []string{"frame: message in the wrong room"}},
		{name: "refuses each 20th", give: fake.Faults{Refuse: fake.Every(20)},
			want: with(func(m *report.Messages) {
				m.Sent, m.Failed, m.Expected, m.Received = 95, 5, members*95, members*95
			}), errors: []string{"send: HTTP 503"}},
		{name: "refuses one and delivers it", give: fake.Faults{Deny: fake.Only(50)},
			want: with(func(m *report.Messages) {
				m.Sent, m.Failed, m.Unconfirmed, m.Expected, m.Received = 99, 1, members, members*99, members*99
			}), errors: []string{"send: HTTP 503"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, tt.give, func(p *settings.Plan) { p.Publishers = 1 })
			got := do(t, plan)
			sameMessages(t, got, tt.want)
			if got.Violations != tt.violations {
				t.Errorf("violations\n got %+v\nwant %+v", got.Violations, tt.violations)
			}
			if kinds := kinds(got); !slices.Equal(kinds, tt.errors) {
				t.Errorf("errors %q, want %q", kinds, tt.errors)
			}
			if c := got.Connections; c != (report.Connections{Asked: members, Joined: members}) || got.Stopped != "" {
				t.Errorf("connections %+v, stopped %q", c, got.Stopped)
			}
			if got.Latency.Count != got.Messages.Received+got.Messages.Unconfirmed {
				t.Errorf("%d latencies of %d messages", got.Latency.Count, got.Messages.Received)
			}
		})
	}
}

func kinds(r *report.Result) []string {
	var kinds []string
	for _, e := range r.ErrorsBy {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// sameMessages compares the counts of messages; how many were late depends on the machine.
func sameMessages(t *testing.T, got *report.Result, want report.Messages) {
	t.Helper()
	want.Late = got.Messages.Late
	if got.Messages != want {
		t.Errorf("messages\n got %+v\nwant %+v\nerrors %+v", got.Messages, want, got.ErrorsBy)
	}
}

// A server that takes 80 ms longer is seen to take 80 ms longer.
func TestLatencyIncludesTheServersDelay(t *testing.T) {
	t.Parallel()
	const delay = 80 * time.Millisecond
	_, plan := start(t, fake.Faults{Delay: delay})
	got := do(t, plan)
	if got.Messages.Lost != 0 || got.Latency.Min < report.Millis(delay) {
		t.Errorf("%d lost, a least latency of %v ms behind a delay of %v", got.Messages.Lost, got.Latency.Min, delay)
	}
	if got.DurationMs < report.Millis(plan.Duration) {
		t.Errorf("a run of %v took %v ms", plan.Duration, got.DurationMs)
	}
}

// Messages that wait for a publisher go out together; each of a batch has its own answer.
func TestBatches(t *testing.T) {
	t.Parallel()
	s, plan := start(t, fake.Faults{Think: 30 * time.Millisecond, Refuse: fake.Every(20)}, func(p *settings.Plan) { p.Publishers, p.Batch = 1, 50 })
	got := do(t, plan)
	m := got.Messages
	if m.Sent != 95 || m.Failed != 5 || m.Expected != 95*members || m.Lost != 0 || m.Reordered != 0 || s.Batches() == 0 {
		t.Errorf("%d batches, messages %+v, errors %+v", s.Batches(), m, got.ErrorsBy)
	}
}

func TestNotAllCouldConnect(t *testing.T) {
	for _, tt := range []struct {
		joined  uint64
		stopped string
		want    report.Messages
	}{
		{6, "", report.Messages{Scheduled: messages, Sent: messages, Expected: 6 * messages, Received: 6 * messages}},
		{0, "no member could connect", report.Messages{}},
	} {
		t.Run(fmt.Sprint(tt.joined), func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{Connections: 1 + int(tt.joined)}) // the probe is one of them
			got := do(t, plan)
			sameMessages(t, got, tt.want)
			want := report.Connections{Asked: members, Joined: int(tt.joined)}
			if got.Connections != want || got.Stopped != tt.stopped {
				t.Errorf("stopped %q, connections %+v, want %+v", got.Stopped, got.Connections, want)
			}
			if want := []string{"connect: HTTP 503"}; !slices.Equal(kinds(got), want) || got.Errors != members-tt.joined {
				t.Errorf("%d errors %q, want %d %q", got.Errors, kinds(got), members-tt.joined, want)
			}
		})
	}
}

func TestRefusalsEndTheRun(t *testing.T) {
	t.Parallel()
	always := func(uint32) bool { return true }
	_, plan := start(t, fake.Faults{Refuse: always}, func(p *settings.Plan) { p.Duration, p.MaxErrors = time.Minute, 20 })
	got := do(t, plan)
	if got.Stopped != "too many messages were refused or unanswered (--max-errors 20)" || got.Messages.Failed < 20 || got.Messages.Failed > 30 {
		t.Errorf("stopped %q with %d failed", got.Stopped, got.Messages.Failed)
	}
}

func TestInterruptedRunStillReports(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{}, func(p *settings.Plan) { p.Duration = time.Minute })
	r := New(plan)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for r.Snapshot().Sent < 50 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	got, err := r.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := got.Messages
	if got.Stopped != "interrupted" || m.Sent < 50 || m.Scheduled != m.Sent+m.NotSent || m.Received != members*m.Sent || m.Lost != 0 {
		t.Errorf("stopped %q, messages %+v", got.Stopped, m)
	}
}

func TestTargetsThatCanNotWork(t *testing.T) {
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangsUp.Close)
	for _, tt := range []struct {
		name   string
		faults fake.Faults
		change func(*settings.Plan)
		want   []string
	}{
		{"nothing listens", fake.Faults{}, func(p *settings.Plan) { p.WSURLs[0] = "ws://127.0.0.1:1/ws" },
			[]string{"can't connect to ws://127.0.0.1:1/ws", "connection refused", "start the server"}},
		{"a wrong path", fake.Faults{}, func(p *settings.Plan) { p.WSURLs[0] = strings.Replace(p.WSURLs[0], "/ws", "/socket", 1) },
			[]string{"HTTP 404", "Zonecast's path is /ws"}},
		{"another server's path", fake.Faults{}, func(p *settings.Plan) {
			p.Protocol, p.WSURLs[0] = settings.Centrifugo, strings.Replace(p.WSURLs[0], "/ws", "/connection/websocket", 1)
		}, []string{"HTTP 404", "Centrifugo's path is /connection/websocket"}},
		{"another server", fake.Faults{}, func(p *settings.Plan) { p.WSURLs[0] = hangsUp.URL + "/ws" },
			[]string{"unexpected EOF", "is it a Zonecast server (--protocol, PROTOCOL), and the path /ws?"}},
		{"no token", fake.Faults{Token: "secret"}, nil, []string{"HTTP 401", "the token is missing or wrong", "--token"}},
		{"no token for a stream", fake.Faults{Token: "secret"}, over(settings.SSE), []string{"HTTP 401", "--token"}},
		{"no token for polls", fake.Faults{Token: "secret"}, over(settings.Poll), []string{"HTTP 401", "--token"}},
		{"no key", fake.Faults{Key: "secret"}, nil, []string{"HTTP 401", "the API key is missing or wrong", "--publish-key"}},
		{"another room", fake.Faults{}, func(p *settings.Plan) { p.Rooms = []string{"zone:warehouse-1:zone-b"} },
			[]string{"asked for the room zone:warehouse-1:zone-b"}},
		{"no API at the publish address", fake.Faults{}, func(p *settings.Plan) { p.PublishBases[0] += "/wrong" },
			[]string{"can't publish at", "HTTP 404", "--publish-url"}},
		{"nothing at the publish address", fake.Faults{}, func(p *settings.Plan) { p.PublishBases[0] = "http://127.0.0.1:1" },
			[]string{"connection refused", "PUBLISH_URL"}},
		{"two servers that know nothing of each other", fake.Faults{Deaf: true}, nil, []string{"did not reach a member", "same Redis"}},
		{"a process that is not there", fake.Faults{}, func(p *settings.Plan) { p.ServerPIDs = []int{1 << 30} },
			[]string{"can't read the process 1073741824", "no such file", "--server-pid (SERVER_PID)"}},
		{"more descriptors than there are", fake.Faults{}, func(p *settings.Plan) { p.Connections = 1 << 40 }, []string{"ulimit -n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, tt.faults)
			if tt.change != nil {
				tt.change(&plan)
			}
			res, err := New(plan).Do(t.Context())
			if err == nil || res != nil {
				t.Fatalf("result %+v, error %v", res, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestInterruptedBeforeTheRun(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := New(plan).Do(ctx)
	var target *TargetError
	if !errors.As(err, &target) || !strings.Contains(target.Text, "interrupted") {
		t.Errorf("error %v", err)
	}
}

func TestTokenAndKeyAreShown(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{Token: "t0", Key: "k0"}, func(p *settings.Plan) { p.Token, p.PublishKey = "t0", "k0" })
	if got := do(t, plan); got.Messages.Received != members*messages || got.Errors != 0 {
		t.Errorf("messages %+v, errors %+v", got.Messages, got.ErrorsBy)
	}
}
