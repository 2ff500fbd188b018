package alert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Mistake is what no screen can show of a well-known event.
type Mistake struct {
	Event string
	Field string // "data" for all of it, or a path like alerts[2].raisedAt
	Want  string
}

func (m *Mistake) Error() string { return m.Event + ": " + m.Field + " is " + m.Want }

// mostNumber is above what is meant: no warehouse counts a trillion of anything.
const mostNumber = 1e12

// What the fields of well-known events have to be, where they are there and not null.
var (
	figures = []field{{"workers", isCount, wantNumber}, {"unitsDone", isCount, wantNumber}, {"pickRate", isCount, wantNumber},
		{"ordersOpen", isCount, wantNumber}, {"now", isMoment, wantTime}}
	plan = append([]field{{"unitsPerHourTarget", isCount, wantNumber}, {"unitsTarget", isCount, wantNumber}, {"startsAt", isMoment, wantTime},
		{"endsAt", isMoment, wantTime}, {"nextStartsAt", isMoment, wantTime}, {"name", isText, "not text"}, {"timeZone", isText, "not text"}}, figures...)
	alarm = []field{{"raisedAt", isMoment, wantTime}, {"expiresAt", isMoment, wantTime}, {"priority", isCount, wantNumber}}
)

const (
	wantNumber = "not a number from 0 to 10¹²"
	wantTime   = "not a time: ms since 1970, or ISO 8601"
)

type field struct {
	name string
	ok   func(json.RawMessage) bool
	want string // what is said when it is not
}

// Check returns what screens can't show of an event, as a *[Mistake], or nil. Events that are not
// well-known, and fields that none of them has, are fine whatever they are.
func Check(event string, data []byte) error {
	var checked []field
	switch event {
	case wire.EventZoneUpdate:
		checked = figures
	case wire.EventShiftSnapshot:
		checked = plan
	case wire.EventAlert:
		return checkAlert(event, "", data)
	default:
		return nil
	}
	fields, ok := object(data)
	if !ok {
		return &Mistake{event, "data", "not an object"}
	}
	if err := checkFields(event, "", fields, checked); err != nil || event == wire.EventZoneUpdate || isNull(fields["alerts"]) {
		return err
	}
	var items []json.RawMessage
	if json.Unmarshal(fields["alerts"], &items) != nil {
		return &Mistake{event, "alerts", "not a list"}
	}
	for i, item := range items {
		if err := checkAlert(event, fmt.Sprintf("alerts[%d].", i), item); err != nil {
			return err
		}
	}
	return nil
}

func checkAlert(event, path string, data []byte) error {
	fields, ok := object(data)
	if !ok {
		return &Mistake{event, path + "data", "not an object"}
	}
	if text(fields["id"]) == "" && text(fields["title"]) == "" {
		return &Mistake{event, path + "id", "missing, and there is no title to know the alert by"}
	}
	return checkFields(event, path, fields, alarm)
}

func checkFields(event, path string, fields map[string]json.RawMessage, checked []field) error {
	for _, f := range checked {
		if raw := fields[f.name]; !isNull(raw) && !f.ok(raw) {
			return &Mistake{event, path + f.name, f.want}
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || bytes.Equal(raw, []byte("null")) }

// isCount reports whether it is a number that a warehouse can have, or the text of one.
func isCount(raw json.RawMessage) bool {
	n, err := strconv.ParseFloat(text(raw), 64)
	return err == nil && n >= 0 && n < mostNumber
}

// isMoment reports whether it is a time of this century, or 0 for none.
func isMoment(raw json.RawMessage) bool { return moment(raw) != 0 || text(raw) == "0" }

func isText(raw json.RawMessage) bool { return raw[0] == '"' }
