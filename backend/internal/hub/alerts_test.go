package hub_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/wire"
)

// Whoever joins gets the alerts that are open, and only those, however long ago they were raised.
func TestNewcomersGetTheAlertsThatAreOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, options{overPipe: true, limits: broker.Limits{Messages: 1, Retained: 1}})
		h.member("member", room("a")) // so that the hub, too, knows what is open
		tell := func(event, data string) {
			h.send(broker.Publication{Room: room("a"), Event: event, Retain: true, Data: []byte(data)})
		}
		want := func(want ...string) {
			t.Helper()
			for _, r := range []wire.Room{room("a")} {
				late := h.member("late", r)
				var got []string
				for _, f := range late.flush() {
					if f.Retained {
						got = append(got, f.Event+" "+string(f.Data))
					}
				}
				late.end()
				if !slices.Equal(got, want) {
					t.Errorf("newcomers get %q, want %q", got, want)
				}
			}
		}
		tell(wire.EventShiftSnapshot, `{"alerts":[{"id":"listed"}]}`)
		tell(wire.EventAlert, `{"id":"not-there"}`)
		tell(wire.EventAlert, `{"id":"b"}`)
		tell(wire.EventAlertAcknowledged, `{"id":"b"}`)
		tell(wire.EventAlert, fmt.Sprintf(`{"id":"c","expiresAt":%d}`, time.Now().Add(time.Hour).UnixMilli()))
		tell(wire.EventAlert, `{"id":"not-there","cleared":true}`)
		tell(wire.EventAlert, `{"id":"listed","cleared":true}`)
		time.Sleep(time.Hour)
		want(`SHIFT_SNAPSHOT {"alerts":[{"id":"listed"}]}`, `ALERT {"id":"b"}`, `ALERT_ACKNOWLEDGED {"id":"b"}`,
			`ALERT {"id":"listed","cleared":true}`)
		tell(wire.EventShiftSnapshot, `{"alerts":[{"id":"b"}]}`)
		want(`ALERT_ACKNOWLEDGED {"id":"b"}`, `SHIFT_SNAPSHOT {"alerts":[{"id":"b"}]}`)
	})
}

// An alert that has expired and is raised again is another one: newcomers are not told that
// somebody has seen to it.
func TestAnAlertThatIsRaisedAgainIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, options{overPipe: true})
		h.member("member", room("a")) // so that the hub, too, knows what is open
		tell := func(event, data string) {
			h.send(broker.Publication{Room: room("a"), Event: event, Retain: true, Data: []byte(data)})
		}
		tell(wire.EventAlert, fmt.Sprintf(`{"id":"a","expiresAt":%d}`, time.Now().Add(time.Hour).UnixMilli()))
		tell(wire.EventAlertAcknowledged, `{"id":"a"}`)
		time.Sleep(time.Hour)
		tell(wire.EventAlert, `{"id":"a"}`)
		late := h.member("late", room("a"))
		var got []string
		for _, f := range late.flush() {
			if f.Retained {
				got = append(got, f.Event+" "+string(f.Data))
			}
		}
		if want := []string{`ALERT {"id":"a"}`}; !slices.Equal(got, want) {
			t.Errorf("newcomers get %q, want %q", got, want)
		}
	})
}
