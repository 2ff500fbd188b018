package floor

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no time zones

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func TestShiftAt(t *testing.T) {
	utc := time.UTC
	tests := []struct {
		give       time.Time
		name       string
		start, end string
	}{
		{time.Date(2026, 11, 24, 6, 0, 0, 0, utc), "2026-11-24-early", "24 06:00", "24 14:00"},
		{time.Date(2026, 11, 24, 13, 59, 59, 0, utc), "2026-11-24-early", "24 06:00", "24 14:00"},
		{time.Date(2026, 11, 24, 14, 0, 0, 0, utc), "2026-11-24-late", "24 14:00", "24 22:00"},
		{time.Date(2026, 11, 24, 22, 0, 0, 0, utc), "2026-11-24-night", "24 22:00", "25 06:00"},
		{time.Date(2026, 11, 25, 5, 59, 59, 0, utc), "2026-11-24-night", "24 22:00", "25 06:00"},
		{time.Date(2026, 12, 1, 0, 0, 0, 0, utc), "2026-11-30-night", "30 22:00", "01 06:00"},
		{time.Date(2026, 11, 24, 7, 0, 0, 0, time.FixedZone("", 3600)), "2026-11-24-early", "24 06:00", "24 14:00"},
	}
	for _, tt := range tests {
		s := shiftAt(tt.give)
		const layout = "02 15:04"
		if s.name() != tt.name || s.start.Format(layout) != tt.start || s.end.Format(layout) != tt.end {
			t.Errorf("%v is in %s from %s to %s, want %s from %s to %s", tt.give, s.name(), s.start.Format(layout),
				s.end.Format(layout), tt.name, tt.start, tt.end)
		}
	}
}

// TestClocksGoBack: the night in which clocks go back has nine hours, and a target for nine.
func TestClocksGoBack(t *testing.T) {
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	testkit.Must(t, err)
	f := New(1, time.Date(2026, 10, 24, 22, 0, 0, 0, amsterdam))
	s := f.Warehouses()[0].Zones()[0].Snapshot()
	if hours := time.Duration(s.EndsAt-s.StartsAt) * time.Millisecond / time.Hour; hours != 9 || s.UnitsTarget != 9*s.UnitsPerHourTarget {
		t.Errorf("the night has %d hours and a target of %d units at %d an hour", hours, s.UnitsTarget, s.UnitsPerHourTarget)
	}
	f.Advance(time.Date(2026, 10, 25, 6, 0, 0, 0, amsterdam))
	if want := "2026-10-25-early"; f.Shift() != want {
		t.Errorf("the night is followed by %s, want %s", f.Shift(), want)
	}
}
