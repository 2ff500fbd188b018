package floor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// incidentKind is something that goes wrong now and then.
type incidentKind struct {
	severity Severity
	// title and detail are for people. A # stands for one of names, or a number up to count.
	title, detail string
	count         int
	names         []string
	// pace is what remains of the zone's pace while it lasts.
	pace float64
	// shortest and longest are how long it lasts, in minutes.
	shortest, longest int
	// weight is how often it happens compared with the others of its zone.
	weight int
}

var cities = []string{"Antwerp", "Hanover", "Lille", "Utrecht", "Dijon", "Erfurt", "Ghent", "Nuremberg"}

// anywhere can happen wherever people work with handhelds.
var anywhere = []incidentKind{
	{Info, "Handheld # needs a new battery", "The spare is at the charging station beside the team desk.", 24, nil, 0.97, 3, 8, 2},
	{Warning, "WiFi weak near access point #", "Handhelds lose their connection for seconds at a time. Confirm picks again when in doubt.", 9, nil, 0.8, 5, 18, 1},
}

var incidentKinds = map[role][]incidentKind{
	ambient: append([]incidentKind{
		{Critical, "Conveyor # stopped", "Jam at the merge. Carry totes to the next lane; maintenance is on its way.", 4, nil, 0.3, 4, 14, 3},
		{Warning, "Aisle # blocked", "A pallet has shifted on the upper level. Keep out until the rack is checked.", 28, nil, 0.72, 6, 20, 3},
		{Warning, "Replenishment late in aisle #", "Pick faces are empty. Skip the lines and come back for them.", 28, nil, 0.8, 8, 22, 4},
	}, anywhere...),
	chilled: append([]incidentKind{
		{Critical, "Chiller # above 5 °C", "Move open totes to the other cold room and keep the doors shut.", 3, nil, 0.45, 8, 25, 3},
		{Warning, "Cold store door # open", "Open for more than 90 seconds. Check the curtain and the sensor.", 4, nil, 0.92, 2, 6, 4},
	}, anywhere...),
	bulky: append([]incidentKind{
		{Critical, "Forklift # out of service", "Hydraulic fault. Use the reserve truck from the charging bay.", 6, nil, 0.5, 8, 25, 3},
		{Warning, "Aisle # blocked", "An oversize pallet does not fit its place. A second forklift is called.", 12, nil, 0.7, 5, 15, 3},
	}, anywhere...),
	packing: append([]incidentKind{
		{Info, "Label printer # out of paper", "Labels come from the neighbouring bench until the roll is changed.", 12, nil, 0.9, 2, 7, 5},
		{Warning, "Carton sealer # jammed", "Seal by hand. The technician has been told.", 5, nil, 0.7, 5, 16, 3},
		{Warning, "Carton size # running out", "Use the next larger size and add filler.", 6, nil, 0.85, 6, 18, 2},
		{Critical, "Outfeed belt # stopped", "Parcels pile up behind the benches. Stack them on roll cages.", 2, nil, 0.35, 4, 12, 2},
	}, anywhere...),
	dispatch: append([]incidentKind{
		{Critical, "Dock leveller # fault", "The dock is closed. Load through the neighbouring one.", 14, nil, 0.45, 8, 25, 2},
		{Warning, "Dock # blocked", "A trailer stands in the yard with a flat tyre. The shunter is on its way.", 14, nil, 0.65, 6, 20, 3},
		{Info, "Truck to # is late", "Stage its roll cages in the buffer lane and go on with the next one.", 0, cities, 0.85, 8, 30, 5},
	}, anywhere...),
	returns: append([]incidentKind{
		{Info, "Unknown articles at bench #", "Put them into the grey box; master data looks at them at the hour.", 5, nil, 0.85, 5, 15, 4},
		{Warning, "Sorter chute # full", "Empty it into a roll cage before the next tote.", 8, nil, 0.75, 3, 10, 3},
	}, anywhere...),
}

// buildingIncidents concern every zone of a warehouse.
var buildingIncidents = []incidentKind{
	{Warning, "Order system answers slowly", "Scans take several seconds. Do not scan twice.", 0, nil, 0.7, 5, 15, 4},
	{Critical, "Power dip in hall #", "Conveyors and printers restart one after the other. Wait for the green light.", 3, nil, 0.25, 3, 8, 1},
	{Info, "Fire alarm test", "The signal sounds for a minute. Nobody has to leave the building.", 0, nil, 0.93, 2, 4, 2},
}

const (
	// zoneGap and buildingGap are the mean times between two incidents at full crew, in seconds.
	zoneGap     = 80 * minute
	buildingGap = 9 * 60 * minute
	// openIncidents is how many may be open in one place at the same time.
	openIncidents = 2
)

// incidents are what is wrong in one place: a zone or a whole building.
type incidents struct {
	prefix string // of the ids
	kinds  []incidentKind
	gap    float64
	raised int
	open   []incident
}

type incident struct {
	kind  *incidentKind
	alert Alert
	until int64
}

// step clears what is over, perhaps raises something new, and returns the alerts that changed.
// activity is 1 when everybody is at work and less when fewer hands can break something.
func (in *incidents) step(now int64, activity float64, rng *rand.Rand) []Alert {
	var changed []Alert
	open := in.open[:0]
	for _, i := range in.open {
		if now < i.until {
			open = append(open, i)
			continue
		}
		i.alert.ClearedAt = now * 1000
		changed = append(changed, i.alert)
	}
	in.open = open
	if rng.Float64()*in.gap < activity && len(in.open) < openIncidents {
		if kind := in.draw(rng); kind != nil {
			changed = append(changed, in.raise(kind, now, rng))
		}
	}
	return changed
}

// draw chooses a kind by weight; nil when that is open already.
func (in *incidents) draw(rng *rand.Rand) *incidentKind {
	total := 0
	for _, k := range in.kinds {
		total += k.weight
	}
	at, i := rng.IntN(total), 0
	for at >= in.kinds[i].weight {
		at -= in.kinds[i].weight
		i++
	}
	kind := &in.kinds[i]
	if slices.ContainsFunc(in.open, func(i incident) bool { return i.kind == kind }) {
		return nil
	}
	return kind
}

func (in *incidents) raise(kind *incidentKind, now int64, rng *rand.Rand) Alert {
	in.raised++
	a := Alert{
		ID:       fmt.Sprintf("%s-%04d", in.prefix, in.raised),
		Severity: kind.severity,
		Title:    kind.title,
		Detail:   kind.detail,
		RaisedAt: now * 1000,
	}
	switch {
	case len(kind.names) > 0:
		a.Title = strings.ReplaceAll(a.Title, "#", kind.names[rng.IntN(len(kind.names))])
	case kind.count > 0:
		a.Title = strings.ReplaceAll(a.Title, "#", strconv.Itoa(1+rng.IntN(kind.count)))
	}
	lasts := int64(kind.shortest*minute) + rng.Int64N(int64(kind.longest-kind.shortest)*minute+1)
	in.open = append(in.open, incident{kind: kind, alert: a, until: now + lasts})
	return a
}

// pace is what remains of the usual pace.
func (in *incidents) pace() float64 {
	p := 1.0
	for _, i := range in.open {
		p *= i.kind.pace
	}
	return p
}

// alerts are those still open; never nil.
func (in *incidents) alerts() []Alert {
	alerts := make([]Alert, len(in.open))
	for i, o := range in.open {
		alerts[i] = o.alert
	}
	return alerts
}
