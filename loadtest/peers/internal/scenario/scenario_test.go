//go:build linux

package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/loadtest/internal/latency"
	"github.com/zonecast/zonecast/loadtest/peers/internal/server"
)

func TestAllCanBeRun(t *testing.T) {
	for _, o := range []Options{{Few: 1000, Many: 10_000}, {Few: 100, Many: 500, Quick: true}, {Few: 1, Many: 2}} {
		names := make(map[string]bool)
		for _, s := range All(o) {
			if names[s.Name] {
				t.Errorf("two scenarios are called %s", s.Name)
			}
			names[s.Name] = true
			if s.Rooms < 1 || s.Rooms > s.Connections || s.Duration <= 0 || s.Title == "" || s.Bytes == 0 {
				t.Errorf("%+v", s)
			}
			if s.Kind != Idle && (s.Publishers < s.Writers || s.Writers < 1 || s.WarmUp <= 0 || s.Settle <= 0) ||
				(s.Kind == Steady) != (s.Rate > 0) || (s.Kind == Flood) != (s.Window > 0) {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestWrite2HasNoQueue(t *testing.T) {
	for _, tt := range []struct {
		give Scenario
		want bool
	}{
		{Scenario{Kind: Steady}, true}, {Scenario{Kind: Steady, Deflate: true}, false},
		{Scenario{Kind: Flood}, false}, {Scenario{Kind: Idle}, false},
	} {
		if got := tt.give.Includes(server.Write2); got != tt.want {
			t.Errorf("%+v: %v", tt.give, got)
		}
		if !tt.give.Includes(server.Zonecast) {
			t.Errorf("%+v is not for Zonecast", tt.give)
		}
	}
}

func TestInvalid(t *testing.T) {
	usage := func(serving, generator, idle time.Duration) *Usage {
		return &Usage{Wall: 10 * time.Second, Server: serving, Generator: generator, Idle: idle, Others: 20*time.Second - serving - generator - idle}
	}
	for _, tt := range []struct {
		name  string
		kind  Kind
		usage *Usage
		late  time.Duration
		want  string
	}{
		{"good", Steady, usage(3e9, 2e9, 15e9), time.Millisecond, ""},
		{"the generator is the limit", Flood, usage(6e9, 95e8, 4e9), 0, "the generator used 0.95 cores, the server 0.60, and 20 %"},
		{"both are at their limit", Flood, usage(95e8, 95e8, 1e9), 0, ""},
		{"the machine is full", Flood, usage(8e9, 95e8, 5e8), 0, ""},
		{"sent late", Steady, usage(3e9, 2e9, 15e9), 9 * time.Millisecond, "sent more than 9ms late"},
		{"a flood has no schedule", Flood, usage(10e9, 5e9, 1e9), 9 * time.Millisecond, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Outcome{Usage: tt.usage, Run: &Result{Late: latency.Summary{P99: tt.late}}}
			got := Scenario{Kind: tt.kind}.invalid(&o)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestFigures(t *testing.T) {
	o := Outcome{
		ResidentBefore: 10 << 20, Resident: 20 << 20,
		Usage: &Usage{Server: 2 * time.Second},
		Run:   &Result{Delivered: 200_000, Bytes: 40_000_000, Elapsed: 4 * time.Second},
	}
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"KiB per connection", o.KiBPerConnection(1024), 10},
		{"µs per delivery", o.MicrosPerDelivery(), 10},
		{"deliveries/s", o.DeliveriesPerSecond(), 50_000},
		{"bytes per delivery", o.BytesPerDelivery(), 200},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	o.Run = &Result{}
	if o.MicrosPerDelivery() != 0 || o.DeliveriesPerSecond() != 0 || o.BytesPerDelivery() != 0 {
		t.Error("a run without deliveries has figures")
	}
}
