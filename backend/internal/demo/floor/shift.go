package floor

import (
	"fmt"
	"time"
)

// shiftKind indexes the arrays of a zonePlan.
type shiftKind int

const (
	early shiftKind = iota // 06:00 to 14:00
	late                   // 14:00 to 22:00
	night                  // 22:00 to 06:00, a skeleton crew
)

func (k shiftKind) String() string { return [...]string{"early", "late", "night"}[k] }

// starts is the hour at which each kind of shift begins, in local time.
var starts = [...]int{early: 6, late: 14, night: 22}

// shift is one shift of one day. When clocks change, that of the night has seven or nine hours.
type shift struct {
	kind       shiftKind
	start, end time.Time
}

// shiftAt returns the shift that t is in, by the clock of t's location. Of two, the later.
func shiftAt(t time.Time) shift {
	y, m, d := t.Date()
	at := func(day, hour int) time.Time { return time.Date(y, m, day, hour, 0, 0, 0, t.Location()) }
	switch h := t.Hour(); {
	case h < starts[early]:
		return shift{night, at(d-1, starts[night]), at(d, starts[early])}
	case h < starts[late]:
		return shift{early, at(d, starts[early]), at(d, starts[late])}
	case h < starts[night]:
		return shift{late, at(d, starts[late]), at(d, starts[night])}
	}
	return shift{night, at(d, starts[night]), at(d+1, starts[early])}
}

// name is the shift's name in events: the day it began on and its kind.
func (s shift) name() string { return fmt.Sprintf("%s-%v", s.start.Format(time.DateOnly), s.kind) }

func (s shift) seconds() int64 { return s.end.Unix() - s.start.Unix() }

// unitsTarget is what an hourly target makes of the whole shift.
func (s shift) unitsTarget(perHour int) int { return perHour * int(s.seconds()) / 3600 }

const minute = 60 // seconds

// energy is how much of their usual pace people reach after this many seconds of the shift, apart
// from chance: they find their rhythm in the first 25 minutes, tire towards the end, and tidy up in
// the last ten.
func (s shift) energy(after int64) float64 {
	const rampUp, tidyUp = 25 * minute, 10 * minute
	e := 1.04 - 0.1*float64(after)/float64(s.seconds())
	if after < rampUp {
		x := float64(after) / rampUp
		e *= 0.35 + 0.65*x*x*(3-2*x)
	}
	if left := s.seconds() - after; left < tidyUp {
		e *= 0.5 + 0.5*float64(left)/tidyUp
	}
	return e
}

// demand is how much is ordered at this hour relative to the plan: most before noon and in the
// evening.
func demand(hour int) float64 {
	switch {
	case hour >= 9 && hour < 12, hour >= 18 && hour < 21:
		return 1.06
	case hour >= 12 && hour < 15:
		return 0.95
	}
	return 1
}
