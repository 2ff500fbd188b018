//go:build linux

package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

func over(transport string) func(*settings.Plan) {
	return func(p *settings.Plan) {
		p.Transport = transport
		p.WSURLs[0] = "http" + strings.TrimPrefix(strings.TrimSuffix(p.WSURLs[0], "/ws"), "ws") + "/" + transport
	}
}

// The account is exact over every transport.
func TestTransportsCountFaultsExactly(t *testing.T) {
	for _, transport := range []string{settings.SSE, settings.Poll} {
		for _, tt := range []struct {
			name                        string
			give                        fake.Faults
			lost, duplicated, reordered uint64
		}{
			{name: "none"},
			{name: "loses each 10th", give: fake.Faults{Lose: fake.Every(10)}, lost: members * 10},
			{name: "duplicates each 7th", give: fake.Faults{Duplicate: fake.Every(7)}, duplicated: members * 14},
			{name: "swaps one with the next", give: fake.Faults{Swap: fake.Only(44)}, reordered: members},
		} {
			t.Run(transport+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				_, plan := start(t, tt.give, onePublisher, over(transport))
				got := do(t, plan)
				want := report.Messages{
					Scheduled: messages, Sent: messages, Expected: members * messages, Received: members*messages - tt.lost,
					Lost: tt.lost, Duplicated: tt.duplicated, Reordered: tt.reordered, Late: got.Messages.Late,
				}
				if got.Messages != want || got.Errors != 0 || got.Connections.Joined != members {
					t.Errorf("messages\n got %+v\nwant %+v\nerrors %+v", got.Messages, want, got.ErrorsBy)
				}
			})
		}
	}
}

func TestStreamsComeBack(t *testing.T) {
	t.Parallel()
	_, plan := start(t, fake.Faults{Shut: fake.Only(50), Away: 100 * time.Millisecond}, onePublisher, over(settings.SSE),
		func(p *settings.Plan) { p.Settle = 5 * time.Second })
	got := do(t, plan)
	if want := (report.Connections{Asked: members, Joined: members, Broken: members, Resumed: members}); got.Connections != want {
		t.Errorf("connections %+v, want %+v", got.Connections, want)
	}
	if m := got.Messages; m.Lost != 0 || m.Duplicated != 0 || m.Reordered != 0 || got.Replay.Count != members {
		t.Errorf("messages %+v, replays %+v", m, got.Replay)
	}
	if len(got.ErrorsBy) != 1 || got.ErrorsBy[0].First != "the server closed with 1012 restart: restarting" {
		t.Errorf("errors %+v", got.ErrorsBy)
	}
}

func TestRefusedToken(t *testing.T) {
	for _, transport := range []string{settings.SSE, settings.Poll} {
		_, plan := start(t, fake.Faults{Token: "secret"}, over(transport))
		if _, err := New(plan).Do(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 401") || !strings.Contains(err.Error(), "--token") {
			t.Errorf("%s: %v", transport, err)
		}
	}
}
