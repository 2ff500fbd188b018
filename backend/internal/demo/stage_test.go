package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/wire"
)

// raised and cleared are the two notices of an alert.
func raised(id string) floor.Notice {
	return floor.Notice{Warehouse: "warehouse-1", Zone: "zone-a", Alert: floor.Alert{ID: id, RaisedAt: 1}}
}

func cleared(id string) floor.Notice {
	n := raised(id)
	n.Alert.ClearedAt = 2
	return n
}

// alerts lists the alerts among messages: +id raised, -id cleared.
func alerts(messages []publish.Message) string {
	var s []string
	for _, m := range messages {
		if a, ok := m.Data.(floor.Alert); ok {
			sign := "+"
			if a.ClearedAt != 0 {
				sign = "-"
			}
			s = append(s, sign+a.ID)
		}
	}
	return strings.Join(s, " ")
}

// settle tells the stage what became of what was due.
func settle(s *stage, due []publish.Message, failed func(publish.Message) bool) {
	results := make([]publish.Result, len(due))
	for i, m := range due {
		if failed(m) {
			results[i].Err = errAway
		}
	}
	s.settle(due, results)
}

func always(publish.Message) bool { return true }
func never(publish.Message) bool  { return false }

func TestAlertsThatFail(t *testing.T) {
	type beat struct {
		happens []floor.Notice
		fails   string // of what is due: the alerts that are not accepted
		due     string
	}
	tests := []struct {
		name string
		give []beat
	}{
		{"published once", []beat{
			{[]floor.Notice{raised("1"), raised("2"), cleared("1")}, "", "+1 +2 -1"}, {nil, "", ""}}},
		{"tried until it is accepted, in order, before what is newer", []beat{
			{[]floor.Notice{raised("1"), raised("2")}, "+1 +2", "+1 +2"},
			{[]floor.Notice{raised("3")}, "+1", "+1 +2 +3"},
			{nil, "", "+1"}, {nil, "", ""}}},
		{"forgotten when it is over before anybody heard of it", []beat{
			{[]floor.Notice{raised("1"), raised("2")}, "+1 +2", "+1 +2"},
			{[]floor.Notice{cleared("1")}, "+2", "+2"},
			{nil, "", "+2"}, {nil, "", ""}}},
		{"forgotten when both fail at once", []beat{
			{[]floor.Notice{raised("1"), cleared("1")}, "+1 -1", "+1 -1"}, {nil, "", ""}}},
		{"never raised after it was cleared", []beat{
			{[]floor.Notice{raised("1"), cleared("1")}, "+1", "+1 -1"}, {nil, "", ""}}},
		{"its end is kept for those who heard of it", []beat{
			{[]floor.Notice{raised("1"), cleared("1")}, "-1", "+1 -1"}, {nil, "-1", "-1"}, {nil, "", "-1"}, {nil, "", ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(floor.New(1, morning))
			for i, b := range tt.give {
				s.note(b.happens)
				due := s.due()
				if got := alerts(due); got != b.due {
					t.Fatalf("beat %d: due are %q, want %q", i, got, b.due)
				}
				settle(s, due, func(m publish.Message) bool {
					a := alerts([]publish.Message{m})
					return a != "" && strings.Contains(b.fails, a)
				})
			}
		})
	}
}

func TestAnAlertKeepsItsIdempotencyKey(t *testing.T) {
	s := newStage(floor.New(1, morning))
	s.note([]floor.Notice{raised("1")})
	due := s.due()
	first := due[0].IdempotencyKey
	settle(s, due, always)
	if again := s.due()[0].IdempotencyKey; again != first || first == "" {
		t.Errorf("tried again with the key %q after %q", again, first)
	}
}

// TestWhatWaitsIsBounded: a server that is away for a day does not let the demo grow.
func TestWhatWaitsIsBounded(t *testing.T) {
	s := newStage(floor.New(1, morning))
	most := 0
	for minute := range 24 * 60 {
		s.advance(morning.Add(time.Duration(minute) * time.Minute))
		settle(s, s.due(), always)
		most = max(most, len(s.alerts))
	}
	if most == 0 || most > 2*len(s.rooms) {
		t.Errorf("%d alerts wait", most)
	}
}

func TestARoomThatMissedSomethingIsOwedASnapshot(t *testing.T) {
	s := newStage(floor.New(1, morning))
	room := func(m publish.Message) string { return fmt.Sprint(m.Warehouse, " ", m.Zone) }
	settle(s, s.due(), never)
	missed := ""
	for missed == "" { // the simulated time stands: no snapshot is due for another reason
		s.beats++
		settle(s, s.due(), func(m publish.Message) bool {
			if missed == "" && m.Event == wire.EventZoneUpdate && s.beats > snapshotBeats {
				missed = room(m)
				return true
			}
			return false
		})
	}
	for range 2 * updateBeats {
		s.beats++
		due := s.due()
		for _, m := range due {
			if m.Event == wire.EventShiftSnapshot {
				if room(m) != missed {
					t.Errorf("%s got a snapshot, %s missed something", room(m), missed)
				}
				missed = "nothing"
			}
		}
		settle(s, due, never)
	}
	if missed != "nothing" {
		t.Errorf("%s got no snapshot", missed)
	}
}
