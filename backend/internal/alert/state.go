package alert

import (
	"cmp"
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
}

// A State is what is open in a room. The zero value is empty.
type State struct {
	open         map[string]Open // by id
	acknowledged map[string]Acknowledgement
}

// Apply takes in a message of the room. Messages come in the order of their offsets.
func (s *State) Apply(m *wire.Message) {
	if s.open == nil {
		s.open, s.acknowledged = map[string]Open{}, map[string]Acknowledgement{}
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
	case wire.EventShiftSnapshot:
		listed, ok := Listed(m.Data)
		if !ok {
			return
		}
		clear(s.open)
		for _, a := range listed {
			s.note(m, a)
		}
		for id := range s.acknowledged {
			if _, open := s.open[id]; !open {
				delete(s.acknowledged, id)
			}
		}
	}
}

func (s *State) note(m *wire.Message, a Alert) {
	if a.Cleared {
		delete(s.open, a.ID)
		delete(s.acknowledged, a.ID)
		return
	}
	if was := s.open[a.ID]; was.ExpiresAt != 0 && was.ExpiresAt <= m.Time {
		delete(s.acknowledged, a.ID) // it is another one
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
