package broker

import (
	"bytes"
	"strings"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/wire"
)

// A Retention is what a message with Retain does to what its room retains. Messages are retained by
// name: that of their event, or, for one that is about an alert, "event key". So the alerts of a
// room that are open are there for whoever joins it.
type Retention struct {
	// Name is what the message is retained as, in place of the one before; empty for not at all.
	Name string
	// Ends says that the alert is over. The message is retained then only where the room retains a
	// SHIFT_SNAPSHOT that lists the alert still, see IsListedIn.
	Ends bool
	id   string // of the alert; empty for one that may be written in several ways
	// About are the names of what is told about the alert, see [AboutAlert]. That is of the alert
	// that was open: it ends where none is, or an expired one.
	About []string
	// Drops are names that end with it.
	Drops []string
	// Resets says that the message lists all open alerts: what is retained of alerts by now ends,
	// but for the names in Keeps.
	Resets bool
	Keeps  []string
	// Expires is when the message is not retained any more, in ms since 1970; 0 for RetainAge.
	Expires int64
	// Urgent has room where there is none for other alerts.
	Urgent bool
}

// RetentionOf returns what a message does.
func RetentionOf(event string, data []byte, retain bool) (r Retention) {
	if !retain {
		return r
	}
	r.Name = event
	switch event {
	case wire.EventAlert:
		if a, ok := alert.Read(data); ok {
			r.Name, r.Ends, r.Expires, r.Urgent = nameOf(event, a.ID), a.Cleared, a.ExpiresAt, a.Severity == "critical"
			r.About = AboutAlert(r.Name)
			r.Drops = []string{event} // as servers of before retained the latest alert, whatever its id
			if strings.IndexFunc(a.ID, mayBeEscaped) < 0 {
				r.id = a.ID
			}
			if a.Cleared {
				r.Drops = append(r.Drops, r.About...)
			}
		}
	case wire.EventAlertAcknowledged, wire.EventAlertEscalated:
		if a, ok := alert.ReadAcknowledgement(data); ok {
			r.Name, r.Urgent = nameOf(event, a.ID), true
		}
	case wire.EventShiftSnapshot:
		var listed []alert.Alert
		listed, r.Resets = alert.Listed(data)
		for _, a := range listed {
			r.Keeps = append(r.Keeps, nameOf(wire.EventAlertAcknowledged, a.ID), nameOf(wire.EventAlertEscalated, a.ID))
		}
	}
	return r
}

// mayBeEscaped reports whether JSON has several ways to write a character.
func mayBeEscaped(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\/<>&`, c) }

// IsListedIn reports whether a SHIFT_SNAPSHOT may list the alert.
func (r Retention) IsListedIn(snapshot []byte) bool {
	return bytes.Contains(snapshot, []byte(`"alerts"`)) && bytes.Contains(snapshot, []byte(r.id))
}

// RetentionOf returns what the message does.
func (m *Message) RetentionOf() Retention { return RetentionOf(m.Event, m.Data, m.Retain) }

// IsImplicit reports whether a message is retained without being asked to be: it is about an alert.
func IsImplicit(event string, data []byte) bool {
	switch event {
	case wire.EventAlert:
		_, ok := alert.Read(data)
		return ok
	case wire.EventAlertAcknowledged, wire.EventAlertEscalated:
		_, ok := alert.ReadAcknowledgement(data)
		return ok
	}
	return false
}

func nameOf(event, id string) string { return event + " " + alert.Key(id) }

// AboutAlert returns the names of what is told about the alert that is retained as name: that
// somebody has seen to it, that nobody has; none unless it is an alert.
func AboutAlert(name string) []string {
	key, ok := strings.CutPrefix(name, wire.EventAlert+" ")
	if !ok {
		return nil
	}
	return []string{wire.EventAlertAcknowledged + " " + key, wire.EventAlertEscalated + " " + key}
}

// isKeyed reports whether a name is that of an alert: no event has a space.
func isKeyed(name string) bool { return strings.Contains(name, " ") }

// isOf reports whether what is retained as name is of the event.
func isOf(name, event string) bool { return name == event || strings.HasPrefix(name, event+" ") }

// Removal returns whether the message takes away what is retained as a name.
func (r Retention) Removal() func(name string) bool {
	gone, kept := map[string]bool{r.Name: r.Name != ""}, map[string]bool{}
	for _, name := range r.Drops {
		gone[name] = true
	}
	for _, name := range r.Keeps {
		kept[name] = true
	}
	return func(name string) bool { return gone[name] || r.Resets && isKeyed(name) && !kept[name] }
}

// most is how many names of its kind the room may retain with this one.
func (r Retention) most(l Limits) int {
	switch {
	case !isKeyed(r.Name):
		return l.Retained
	case r.Urgent:
		return l.Alerts + l.Alerts/4
	}
	return l.Alerts
}

// full is the error of a message that a room has no room for.
func (r Retention) full(l Limits, room wire.Room) error {
	if isKeyed(r.Name) {
		return wire.Errorf(wire.CodeLimitReached, "%d alerts and acknowledgements are kept in %s already: clear some, or give alerts an expiresAt",
			r.most(l), room)
	}
	return wire.Errorf(wire.CodeLimitReached, "%d events are retained in %s already: reuse one of their names, or delete one",
		l.Retained, room)
}

// lines writes names for a script, which looks for one between two line breaks.
func lines(names []string) string { return "\n" + strings.Join(names, "\n") + "\n" }

// keepsText is what a script is told of Resets and Keeps.
func (r Retention) keepsText() string {
	if !r.Resets {
		return "-"
	}
	return lines(r.Keeps)
}

// endsText is what a script is told of Ends, with the id of the alert behind it.
func (r Retention) endsText() string {
	if !r.Ends {
		return "0" + r.id
	}
	return "1" + r.id
}
