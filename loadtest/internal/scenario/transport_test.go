//go:build linux

package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/fake"
	"github.com/zonecast/zonecast/loadtest/internal/report"
	"github.com/zonecast/zonecast/loadtest/internal/settings"
)

func over(transport string) func(*settings.Plan) {
	return func(p *settings.Plan) {
		if p.Transport = transport; transport == settings.WebSocket {
			return
		}
		p.WSURLs[0] = "http" + strings.TrimPrefix(strings.TrimSuffix(p.WSURLs[0], "/ws"), "ws") + "/" + transport
	}
}

// Counts are exact over every transport, and for echoes.
func TestEveryWayCountsFaultsExactly(t *testing.T) {
	for _, way := range []struct {
		name      string
		change    func(*settings.Plan)
		receivers uint64 // of each message
	}{
		{settings.SSE, over(settings.SSE), members}, {settings.Poll, over(settings.Poll), members}, {settings.Echo, asEcho, 1},
	} {
		for _, tt := range []struct {
			name                        string
			give                        fake.Faults
			lost, duplicated, reordered uint64
		}{
			{name: "none"},
			{name: "loses each 10th", give: fake.Faults{Lose: fake.Every(10)}, lost: 10},
			{name: "duplicates each 7th", give: fake.Faults{Duplicate: fake.Every(7)}, duplicated: 14},
			{name: "swaps one with the next", give: fake.Faults{Swap: fake.Only(44)}, reordered: 1},
		} {
			t.Run(way.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				_, plan := start(t, tt.give, onePublisher, way.change)
				got := do(t, plan)
				n := way.receivers
				sameMessages(t, got, report.Messages{
					Scheduled: messages, Sent: messages, Expected: n * messages, Received: n * (messages - tt.lost),
					Lost: n * tt.lost, Duplicated: n * tt.duplicated, Reordered: n * tt.reordered,
				})
				if got.Errors != 0 || got.Connections.Joined != members {
					t.Errorf("connections %+v, errors %+v", got.Connections, got.ErrorsBy)
				}
			})
		}
	}
}

// Where members' connections go one way, echoes are posted; each is counted as over WebSocket.
func TestEchoesByPost(t *testing.T) {
	for _, transport := range []string{settings.SSE, settings.Poll} {
		for _, tt := range []struct {
			name   string
			give   fake.Faults
			failed uint64
			errs   []string
		}{
			{name: "none"},
			{name: "a connection that is cut", give: fake.Faults{Drop: fake.Only(44)}, failed: 1, errs: []string{"send: connection closed"}},
			{name: "refusals", give: fake.Faults{Refuse: fake.Every(10)}, failed: 10, errs: []string{"server: error rate_limited"}},
		} {
			t.Run(transport+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				_, plan := start(t, tt.give, over(transport), asEcho)
				got := do(t, plan)
				taken := messages - tt.failed
				sameMessages(t, got, report.Messages{Scheduled: messages, Sent: taken, Expected: taken, Received: taken, Failed: tt.failed})
				if got.Latency.Count != taken || !slices.Equal(kinds(got), tt.errs) {
					t.Errorf("%d latencies, errors %+v, want %q", got.Latency.Count, got.ErrorsBy, tt.errs)
				}
			})
		}
	}
}

// A posted echo waits for none before it: here one is answered after all others. What a member
// can't send, for too many are unanswered, is counted as that and nothing else.
func TestPostedEchoesDoNotWaitForEachOther(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hold    fake.When
		held    int
		notSent uint64
	}{
		{"one is held", fake.Only(3), 1, 0},
		{"all of a member are", func(seq uint32) bool { return seq%members == 3 }, messages / members, messages/members - maxEchoPosts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, plan := start(t, fake.Faults{Hold: tt.hold, HoldFor: messages - tt.held}, over(settings.SSE), asEcho)
			plan.Settle = time.Minute
			got := do(t, plan)
			taken := messages - tt.notSent
			sameMessages(t, got, report.Messages{Scheduled: messages, Sent: taken, Expected: taken, Received: taken, NotSent: tt.notSent})
			if got.Latency.Count != taken || len(got.ErrorsBy) > 0 {
				t.Errorf("%d latencies, errors %+v", got.Latency.Count, got.ErrorsBy)
			}
		})
	}
}

// Clients publish by frames over a WebSocket, or by POST.
func TestClientsPublishOverEveryTransport(t *testing.T) {
	for _, transport := range []string{settings.WebSocket, settings.SSE, settings.Poll} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			asClient := func(p *settings.Plan) { p.PublishAs, p.PublishBases = settings.AsClient, nil }
			set := []func(*settings.Plan){onePublisher, asClient, over(transport)}
			_, plan := start(t, fake.Faults{Lose: fake.Every(10), Refuse: fake.Only(50)}, set...)
			got := do(t, plan)
			sameMessages(t, got, report.Messages{Scheduled: messages, Sent: messages - 1, Failed: 1, Expected: members * (messages - 1),
				Received: members * (messages - 11), Lost: members * 10})
			if !slices.Equal(kinds(got), []string{"send: refused with unavailable"}) {
				t.Errorf("errors %+v", got.ErrorsBy)
			}

			_, plan = start(t, fake.Faults{ClientsListen: true}, set...)
			if _, err := New(plan).Do(t.Context()); err == nil || !strings.Contains(err.Error(), "give a token that may publish there (--token, TOKEN)") {
				t.Errorf("clients that may not publish: %v", err)
			}
		})
	}
}
