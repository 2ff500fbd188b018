//go:build linux

package scenario

import (
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

// Who loses its connection on purpose comes back, gets what it missed, and is not called broken.
func TestStorm(t *testing.T) {
	for _, tt := range []struct {
		by      string
		share   float64
		dropped int
	}{{"close", 1, members}, {"reset", 0.3, 3}, {"silence", 1, members}} {
		t.Run(tt.by, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{}, onePublisher, func(p *settings.Plan) {
				p.Scenario, p.StormBy, p.Share = settings.Storm, tt.by, tt.share
				p.Duration, p.Settle = 600*time.Millisecond, 5*time.Second
			})
			got := do(t, plan)
			if c := got.Connections; c.Dropped != tt.dropped || c.Resumed != tt.dropped || c.Broken != 0 || c.Lost != 0 {
				t.Errorf("connections %+v", c)
			}
			if m := got.Messages; m.Lost+m.Duplicated+m.Reordered != 0 || m.Expected != 120*members || got.Violations != (report.Violations{}) {
				t.Errorf("messages %+v, violations %+v", m, got.Violations)
			}
			n := uint64(tt.dropped)
			if got.Offline.Count != n || got.Replay.Count != n || got.Live.Count >= got.Latency.Count || got.Errors != 0 {
				t.Errorf("offline %+v, replay %+v, errors %+v", got.Offline, got.Replay, got.ErrorsBy)
			}
		})
	}
}

func TestFlaky(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{}, onePublisher, func(p *settings.Plan) {
		p.Scenario, p.Every, p.Offline = settings.Flaky, 400*time.Millisecond, 100*time.Millisecond
		p.Duration, p.Settle = time.Second, 5*time.Second
	})
	got := do(t, plan)
	if c := got.Connections; c.Dropped < 2*members || c.Resumed != c.Dropped || c.Broken != 0 || c.Lost != 0 {
		t.Errorf("connections %+v", c)
	}
	if m := got.Messages; m.Lost+m.Duplicated+m.Reordered != 0 || m.Expected != 200*members {
		t.Errorf("messages %+v", m)
	}
}

func TestChurn(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{Lose: fake.Only(20)}, onePublisher, func(p *settings.Plan) {
		p.Scenario, p.ChurnRate, p.Duration = settings.Churn, 20, 1500*time.Millisecond
	})
	got := do(t, plan)
	if got.Churn == 0 || got.Connections.Dropped != got.Churn || got.Connections.Broken != 0 {
		t.Errorf("%d left, connections %+v", got.Churn, got.Connections)
	}
	// All that are there before the first one leaves miss message 20, by its offset.
	if m := got.Messages; m.Lost != members || m.Expected != m.Received+members || m.Duplicated+m.Reordered != 0 {
		t.Errorf("messages %+v", m)
	}
}

// Slow members are told apart, and what they miss is nobody's loss.
func TestSlow(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{}, onePublisher, func(p *settings.Plan) {
		p.Scenario, p.Share, p.SlowBytes, p.PayloadBytes = settings.Slow, 0.3, 100, 4096
	})
	got := do(t, plan)
	if got.Slow == nil || got.Slow.Members != 3 || got.Slow.Received == got.Slow.Expected {
		t.Fatalf("slow %+v", got.Slow)
	}
	if m := got.Messages; m.Expected != 7*messages || m.Lost != 0 {
		t.Errorf("messages %+v", m)
	}
	if got.Slow.Closed != 0 {
		t.Errorf("the server closed none of their connections, and it says %d", got.Slow.Closed)
	}
}

// What the server closes for not being read is counted, though it lies behind what nobody read.
func TestSlowMembersThatTheServerClosesAreCounted(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{Shut: fake.Only(messages - 10)}, onePublisher, func(p *settings.Plan) {
		p.Scenario, p.Share, p.SlowBytes, p.PayloadBytes, p.Reconnect = settings.Slow, 0.3, 100, 4096, 0
	})
	if got := do(t, plan); got.Slow == nil || got.Slow.Closed != got.Slow.Members {
		t.Errorf("all connections were closed: %+v", got.Slow)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{}, func(p *settings.Plan) {
		p.Scenario, p.Publishers, p.PublishBases, p.Duration = settings.Idle, 0, nil, 100*time.Millisecond
	})
	got := do(t, plan)
	if got.Connections != (report.Connections{Asked: members, Joined: members}) || got.Messages != (report.Messages{}) || got.Stopped != "" {
		t.Errorf("%+v", got)
	}
}

// A ramp ends where it was told to, though the server held more.
func TestRampEndsAtItsHighestRate(t *testing.T) {
	t.Parallel()
	limit, err := report.ParseThreshold("lost==0")
	if err != nil {
		t.Fatal(err)
	}
	_, plan := start(t, fake.Faults{}, onePublisher, func(p *settings.Plan) {
		p.Scenario, p.Step, p.Rate, p.RampFactor, p.RampMax, p.MaxErrors = settings.Ramp, 100*time.Millisecond, 100, 2, 300, 0
		p.Thresholds = []report.Threshold{limit}
	})
	got := do(t, plan)
	last := got.Ramp[len(got.Ramp)-1]
	for _, step := range got.Ramp {
		if step.MsgPerSec > 300 {
			t.Errorf("a step of %v messages/s", step.MsgPerSec)
		}
	}
	if last.Held && last.MsgPerSec != 300 {
		t.Errorf("it ended at %v messages/s, which were held", last.MsgPerSec)
	}
}

func TestMixed(t *testing.T) {
	asMixed := func(p *settings.Plan) { p.Scenario, p.EchoShare = settings.Mixed, 0.5 }
	for _, transport := range []string{settings.WebSocket, settings.SSE} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{}, onePublisher, over(transport), asMixed)
			got := do(t, plan)
			sameMessages(t, got, report.Messages{Scheduled: messages, Sent: messages,
				Expected: messages/2*members + messages/2, Received: messages/2*members + messages/2})
		})
	}
}

// A ramp ends at the first step that is too much, and looks between it and the last that was not.
// 40 messages go well, then 80 more; of the third step, of 160, none.
func TestRamp(t *testing.T) {
	late := func(seq uint32) bool { return seq > 120 }
	for _, tt := range []struct {
		name, threshold string
		faults          fake.Faults
		expected        uint64 // of the messages
	}{
		{"messages that are refused", "delivered==100%", fake.Faults{Refuse: late}, 121 * members},
		{"violations", "violations==0", fake.Faults{Damage: late}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			limit, err := report.ParseThreshold(tt.threshold)
			if err != nil {
				t.Fatal(err)
			}
			_, plan := start(t, tt.faults, onePublisher, func(p *settings.Plan) {
				p.Scenario, p.Step, p.Rate, p.RampFactor, p.RampMax, p.MaxErrors = settings.Ramp, 200*time.Millisecond, 200, 2, 100_000, 0
				p.Thresholds = []report.Threshold{limit}
			})
			got := do(t, plan)
			report.Evaluate(got, plan.Thresholds)
			if len(got.Ramp) < 3 || !got.Ramp[0].Held || !got.Ramp[1].Held || got.Ramp[2].Held || len(got.Failures) > 0 || got.Ramp[1].MsgPerSec != 400 {
				t.Errorf("%+v, failures %q", got.Ramp, got.Failures)
			}
			if m := got.Messages; tt.expected > 0 && (m.Expected != tt.expected || m.Lost != 0) {
				t.Errorf("messages %+v", m)
			}
		})
	}
}
