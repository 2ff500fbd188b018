package alert

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/wire"
)

// An Open is an alert that is open in a room. Times are in ms since 1970.
type Open struct {
	Alert
	Room           string `json:"room"`
	Acknowledged   bool   `json:"acknowledged"`
	AcknowledgedBy string `json:"acknowledgedBy,omitempty"`
	AcknowledgedAt int64  `json:"acknowledgedAt,omitempty"`
	EscalatedAt    int64  `json:"escalatedAt,omitempty"`
}

// EscalatesAt returns when nobody has seen to the alert for too long, or 0 for never; after is for
// how long an alert may be open that does not say so itself, in ms, 0 for ever.
func (o Open) EscalatesAt(after int64) int64 {
	if after = cmp.Or(o.EscalateAfter, after); after <= 0 || o.Acknowledged || o.EscalatedAt != 0 {
		return 0
	}
	return o.RaisedAt + after
}

// A State is what is open in a room. The zero value is empty.
type State struct {
	open         map[string]Open // by id
	acknowledged map[string]Acknowledgement
	escalated    map[string]int64 // when, by id
}

// Apply takes in a message of the room. Messages come in the order of their offsets.
func (s *State) Apply(m *wire.Message) {
	if s.open == nil {
		s.open, s.acknowledged, s.escalated = map[string]Open{}, map[string]Acknowledgement{}, map[string]int64{}
	}
	switch m.Event {
	case wire.EventAlert:
		if a, ok := Read(m.Data); ok {
			s.note(m, a)
		}
	case wire.EventAlertAcknowledged:
		if a, ok := ReadAcknowledgement(m.Data); ok {
			a.At = cmp.Or(a.At, m.Time)
			s.acknowledged[a.ID] = a
		}
	case wire.EventAlertEscalated:
		if a, ok := ReadAcknowledgement(m.Data); ok {
			s.escalated[a.ID] = cmp.Or(a.At, m.Time)
		}
	case wire.EventShiftSnapshot:
		listed, ok := Listed(m.Data)
		if !ok {
			return
		}
		clear(s.open)
		for _, a := range listed {
			s.note(m, a)
		}
		isOver := func(id string) bool { _, open := s.open[id]; return !open }
		maps.DeleteFunc(s.acknowledged, func(id string, _ Acknowledgement) bool { return isOver(id) })
		maps.DeleteFunc(s.escalated, func(id string, _ int64) bool { return isOver(id) })
	}
}

func (s *State) note(m *wire.Message, a Alert) {
	if a.Cleared {
		delete(s.open, a.ID)
		delete(s.acknowledged, a.ID)
		delete(s.escalated, a.ID)
		return
	}
	if was := s.open[a.ID]; was.ExpiresAt != 0 && was.ExpiresAt <= m.Time {
		delete(s.acknowledged, a.ID) // it is another one
		delete(s.escalated, a.ID)
	}
	a.RaisedAt = cmp.Or(a.RaisedAt, m.Time)
	s.open[a.ID] = Open{Alert: a, Room: m.Room.String()}
}

// At returns the alerts that are open at a time in ms since 1970: the most severe first, and of
// those the one that is open for longer.
func (s *State) At(now int64) []Open {
	all := []Open{}
	for id, o := range s.open {
		if o.ExpiresAt != 0 && o.ExpiresAt <= now {
			continue
		}
		if by, ok := s.acknowledged[id]; ok {
			o.Acknowledged, o.AcknowledgedBy, o.AcknowledgedAt = true, by.By, by.At
		}
		o.EscalatedAt = s.escalated[id]
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Open) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.RaisedAt, b.RaisedAt), strings.Compare(a.ID, b.ID))
	})
	return all
}

func rank(severity string) int {
	return slices.Index([]string{"critical", "warning", "info"}, severity)
}
