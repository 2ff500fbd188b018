//go:build linux

package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
	"github.com/zonecast/zonecast/loadtest/internal/failure"
	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

func onePublisher(p *settings.Plan) { p.Publishers = 1 }

func TestOneConnectionCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		reconnect        time.Duration
		want             report.Connections
		fewest, mostLost uint64
	}{
		{"comes back", 10 * time.Second, report.Connections{Asked: members, Joined: members, Broken: 1, Resumed: 1}, 0, 0},
		// Messages 0 to 59 were written to it before the cut; those in its socket may be gone.
		{"must not", 0, report.Connections{Asked: members, Joined: members, Broken: 1, Lost: 1}, 40, 45},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{Drop: fake.Only(60)}, onePublisher,
				func(p *settings.Plan) { p.Reconnect, p.Settle = tt.reconnect, 3*time.Second })
			got := do(t, plan)
			if got.Connections != tt.want || got.Offline.Count != uint64(tt.want.Resumed) {
				t.Errorf("connections %+v, %d times offline, want %+v", got.Connections, got.Offline.Count, tt.want)
			}
			if lost := got.Messages.Lost; lost < tt.fewest || lost > tt.mostLost {
				t.Errorf("%d lost, want %d to %d", lost, tt.fewest, tt.mostLost)
			}
			if got.Stopped != "" || len(got.ErrorsBy) != 1 || !strings.HasPrefix(got.ErrorsBy[0].Kind, "connection: ") {
				t.Errorf("stopped %q, errors %+v", got.Stopped, got.ErrorsBy)
			}
		})
	}
}

// A server that restarts and keeps its history loses nothing: all go on from the last offset.
func TestServerRestarts(t *testing.T) {
	for _, transport := range []string{settings.WebSocket, settings.SSE} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{Shut: fake.Only(50), Away: 300 * time.Millisecond}, onePublisher, over(transport),
				func(p *settings.Plan) { p.Settle = 5 * time.Second })
			got := do(t, plan)
			if want := (report.Connections{Asked: members, Joined: members, Broken: members, Resumed: members}); got.Connections != want {
				t.Errorf("connections %+v, want %+v", got.Connections, want)
			}
			m := got.Messages
			if m.Lost != 0 || m.Received != members*messages || m.Duplicated != 0 || m.Reordered != 0 || got.Violations != (report.Violations{}) {
				t.Errorf("messages %+v, violations %+v", m, got.Violations)
			}
			// What was due while they were away is late by that much.
			if got.Offline.Count != members || got.Offline.Min < 300 || got.Latency.Max < 300 || got.Replay.Count != members {
				t.Errorf("offline %+v, latency %+v, replay %+v", got.Offline, got.Latency, got.Replay)
			}
			want := failure.Count{Kind: "connection: closed with 1012 restart", Count: members, First: "the server closed with 1012 restart: restarting"}
			if !slices.Equal(got.ErrorsBy, []failure.Count{want}) {
				t.Errorf("errors %+v, want %+v", got.ErrorsBy, want)
			}
		})
	}
}

// One that forgets its history loses what nobody had yet, says so, and has no silent holes.
func TestServerRestartsAndForgets(t *testing.T) {
	t.Parallel()
	s, plan := start(t, fake.Faults{Shut: fake.Only(50), Forget: true}, onePublisher,
		func(p *settings.Plan) { p.Settle = 2 * time.Second })
	got := do(t, plan)
	forgotten := s.Forgotten()
	if forgotten == 0 || got.Messages.Lost != members*forgotten {
		t.Errorf("%d lost of %d forgotten: %+v", got.Messages.Lost, forgotten, got.Messages)
	}
	if want := (report.Violations{Gaps: members, Restarted: members}); got.Violations != want {
		t.Errorf("violations %+v, want %+v", got.Violations, want)
	}
	if got.Connections.Lost != 0 || got.Messages.Reordered != 0 || got.Messages.Duplicated != 0 {
		t.Errorf("connections %+v, messages %+v", got.Connections, got.Messages)
	}
}

func TestEchoComesBack(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{Drop: fake.Only(20)}, asEcho, func(p *settings.Plan) { p.Duration = 2 * time.Second })
	got := do(t, plan)
	if c := got.Connections; c.Broken != 1 || c.Resumed != 1 || c.Lost != 0 {
		t.Errorf("connections %+v", c)
	}
	// The echo that was on its way is lost; those due while it was away could not be sent.
	m := got.Messages
	if m.Lost != 1 || m.Failed == 0 || m.Sent+m.Failed != 400 || m.Received != m.Sent-1 || m.Duplicated+m.Reordered != 0 {
		t.Errorf("messages %+v", m)
	}
}

// A server that goes away for good ends the run, and what was measured is still reported.
func TestServerGoesAway(t *testing.T) {
	for _, tt := range []struct {
		name      string
		give      fake.Faults
		reconnect time.Duration
		stopped   string
		errors    []string // kinds
	}{
		{"nobody may come back", fake.Faults{}, 0, "all connections were lost", []string{"connection: closed with 1012 restart"}},
		{"nobody is let in again", fake.Faults{Away: time.Hour}, 400 * time.Millisecond,
			"all connections were lost, and none came back within 400ms",
			[]string{"connection: closed with 1012 restart", "reconnect: HTTP 503"}},
		{"nobody may come back", fake.Faults{Stubborn: true}, 400 * time.Millisecond,
			"all connections were lost, and none came back within 400ms",
			[]string{"connection: closed with 1012 restart", "reconnect: closed with 1012 restart"}},
		{"the tokens expire", fake.Faults{ShutCode: wire.CloseUnauthenticated}, time.Hour,
			"all connections were lost, and none came back within 1h0m0s",
			[]string{"connection: closed with 4401 unauthenticated"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.give.Shut = fake.Only(50)
			_, plan := start(t, tt.give, onePublisher, func(p *settings.Plan) { p.Duration, p.Reconnect = time.Minute, tt.reconnect })
			began := time.Now()
			got := do(t, plan)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the run went on for %v", took)
			}
			if got.Stopped != tt.stopped || got.Connections.Lost != members || got.Connections.Resumed != 0 {
				t.Errorf("stopped %q, connections %+v", got.Stopped, got.Connections)
			}
			if kinds := kinds(got); !slices.Equal(kinds, tt.errors) || got.Errors != uint64(members*len(tt.errors)) {
				t.Errorf("%d errors %q, want %d of each of %q", got.Errors, kinds, members, tt.errors)
			}
			if got.Messages.Received == 0 || got.Messages.Scheduled >= 12_000 {
				t.Errorf("messages %+v", got.Messages)
			}
		})
	}
}
