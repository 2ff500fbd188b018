package alertlog

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Record is what became of an alert. Times are in ms since 1970, and spans in ms; 0 for what has
// not happened.
type Record struct {
	Room           string `json:"room"`
	ID             string `json:"id"`
	Severity       string `json:"severity"`
	Title          string `json:"title"`
	RaisedAt       int64  `json:"raisedAt"`
	AcknowledgedAt int64  `json:"acknowledgedAt,omitempty"`
	AcknowledgedBy string `json:"acknowledgedBy,omitempty"`
	EscalatedAt    int64  `json:"escalatedAt,omitempty"`
	EndedAt        int64  `json:"endedAt,omitempty"`
	// Ended is how it ended: "cleared", "expired", or "not listed" in a SHIFT_SNAPSHOT.
	Ended             string `json:"ended,omitempty"`
	TimeToAcknowledge int64  `json:"timeToAcknowledge,omitempty"`
	TimeToClear       int64  `json:"timeToClear,omitempty"`
}

// How an alert ended.
const (
	cleared   = "cleared"
	expired   = "expired"
	notListed = "not listed"
)

// A fold puts entries together. The zero value is empty.
type fold struct {
	records []*Record
	open    map[[2]string]*openRecord // by room and id
}

type openRecord struct {
	*Record
	expiresAt int64
}

// apply takes in an entry. They come in their order.
func (f *fold) apply(e entry) {
	if f.open == nil {
		f.open = map[[2]string]*openRecord{}
	}
	switch e.Event {
	case wire.EventAlert:
		if e.Alert == nil {
			return
		}
		if key := [2]string{e.Room, e.Alert.ID}; e.Clear {
			f.end(key, e.At, cleared)
		} else {
			f.raise(key, *e.Alert, e.At)
		}
	case wire.EventAlertAcknowledged:
		if r := f.open[[2]string{e.Room, e.ID}]; r != nil && r.AcknowledgedAt == 0 {
			r.AcknowledgedAt, r.AcknowledgedBy = e.At, e.By
		}
	case wire.EventAlertEscalated:
		if r := f.open[[2]string{e.Room, e.ID}]; r != nil && r.EscalatedAt == 0 {
			r.EscalatedAt = e.At
		}
	case wire.EventShiftSnapshot:
		listed := map[string]bool{}
		for _, a := range e.All {
			if !a.Cleared {
				listed[a.ID] = true
				f.raise([2]string{e.Room, a.ID}, a, e.At)
			}
		}
		for key := range f.open {
			if key[0] == e.Room && !listed[key[1]] {
				f.end(key, e.At, notListed)
			}
		}
	}
}

func (f *fold) raise(key [2]string, a alert.Alert, at int64) {
	r := f.open[key]
	if r != nil && r.expiresAt != 0 && r.expiresAt <= at { // it was another one
		f.end(key, r.expiresAt, expired)
		r = nil
	}
	if r == nil {
		r = &openRecord{Record: &Record{Room: key[0], ID: a.ID, RaisedAt: cmp.Or(a.RaisedAt, at)}}
		f.records, f.open[key] = append(f.records, r.Record), r
	}
	r.Severity, r.Title, r.expiresAt = a.Severity, a.Title, a.ExpiresAt
}

func (f *fold) end(key [2]string, at int64, how string) {
	if r := f.open[key]; r != nil {
		r.EndedAt, r.Ended = at, how
		if r.expiresAt != 0 && r.expiresAt < at {
			r.EndedAt, r.Ended = r.expiresAt, expired
		}
		delete(f.open, key)
	}
}

// since returns the records of alerts that were open at that time or later, the latest first.
func (f *fold) since(since, now int64) []Record {
	for key, r := range maps.Clone(f.open) {
		if r.expiresAt != 0 && r.expiresAt <= now {
			f.end(key, r.expiresAt, expired)
		}
	}
	records := []Record{}
	for _, r := range f.records {
		if r.EndedAt != 0 && r.EndedAt < since {
			continue
		}
		if r.AcknowledgedAt != 0 {
			r.TimeToAcknowledge = max(0, r.AcknowledgedAt-r.RaisedAt)
		}
		if r.EndedAt != 0 {
			r.TimeToClear = max(0, r.EndedAt-r.RaisedAt)
		}
		records = append(records, *r)
	}
	slices.SortStableFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(b.RaisedAt, a.RaisedAt), strings.Compare(a.Room, b.Room), strings.Compare(a.ID, b.ID))
	})
	return records
}
