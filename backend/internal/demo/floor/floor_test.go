package floor

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// monday is the beginning of an early shift.
var monday = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// state is everything that a floor shows, as JSON.
func state(t *testing.T, f *Floor) string {
	t.Helper()
	var all []any
	for _, w := range f.Warehouses() {
		all = append(all, w.Snapshot())
		for _, z := range w.Zones() {
			all = append(all, z.Snapshot(), z.Update())
		}
	}
	return encode(t, all)
}

func encode(t *testing.T, v any) string {
	t.Helper()
	p, err := json.Marshal(v)
	testkit.Must(t, err)
	return string(p)
}

func TestSameSeedSameDay(t *testing.T) {
	tests := []struct {
		name string
		step time.Duration
	}{
		{"second by second", time.Second},
		{"in fractions", 700 * time.Millisecond},
		{"minute by minute", time.Minute},
		{"in leaps", 97 * time.Minute},
	}
	end := monday.Add(30 * time.Hour)
	reference := New(7, monday)
	wantNotices := encode(t, reference.Advance(end))
	want := state(t, reference)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := New(7, monday)
			var notices []Notice
			for at := monday; at.Before(end); at = at.Add(tt.step) {
				notices = append(notices, f.Advance(at)...)
			}
			notices = append(notices, f.Advance(end)...)
			if got := encode(t, notices); got != wantNotices {
				t.Error("the alerts depend on how time is cut")
			}
			if got := state(t, f); got != want {
				t.Errorf("the state depends on how time is cut:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestStartInTheMiddleOfAShift(t *testing.T) {
	at := monday.Add(3*time.Hour + 30*time.Minute)
	worked := New(7, monday)
	worked.Advance(at)
	if got, want := state(t, New(7, at)), state(t, worked); got != want {
		t.Errorf("a start in the shift is not where the shift had come to:\n%s\nwant\n%s", got, want)
	}
}

func TestAnotherSeedIsAnotherDay(t *testing.T) {
	at := monday.Add(2 * time.Hour)
	if state(t, New(1, at)) == state(t, New(2, at)) {
		t.Error("two seeds gave the same day")
	}
}

func TestTimeDoesNotRunBackwards(t *testing.T) {
	f := New(7, monday.Add(time.Hour))
	want := state(t, f)
	if notices := f.Advance(monday); notices != nil || state(t, f) != want {
		t.Error("a time that has passed changed something")
	}
}

// TestWeek holds a week, second by second, to what must be true of every warehouse.
func TestWeek(t *testing.T) {
	t.Parallel()
	f := New(42, monday)
	ledgers := map[*Zone]*ledger{}
	alerts := newAlertBook(t)
	for range 7 * 24 * 3600 {
		alerts.note(f.Advance(f.Now().Add(time.Second)))
		for _, w := range f.Warehouses() {
			for _, z := range w.Zones() {
				l := ledgers[z]
				if l == nil {
					l = &ledger{t: t, zone: w.Name() + "/" + z.Name()}
					ledgers[z] = l
				}
				l.enter(z)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
		if f.Now().Unix()%600 == 0 {
			checkSums(t, f)
			alerts.checkOpen(f)
		}
	}
	for _, l := range ledgers {
		l.checkWeek()
	}
	alerts.checkWeek(f)
}

// ledger adds up what one zone shows.
type ledger struct {
	t    *testing.T
	zone string

	shift    time.Time
	integral float64 // of the rate shown
	seconds  int
	last     ZoneUpdate
	shifts   []float64 // the share of its target that each whole shift reached
	target   int
	fell     bool // ordersOpen
	rose     bool
}

func (l *ledger) enter(z *Zone) {
	u := z.Update()
	if !z.shift.start.Equal(l.shift) {
		if !l.shift.IsZero() {
			l.shifts = append(l.shifts, float64(l.last.UnitsDone)/float64(l.target))
		}
		*l = ledger{t: l.t, zone: l.zone, shift: z.shift.start, shifts: l.shifts, target: l.target, fell: l.fell, rose: l.rose}
		l.integral = z.done - float64(u.PickRate)/3600 // a floor begins with its first second done
		l.last.OrdersOpen = u.OrdersOpen
	}
	l.target = z.shift.unitsTarget(z.target())
	l.integral += float64(u.PickRate) / 3600
	l.seconds++
	// Each second's rate is rounded to a whole unit an hour, and the sum to a whole unit.
	if off := math.Abs(l.integral - float64(u.UnitsDone)); off > 1+0.5/3600*float64(l.seconds) {
		l.t.Errorf("%s at %v: %d units done, the rates shown add up to %.1f", l.zone, z.now, u.UnitsDone, l.integral)
	}
	crew := z.plan.crew[z.shift.kind]
	switch {
	case u.PickRate < 0 || u.OrdersOpen < 0 || z.backlog < 0 || z.transit < 0:
		l.t.Errorf("%s at %v: below zero: %+v", l.zone, z.now, u)
	case u.Workers < 0 || u.Workers > crew:
		l.t.Errorf("%s at %v: %d people of %d are at work", l.zone, z.now, u.Workers, crew)
	case u.UnitsDone < l.last.UnitsDone:
		l.t.Errorf("%s at %v: units done fell from %d to %d", l.zone, z.now, l.last.UnitsDone, u.UnitsDone)
	case u.PickRate > 3*z.plan.target[early]:
		l.t.Errorf("%s at %v: nobody works at %d an hour", l.zone, z.now, u.PickRate)
	case u.OrdersOpen > 1000:
		l.t.Errorf("%s at %v: %d orders pile up", l.zone, z.now, u.OrdersOpen)
	}
	l.rose = l.rose || u.OrdersOpen > l.last.OrdersOpen
	l.fell = l.fell || u.OrdersOpen < l.last.OrdersOpen
	l.last = u
}

func (l *ledger) checkWeek() {
	if !l.rose || !l.fell {
		l.t.Errorf("%s: orders rose %v, fell %v", l.zone, l.rose, l.fell)
	}
	sum := 0.0
	for _, share := range l.shifts {
		sum += share
		if share < 0.4 || share > 1.5 {
			l.t.Errorf("%s: a shift ended at %.0f %% of its target", l.zone, 100*share)
		}
	}
	if mean := sum / float64(len(l.shifts)); len(l.shifts) < 20 || mean < 0.9 || mean > 1.12 {
		l.t.Errorf("%s: %d shifts reached %.0f %% of their targets on average", l.zone, len(l.shifts), 100*mean)
	}
}

// checkSums holds the snapshots to the updates of the same moment, and the warehouse's to those of
// its zones.
func checkSums(t *testing.T, f *Floor) {
	t.Helper()
	for _, w := range f.Warehouses() {
		sum := w.Snapshot()
		workers, done, rate, orders, target, perHour := 0, 0, 0, 0, 0, 0
		for i, z := range w.Zones() {
			s, u := z.Snapshot(), z.Update()
			if (ZoneUpdate{s.Now, s.Workers, s.UnitsDone, s.PickRate, s.OrdersOpen}) != u {
				t.Errorf("%s: the snapshot %+v is not the update %+v", z.Name(), s, u)
			}
			if want := (ZoneSummary{s.Zone, s.Name, s.PickRate, s.UnitsDone, s.UnitsTarget, s.Workers, s.OrdersOpen}); sum.Zones[i] != want {
				t.Errorf("%s: the warehouse shows %+v, the zone %+v", z.Name(), sum.Zones[i], want)
			}
			if s.Shift != f.Shift() || s.Shift != sum.Shift || s.StartsAt != sum.StartsAt || s.EndsAt != sum.EndsAt {
				t.Errorf("%s: shift %s in %s of %s", z.Name(), s.Shift, sum.Shift, f.Shift())
			}
			if s.Now < s.StartsAt || s.Now >= s.EndsAt || s.Now != f.Now().UnixMilli() {
				t.Errorf("%s: now is %d in a shift from %d to %d", z.Name(), s.Now, s.StartsAt, s.EndsAt)
			}
			workers, done, rate, orders = workers+s.Workers, done+s.UnitsDone, rate+s.PickRate, orders+s.OrdersOpen
			target, perHour = target+s.UnitsTarget, perHour+s.UnitsPerHourTarget
		}
		if sum.Workers != workers || sum.UnitsDone != done || sum.PickRate != rate || sum.OrdersOpen != orders ||
			sum.UnitsTarget != target || sum.UnitsPerHourTarget != perHour {
			t.Errorf("%s: %+v is not the sum of its zones", w.Name(), sum)
		}
	}
}

// alertBook keeps every alert from its raising to its clearing.
type alertBook struct {
	t     *testing.T
	open  map[string]Notice
	known map[string]bool
	most  int64 // how long an alert may last, in ms
	seen  map[Severity]int
}

func newAlertBook(t *testing.T) *alertBook {
	b := &alertBook{t: t, open: map[string]Notice{}, known: map[string]bool{}, seen: map[Severity]int{}}
	longest := 0
	for _, k := range buildingIncidents {
		longest = max(longest, k.longest)
	}
	for _, kinds := range incidentKinds {
		for _, k := range kinds {
			longest = max(longest, k.longest)
		}
	}
	b.most = int64(longest) * minute * 1000
	return b
}

func (b *alertBook) note(notices []Notice) {
	for _, n := range notices {
		a := n.Alert
		before, open := b.open[a.ID]
		switch {
		case a.Title == "" || a.Detail == "" || strings.ContainsRune(a.Title+a.Detail, '#') || n.Warehouse == "":
			b.t.Errorf("incomplete: %+v", n)
		case a.ClearedAt == 0 && b.known[a.ID]:
			b.t.Errorf("the id of %+v was used before", n)
		case a.ClearedAt == 0:
			b.known[a.ID], b.open[a.ID] = true, n
			b.seen[a.Severity]++
		case !open:
			b.t.Errorf("cleared without being open: %+v", n)
		case a.ClearedAt <= a.RaisedAt || a.ClearedAt-a.RaisedAt > b.most:
			b.t.Errorf("lasted too long or not at all: %+v", n)
		default:
			a.ClearedAt = 0
			if n.Alert = a; n != before {
				b.t.Errorf("raised as %+v, cleared as %+v", before, n)
			}
			delete(b.open, a.ID)
		}
	}
}

// checkOpen holds the snapshots' open alerts to those raised and not cleared.
func (b *alertBook) checkOpen(f *Floor) {
	shown := 0
	check := func(warehouse, zone string, alerts []Alert) {
		for _, a := range alerts {
			shown++
			if b.open[a.ID] != (Notice{warehouse, zone, a}) {
				b.t.Errorf("a snapshot of %s %s shows %+v, which is not open", warehouse, zone, a)
			}
		}
	}
	for _, w := range f.Warehouses() {
		check(w.Name(), "", w.Snapshot().Alerts)
		for _, z := range w.Zones() {
			check(w.Name(), z.Name(), z.Snapshot().Alerts)
		}
	}
	if shown != len(b.open) {
		b.t.Errorf("the snapshots show %d alerts, %d are open", shown, len(b.open))
	}
}

func (b *alertBook) checkWeek(f *Floor) {
	for _, n := range b.open {
		if f.Now().UnixMilli()-n.Alert.RaisedAt > b.most {
			b.t.Errorf("never cleared: %+v", n)
		}
	}
	for _, s := range []Severity{Info, Warning, Critical} {
		if b.seen[s] < 20 {
			b.t.Errorf("a week had %d alerts of severity %s", b.seen[s], s)
		}
	}
}
