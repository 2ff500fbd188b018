package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// maxWarehouses bounds the label warehouse. Those that keep least are counted together beyond it.
const maxWarehouses = 100

// A WarehouseUsage is what one warehouse keeps: by the name of the quota.
type WarehouseUsage map[string]int

// Usage registers what each warehouse keeps, which is read when it is scraped. Warehouses are
// ordered by the sum over the quotas named in order.
func (m *Metrics) Usage(read func() map[string]WarehouseUsage, order ...string) {
	m.Registry.MustRegister(usage{read, order, prometheus.NewDesc("zonecast_warehouse_usage",
		"What a warehouse keeps of a quota, as far as this instance knows.", []string{"warehouse", "quota"}, nil)})
}

type usage struct {
	read  func() map[string]WarehouseUsage
	order []string
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (u usage) Describe(to chan<- *prometheus.Desc) { to <- u.desc }

// Collect implements prometheus.Collector.
func (u usage) Collect(to chan<- prometheus.Metric) {
	all := u.read()
	size := func(name string) (sum int) {
		for _, quota := range u.order {
			sum += all[name][quota]
		}
		return sum
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b))
	})
	others := WarehouseUsage{}
	for i, name := range names {
		for quota, n := range all[name] {
			if i >= maxWarehouses {
				others[quota] += n
				continue
			}
			to <- prometheus.MustNewConstMetric(u.desc, prometheus.GaugeValue, float64(n), name, quota)
		}
	}
	for quota, n := range others {
		to <- prometheus.MustNewConstMetric(u.desc, prometheus.GaugeValue, float64(n), overflow, quota)
	}
}
