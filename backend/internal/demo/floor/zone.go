package floor

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// efficiency is what breaks, ramp-up, incidents and waiting for orders leave of the usual pace,
	// averaged over a shift. Targets are averages over a shift too, so people at their usual pace
	// are above target.
	efficiency = 0.8
	// inertia is the time in seconds that a zone's rate takes to follow what drives it.
	inertia = 40
	// release and conveyor are how long orders take on average to arrive from the planner, and
	// units from another zone.
	release, conveyor = 60, 5 * minute
	// scarce is the work for this many seconds below which people begin to wait for more.
	scarce = 3 * minute
)

// A Zone is one zone of a [Warehouse].
type Zone struct {
	plan      *zonePlan
	rng       *rand.Rand
	incidents incidents

	// Of this shift.
	shift  shift
	roster roster
	done   float64 // units

	// As it is now.
	now     time.Time
	workers int
	rate    float64 // units an hour
	transit float64 // units on their way here
	backlog float64 // units that wait to be handled
	wave    int64   // when the planner releases the next orders
	pace    drift   // of minutes: bigger and smaller items, a chat
	form    drift   // of an hour: the day's form of a team
}

func newZone(plan *zonePlan, prefix string, rng *rand.Rand) *Zone {
	return &Zone{
		plan:      plan,
		rng:       rng,
		incidents: incidents{prefix: prefix, kinds: incidentKinds[plan.role], gap: zoneGap},
		pace:      newDrift(0.05, 4*minute),
		form:      newDrift(0.035, 60*minute),
	}
}

// Name is the zone's name in rooms.
func (z *Zone) Name() string { return z.plan.name }

// begin starts a shift. Orders stay; the count of units starts anew.
func (z *Zone) begin(s shift) {
	z.shift = s
	z.done = 0
	z.roster = drawRoster(z.rng, z.plan.crew[s.kind], s.seconds())
}

func (z *Zone) target() int { return z.plan.target[z.shift.kind] }

// step lets one second pass: arriving units came from the zones before this one, and conditions is
// what the building leaves of the pace. It returns the units handled and the alerts that changed.
func (z *Zone) step(now time.Time, arriving, conditions float64) (handled float64, changed []Alert) {
	z.now = now
	unix := now.Unix()
	after := unix - z.shift.start.Unix()
	z.workers = z.roster.at(after)
	changed = z.incidents.step(unix, z.activity(), z.rng)
	z.receive(now, arriving)

	crew := float64(z.plan.crew[z.shift.kind])
	usual := float64(z.target()) / efficiency * z.headroom()
	chance := 1 + z.pace.next(z.rng) + z.form.next(z.rng)
	wanted := usual * float64(z.workers) / crew * z.shift.energy(after) * chance * z.incidents.pace() * conditions
	wanted *= min(1, z.backlog/(usual*scarce/3600))

	z.rate += (wanted - z.rate) / inertia
	z.rate = max(0, min(z.rate, z.backlog*3600))
	handled = z.rate / 3600
	z.backlog -= handled
	z.done += handled
	return handled, changed
}

// activity compares the people at work with a full early shift.
func (z *Zone) activity() float64 { return float64(z.workers) / float64(z.plan.crew[early]) }

// headroom is the spare pace of zones that can only handle what others send: without it an hour
// lost there could never be made good.
func (z *Zone) headroom() float64 {
	switch z.plan.role {
	case packing:
		return 1.08
	case dispatch:
		return 1.15
	}
	return 1
}

// receive takes in what arrives from other zones or the planner.
func (z *Zone) receive(now time.Time, arriving float64) {
	lag := float64(release)
	if len(z.plan.from) > 0 {
		lag = conveyor
		z.transit += arriving
	} else if now.Unix() >= z.wave {
		z.transit += z.planWave(now)
	}
	in := z.transit / lag
	z.transit -= in
	z.backlog += in
}

// planWave returns the units of the orders that the planner releases now: what should keep the zone
// busy until the next wave, more or less, corrected by half of what waits too much or too little.
func (z *Zone) planWave(now time.Time) float64 {
	perSecond := float64(z.target()) / 3600
	next := 30*minute + z.rng.Int64N(20*minute)
	z.wave = now.Unix() + next
	const reserve = 20 * minute
	waiting := z.backlog + z.transit - reserve*perSecond
	guess := 0.92 + 0.16*z.rng.Float64()
	return max(0, float64(next)*perSecond*demand(now.Hour())*guess-waiting/2)
}

// fill gives the zone the work that it would have had from the shift before.
func (z *Zone) fill() {
	perSecond := float64(z.target()) / 3600
	z.backlog = 15 * minute * perSecond
	if len(z.plan.from) > 0 {
		z.transit = conveyor * perSecond / 2
	}
}

// Update is what a ZONE_UPDATE says now.
func (z *Zone) Update() ZoneUpdate {
	return ZoneUpdate{
		Now:        z.now.UnixMilli(),
		Workers:    z.workers,
		UnitsDone:  int(z.done),
		PickRate:   int(math.Round(z.rate)),
		OrdersOpen: int(math.Ceil(z.backlog / z.plan.unitsPerOrder)),
	}
}

// Snapshot is what a SHIFT_SNAPSHOT of the zone says now.
func (z *Zone) Snapshot() ZoneSnapshot {
	u := z.Update()
	return ZoneSnapshot{
		Shift:              z.shift.name(),
		StartsAt:           z.shift.start.UnixMilli(),
		EndsAt:             z.shift.end.UnixMilli(),
		Now:                u.Now,
		Zone:               z.plan.name,
		Name:               z.plan.title,
		Workers:            u.Workers,
		UnitsPerHourTarget: z.target(),
		UnitsTarget:        z.shift.unitsTarget(z.target()),
		UnitsDone:          u.UnitsDone,
		PickRate:           u.PickRate,
		OrdersOpen:         u.OrdersOpen,
		Alerts:             z.incidents.alerts(),
	}
}

func (z *Zone) summary() ZoneSummary {
	u := z.Update()
	return ZoneSummary{
		Zone:        z.plan.name,
		Name:        z.plan.title,
		PickRate:    u.PickRate,
		UnitsDone:   u.UnitsDone,
		UnitsTarget: z.shift.unitsTarget(z.target()),
		Workers:     u.Workers,
		OrdersOpen:  u.OrdersOpen,
	}
}

// Crew is how many people are planned for an early shift, the fullest one.
func (z *Zone) Crew() int { return z.plan.crew[early] }
