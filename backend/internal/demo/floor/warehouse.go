package floor

import (
	"math/rand/v2"
	"time"
)

// A Warehouse is one building with its zones.
type Warehouse struct {
	plan      *warehousePlan
	rng       *rand.Rand
	zones     []*Zone
	handled   []float64 // by each zone in the step under way
	dock      dock
	incidents incidents
}

func newWarehouse(plan *warehousePlan, seed uint64) *Warehouse {
	w := &Warehouse{
		plan:      plan,
		rng:       newRand(seed, plan.name),
		handled:   make([]float64, len(plan.zones)),
		incidents: incidents{prefix: plan.alert + "-site", kinds: buildingIncidents, gap: buildingGap},
	}
	for i := range plan.zones {
		z := &plan.zones[i]
		letter := z.name[len(z.name)-1:]
		w.zones = append(w.zones, newZone(z, plan.alert+"-"+letter, newRand(seed, plan.name+"/"+z.name)))
	}
	return w
}

// Name is the warehouse's name in rooms.
func (w *Warehouse) Name() string { return w.plan.name }

// Zones are the zones in the order of their names.
func (w *Warehouse) Zones() []*Zone { return w.zones }

func (w *Warehouse) begin(s shift) {
	for _, z := range w.zones {
		z.begin(s)
	}
}

func (w *Warehouse) fill() {
	for _, z := range w.zones {
		z.fill()
	}
}

// step lets one second pass in the building and then in its zones, in the direction of the goods.
func (w *Warehouse) step(now time.Time) []Notice {
	var notices []Notice
	note := func(zone string, changed []Alert) {
		for _, a := range changed {
			notices = append(notices, Notice{Warehouse: w.plan.name, Zone: zone, Alert: a})
		}
	}
	note("", w.incidents.step(now.Unix(), w.activity(), w.rng))
	conditions, trucks := w.incidents.pace(), w.dock.step(now.Unix(), w.rng)
	for i, z := range w.zones {
		arriving := 0.0
		for _, from := range z.plan.from {
			arriving += w.handled[from]
		}
		pace := conditions
		if z.plan.role == dispatch {
			pace *= trucks
		}
		var changed []Alert
		w.handled[i], changed = z.step(now, arriving, pace)
		note(z.plan.name, changed)
	}
	return notices
}

// activity is that of the busiest zone: the building's machines run for it.
func (w *Warehouse) activity() float64 {
	a := 0.0
	for _, z := range w.zones {
		a = max(a, z.activity())
	}
	return a
}

// Snapshot is what a SHIFT_SNAPSHOT of the warehouse says now.
func (w *Warehouse) Snapshot() WarehouseSnapshot {
	first := w.zones[0]
	s := WarehouseSnapshot{
		Shift:    first.shift.name(),
		StartsAt: first.shift.start.UnixMilli(),
		EndsAt:   first.shift.end.UnixMilli(),
		Now:      first.now.UnixMilli(),
		Alerts:   w.incidents.alerts(),
	}
	for _, z := range w.zones {
		sum := z.summary()
		s.Zones = append(s.Zones, sum)
		s.Workers += sum.Workers
		s.UnitsPerHourTarget += z.target()
		s.UnitsTarget += sum.UnitsTarget
		s.UnitsDone += sum.UnitsDone
		s.PickRate += sum.PickRate
		s.OrdersOpen += sum.OrdersOpen
	}
	return s
}
