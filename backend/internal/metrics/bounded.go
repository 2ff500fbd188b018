package metrics

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// overflow is the label of everything beyond a bound, which is no name of a warehouse or a zone.
const overflow = "(others)"

// boundedCounters count by a label that strangers choose: each of the first names has a counter of
// its own for as long as the process lives, the others have one together.
type boundedCounters struct {
	desc *prometheus.Desc
	most int

	others atomic.Uint64
	counts sync.Map // of *atomic.Uint64, by name
	mu     sync.Mutex
	names  int // in counts; guarded by mu
}

func newBoundedCounters(name, help, label string, most int) *boundedCounters {
	return &boundedCounters{desc: prometheus.NewDesc(name, help, []string{label}, nil), most: most}
}

func (b *boundedCounters) add(name string) {
	if n, ok := b.counts.Load(name); ok {
		n.(*atomic.Uint64).Add(1)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, known := b.counts.Load(name)
	switch {
	case known:
	case b.names == b.most:
		b.others.Add(1)
		return
	default:
		n = new(atomic.Uint64)
		b.counts.Store(name, n)
		b.names++
	}
	n.(*atomic.Uint64).Add(1)
}

// Describe implements prometheus.Collector.
func (b *boundedCounters) Describe(to chan<- *prometheus.Desc) { to <- b.desc }

// Collect implements prometheus.Collector.
func (b *boundedCounters) Collect(to chan<- prometheus.Metric) {
	b.counts.Range(func(name, n any) bool {
		to <- prometheus.MustNewConstMetric(b.desc, prometheus.CounterValue, float64(n.(*atomic.Uint64).Load()), name.(string))
		return true
	})
	to <- prometheus.MustNewConstMetric(b.desc, prometheus.CounterValue, float64(b.others.Load()), overflow)
}

// A Place is a warehouse, or a zone of one.
type Place struct{ Warehouse, Zone string }

// AddPlaces registers the open connections by warehouse and by zone, read when they are scraped:
// those of the places with the most, as many as the bound, and the others together.
func (m *Metrics) AddPlaces(bound int, read func() map[Place]int) {
	m.Registry.MustRegister(places{bound, read,
		prometheus.NewDesc("zonecast_warehouse_connections", "Connections in at least one room of the warehouse.", []string{"warehouse"}, nil),
		prometheus.NewDesc("zonecast_zone_connections", "Connections in the room of the zone.", []string{"warehouse", "zone"}, nil)})
}

type places struct {
	bound            int
	read             func() map[Place]int
	warehouses, zone *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (p places) Describe(to chan<- *prometheus.Desc) { to <- p.warehouses; to <- p.zone }

// Collect implements prometheus.Collector.
func (p places) Collect(to chan<- prometheus.Metric) {
	type counted struct {
		Place
		n int
	}
	var warehouses, zones []counted
	for place, n := range p.read() {
		if place.Zone == "" {
			warehouses = append(warehouses, counted{place, n})
		} else {
			zones = append(zones, counted{place, n})
		}
	}
	largestFirst := func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.Warehouse, b.Warehouse), cmp.Compare(a.Zone, b.Zone))
	}
	send := func(all []counted, desc *prometheus.Desc, labels func(Place) []string) {
		slices.SortFunc(all, largestFirst)
		others := 0
		for i, c := range all {
			if i >= p.bound {
				others += c.n
				continue
			}
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(c.n), labels(c.Place)...)
		}
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(others), labels(Place{overflow, overflow})...)
	}
	send(warehouses, p.warehouses, func(p Place) []string { return []string{p.Warehouse} })
	send(zones, p.zone, func(p Place) []string { return []string{p.Warehouse, p.Zone} })
}
