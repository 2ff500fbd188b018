package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// However many warehouses there are, the label has a bounded number of values; those that keep
// least are counted together.
func TestTheUsageOfWarehousesHasBoundedLabels(t *testing.T) {
	m := metrics.New("v-test")
	all := map[string]metrics.WarehouseUsage{}
	for i := range 1000 {
		all[fmt.Sprint("w", i)] = metrics.WarehouseUsage{"history_bytes": i, "rooms": 1}
	}
	m.Usage(func() map[string]metrics.WarehouseUsage { return all }, "history_bytes")
	families, err := m.Registry.Gather()
	testkit.Must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			if f.GetName() == "zonecast_warehouse_usage" {
				var labels []string
				for _, l := range one.GetLabel() {
					labels = append(labels, l.GetValue())
				}
				got[strings.Join(labels, " ")] = one.GetGauge().GetValue()
			}
		}
	}
	if len(got) != 202 || got["history_bytes w999"] != 999 || got["rooms (others)"] != 900 || got["history_bytes (others)"] != 899*900/2 {
		t.Errorf("%d values, the largest warehouse keeps %v, the others %v in %v rooms", len(got), got["history_bytes w999"],
			got["history_bytes (others)"], got["rooms (others)"])
	}
}
