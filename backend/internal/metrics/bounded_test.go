package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Names of warehouses and zones are chosen by strangers: however many there are, hostile ones among
// them, the number of series stays what it was, and nobody is left out of the sums.
func TestNamesThatStrangersChooseDoNotMultiplySeries(t *testing.T) {
	const names, bound = 100_000, 100
	m := metrics.New("test")
	all := map[metrics.Place]int{}
	for i := range names {
		name := fmt.Sprintf("zone-%d\n\"}=é", i)
		all[metrics.Place{Warehouse: "w", Zone: name}] = 1
		all[metrics.Place{Warehouse: name}] = 1
		m.PublishedTo(name)
	}
	all[metrics.Place{Warehouse: "w", Zone: "largest"}] = 7
	m.AddPlaces(bound, func() map[metrics.Place]int { return all })
	m.PublishedTo("zone-0\n\"}=é")

	began := time.Now()
	families, err := m.Registry.Gather()
	testkit.Must(t, err)
	t.Logf("a scrape took %v", time.Since(began))
	for _, name := range []string{"zonecast_zone_connections", "zonecast_warehouse_connections", "zonecast_warehouse_publishes_total"} {
		series, sum := 0, 0.0
		for _, f := range families {
			if f.GetName() == name {
				series = len(f.GetMetric())
				for _, one := range f.GetMetric() {
					sum += one.GetGauge().GetValue() + one.GetCounter().GetValue()
				}
			}
		}
		want := float64(names)
		switch name {
		case "zonecast_zone_connections":
			want += 7
		case "zonecast_warehouse_publishes_total":
			want++
		}
		if series != bound+1 || sum != want {
			t.Errorf("%s has %d series that sum up to %v, want %d and %v", name, series, sum, bound+1, want)
		}
	}
}

func TestDropsAreCountedByDirectionAndUnderTheirFormerName(t *testing.T) {
	m := metrics.New("test")
	m.DroppedSlow(2)
	m.DroppedLost(3)
	m.Conflated()
	m.RefuseFrame("rate_limited")
	const want = `
# HELP zonecast_deliveries_dropped_total Messages to clients dropped or replaced before they were written.
# TYPE zonecast_deliveries_dropped_total counter
zonecast_deliveries_dropped_total{reason="conflated"} 1
zonecast_deliveries_dropped_total{reason="connection_lost"} 3
zonecast_deliveries_dropped_total{reason="slow_consumer"} 2
# HELP zonecast_frames_refused_total Frames from clients refused.
# TYPE zonecast_frames_refused_total counter
zonecast_frames_refused_total{reason="rate_limited"} 1
# HELP zonecast_messages_dropped_total Deprecated: the sum of zonecast_deliveries_dropped_total and zonecast_frames_refused_total.
# TYPE zonecast_messages_dropped_total counter
zonecast_messages_dropped_total{reason="conflated"} 1
zonecast_messages_dropped_total{reason="connection_lost"} 3
zonecast_messages_dropped_total{reason="rate_limited"} 1
zonecast_messages_dropped_total{reason="slow_consumer"} 2
`
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), "zonecast_deliveries_dropped_total",
		"zonecast_frames_refused_total", "zonecast_messages_dropped_total"); err != nil {
		t.Error(err)
	}
}

// What promtool check metrics would say: units, suffixes, helps.
func TestEveryMetricIsWellFormed(t *testing.T) {
	m := metrics.New("test")
	m.AddTransport("websocket", func() int { return 1 })
	m.AddPlaces(10, func() map[metrics.Place]int { return nil })
	m.AddRedis(func() time.Duration { return 0 }, func() bool { return false })
	m.RedisProbes()(time.Millisecond, nil)
	problems, err := testutil.GatherAndLint(m.Registry)
	testkit.Must(t, err)
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "zonecast_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The latency that the cluster announces is that of all transports.
func TestTheLatencyOfAllTransportsIsAddedUp(t *testing.T) {
	m := metrics.New("test")
	for _, transport := range []string{"websocket", "sse"} {
		m.AddTransport(transport, func() int { return 0 })
		m.Latencies(transport, []time.Duration{time.Millisecond, 20 * time.Second}, nil)
	}
	if h := m.Totals().Latency; h.Count != 4 || h.Counts[1] != 2 {
		t.Errorf("the histogram is %+v", h)
	}
}
