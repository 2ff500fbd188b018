package floor

// A role decides what a zone's orders come from and what can go wrong there.
type role int

const (
	ambient role = iota
	chilled
	bulky
	packing
	dispatch
	returns
)

// warehousePlan is what does not change about a warehouse.
type warehousePlan struct {
	name  string // as in rooms
	alert string // how the ids of its alerts begin
	zones []zonePlan
}

// zonePlan is what does not change about a zone. The arrays have an entry for each kind of shift:
// early, late, night.
type zonePlan struct {
	name  string // as in rooms
	title string // as people call it
	role  role
	// crew is how many people are planned, target how many units an hour they are to handle on
	// average over the shift.
	crew, target [3]int
	// unitsPerOrder is the average size of the part of an order that this zone handles.
	unitsPerOrder float64
	// from are the zones whose units arrive here, by their index in the warehouse, all before this
	// one. Without any, the wave planner releases orders to the zone.
	from []int
}

// plans are the warehouses. Packing and dispatch handle the sum of what reaches them.
var plans = [...]warehousePlan{
	{name: "warehouse-1", alert: "wh1", zones: []zonePlan{
		{name: "zone-a", title: "Ambient picking", role: ambient, unitsPerOrder: 12,
			crew: [3]int{12, 10, 3}, target: [3]int{1450, 1200, 350}},
		{name: "zone-b", title: "Chilled picking", role: chilled, unitsPerOrder: 8,
			crew: [3]int{6, 5, 2}, target: [3]int{620, 520, 200}},
		{name: "zone-c", title: "Packing", role: packing, unitsPerOrder: 10, from: []int{0, 1},
			crew: [3]int{17, 14, 5}, target: [3]int{2070, 1720, 550}},
		{name: "zone-d", title: "Dispatch", role: dispatch, unitsPerOrder: 10, from: []int{2},
			crew: [3]int{9, 8, 3}, target: [3]int{2070, 1720, 550}},
	}},
	{name: "warehouse-2", alert: "wh2", zones: []zonePlan{
		{name: "zone-a", title: "Ambient picking", role: ambient, unitsPerOrder: 14,
			crew: [3]int{16, 14, 5}, target: [3]int{1900, 1680, 580}},
		{name: "zone-b", title: "Bulky goods", role: bulky, unitsPerOrder: 2,
			crew: [3]int{7, 6, 2}, target: [3]int{280, 240, 80}},
		{name: "zone-c", title: "Packing", role: packing, unitsPerOrder: 9, from: []int{0, 1},
			crew: [3]int{18, 16, 6}, target: [3]int{2180, 1920, 660}},
		{name: "zone-d", title: "Dispatch", role: dispatch, unitsPerOrder: 9, from: []int{2},
			crew: [3]int{10, 9, 4}, target: [3]int{2180, 1920, 660}},
		{name: "zone-e", title: "Returns", role: returns, unitsPerOrder: 3,
			crew: [3]int{5, 4, 1}, target: [3]int{240, 190, 45}},
	}},
	{name: "warehouse-3", alert: "wh3", zones: []zonePlan{
		{name: "zone-a", title: "Ambient picking", role: ambient, unitsPerOrder: 10,
			crew: [3]int{8, 7, 2}, target: [3]int{980, 850, 240}},
		{name: "zone-b", title: "Chilled picking", role: chilled, unitsPerOrder: 7,
			crew: [3]int{5, 5, 2}, target: [3]int{540, 530, 200}},
		{name: "zone-c", title: "Pack and dispatch", role: packing, unitsPerOrder: 8, from: []int{0, 1},
			crew: [3]int{13, 12, 4}, target: [3]int{1520, 1380, 440}},
	}},
}
