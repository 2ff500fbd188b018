package brokertest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

const (
	raised       = wire.EventAlert
	acknowledged = wire.EventAlertAcknowledged
	escalated    = wire.EventAlertEscalated
	snapshot     = wire.EventShiftSnapshot
)

// tell publishes what is retained, with data as it is written.
func tell(t *testing.T, b broker.Broker, room wire.Room, event, data string) {
	t.Helper()
	publish(t, b, broker.Publication{Room: room, Event: event, Retain: true, Data: json.RawMessage(data)})
}

func alertsByID(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{Retained: 1})
	room := Room(t)
	tell(t, b, room, raised, `{"id":"a"}`)
	tell(t, b, room, raised, `{"id":2}`)
	tell(t, b, room, raised, `{"title":"no id"}`)
	tell(t, b, room, acknowledged, `{"id":"a"}`)
	tell(t, b, room, raised, `{"id":"2","detail":"again"}`)
	tell(t, b, room, "OTHER", `{}`) // which the alerts leave room for
	wantRetained(t, b, room, `ALERT 1 {"id":"a"}`, `ALERT 3 {"title":"no id"}`, `ALERT_ACKNOWLEDGED 4 {"id":"a"}`,
		`ALERT 5 {"id":"2","detail":"again"}`, `OTHER 6 {}`)
	tell(t, b, room, raised, `{"id":"a","cleared":true}`)
	tell(t, b, room, raised, `{"title":"no id","clearedAt":1767225600000}`)
	tell(t, b, room, raised, `{"id":"never raised","cleared":true}`)
	tell(t, b, room, raised, `{"id":"late"}`)
	tell(t, b, room, escalated, `{"id":"late"}`)
	tell(t, b, room, raised, `{"id":"late","cleared":true}`)
	wantRetained(t, b, room, `ALERT 5 {"id":"2","detail":"again"}`, `OTHER 6 {}`)
	if u := b.Usage()[room.Warehouse]; u.RetainedEvents != 2 {
		t.Errorf("it is said to retain %d events, want 2", u.RetainedEvents)
	}
	if there, err := b.DeleteRetained(t.Context(), room, raised); err != nil || !there {
		t.Fatalf("delete the alerts: %v %v", there, err)
	}
	wantRetained(t, b, room, `OTHER 6 {}`)
}

func alertsListed(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	for _, id := range []string{"over", "open"} {
		tell(t, b, room, raised, `{"id":"`+id+`"}`)
		tell(t, b, room, acknowledged, `{"id":"`+id+`"}`)
	}
	tell(t, b, room, snapshot, `{"workers":1}`) // it does not speak of alerts
	tell(t, b, room, snapshot, `{"alerts":[{"id":"open"}]}`)
	tell(t, b, room, raised, `{"id":"new"}`)
	wantRetained(t, b, room, `ALERT_ACKNOWLEDGED 4 {"id":"open"}`, `SHIFT_SNAPSHOT 6 {"alerts":[{"id":"open"}]}`, `ALERT 7 {"id":"new"}`)
}

func alertsListedAndCleared(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	tell(t, b, room, snapshot, `{"alerts":[{"id":"a"}]}`)
	tell(t, b, room, acknowledged, `{"id":"a"}`)
	tell(t, b, room, raised, `{"id":"a","cleared":true}`)
	tell(t, b, room, raised, `{"id":"not listed","cleared":true}`)
	wantRetained(t, b, room, `SHIFT_SNAPSHOT 1 {"alerts":[{"id":"a"}]}`, `ALERT 3 {"id":"a","cleared":true}`)
	tell(t, b, room, snapshot, `{"alerts":[]}`)
	wantRetained(t, b, room, `SHIFT_SNAPSHOT 5 {"alerts":[]}`)
}

func alertsLimit(t *testing.T, open Open) {
	b, r := start(t, open, broker.Limits{Alerts: 4})
	room := Room(t)
	Subscribe(t, b, room)
	raise := func(id int, severity string) error {
		_, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: raised, Retain: true,
			Data: json.RawMessage(fmt.Sprintf(`{"id":%d,"severity":%q}`, id, severity))})
		return err
	}
	for id := range 4 {
		testkit.Must(t, raise(id, "info"))
	}
	wantLimit := func(err error) {
		t.Helper()
		if err == nil || wire.AsError(err).Code != wire.CodeLimitReached {
			t.Errorf("one too many: %v, want the code %s", err, wire.CodeLimitReached)
		}
	}
	wantLimit(raise(4, "warning"))
	testkit.Must(t, raise(4, "Critical"))
	wantLimit(raise(5, "critical"))
	testkit.Must(t, raise(0, "warning")) // in place of the one before
	tell(t, b, room, raised, `{"id":1,"cleared":true}`)
	tell(t, b, room, raised, `{"id":4,"cleared":true}`)
	testkit.Must(t, raise(6, "info"))
	r.WantExactly(room, 1, 9)
}

func alertsExpire(t *testing.T, open Open) {
	for _, age := range []time.Duration{0, time.Hour} { // 0 is for ever
		alertExpires(t, open, age)
	}
}

func alertExpires(t *testing.T, open Open, age time.Duration) {
	t.Helper()
	b, _ := start(t, open, broker.Limits{Alerts: 1, RetainAge: age})
	room := Room(t)
	tell(t, b, room, raised, fmt.Sprintf(`{"id":"old","expiresAt":%d}`, time.Now().Add(50*time.Millisecond).UnixMilli()))
	testkit.Succeeds(t, "there is room for another one", func() error {
		_, err := b.Publish(t.Context(), broker.Publication{Room: room, Event: raised, Retain: true, Data: json.RawMessage(`{"id":"new"}`)})
		return err
	})
	s := Subscribe(t, b, room)
	if len(s.Retained) != 1 || string(s.Retained[0].Data) != `{"id":"new"}` {
		t.Errorf("with events retained for %v, these are: %v", age, s.Retained)
	}
}

// An alert that is raised again after it has expired, or was deleted, is another one: nobody has
// seen to it.
func acknowledgementsEnd(t *testing.T, open Open) {
	b, _ := start(t, open, broker.Limits{})
	room := Room(t)
	soon := time.Now().Add(50 * time.Millisecond)
	tell(t, b, room, raised, fmt.Sprintf(`{"id":"a","expiresAt":%d}`, soon.UnixMilli()))
	tell(t, b, room, acknowledged, `{"id":"a"}`)
	time.Sleep(time.Until(soon.Add(10 * time.Millisecond)))
	tell(t, b, room, raised, `{"id":"a"}`)
	wantRetained(t, b, room, `ALERT 3 {"id":"a"}`)
	tell(t, b, room, acknowledged, `{"id":"a"}`)
	tell(t, b, room, raised, `{"id":"a","detail":"more is known"}`) // the same one
	wantRetained(t, b, room, `ALERT_ACKNOWLEDGED 4 {"id":"a"}`, `ALERT 5 {"id":"a","detail":"more is known"}`)
	if there, err := b.DeleteRetained(t.Context(), room, raised); err != nil || !there {
		t.Fatalf("delete the alerts: %v %v", there, err)
	}
	tell(t, b, room, raised, `{"id":"a"}`)
	wantRetained(t, b, room, `ALERT 6 {"id":"a"}`)
	// One that a snapshot lists is open, whether or not it was raised.
	tell(t, b, room, snapshot, `{"alerts":[{"id":"b"}]}`)
	tell(t, b, room, acknowledged, `{"id":"b"}`)
	tell(t, b, room, raised, `{"id":"b"}`)
	wantRetained(t, b, room, `SHIFT_SNAPSHOT 7 {"alerts":[{"id":"b"}]}`, `ALERT_ACKNOWLEDGED 8 {"id":"b"}`, `ALERT 9 {"id":"b"}`)
}
