package alertlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// noon is a time of 2026.
var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// The history of a shift has each alert once, with how long it took to acknowledge and to clear it.
func TestTheHistoryTellsHowLongEachAlertTook(t *testing.T) {
	log := New(slog.New(slog.DiscardHandler))
	log.Use(new(Memory), bus.New([]string{"a-secret-of-32-bytes-or-more-0001"}))
	a, whole := wire.Room{Warehouse: "w", Zone: "a"}, wire.Room{Warehouse: "w"}
	tell := func(at int, room wire.Room, event, data string) {
		log.Note(t.Context(), room, event, []byte(data), minute(at))
	}
	tell(0, a, wire.EventAlert, `{"id":"jam","severity":"critical","title":"Jam"}`)
	for i := range 5 { // the same again
		tell(i, a, wire.EventAlert, `{"id":"jam","severity":"critical","title":"Jam"}`)
	}
	tell(1, whole, wire.EventAlert, `{"id":"jam","title":"Another jam"}`)
	tell(3, a, wire.EventAlertEscalated, `{"id":"jam"}`)
	tell(4, a, wire.EventAlertAcknowledged, `{"id":"jam","by":"Anna"}`)
	tell(5, a, wire.EventAlertAcknowledged, `{"id":"jam","by":"Ben"}`)
	tell(10, a, wire.EventAlert, `{"id":"jam","cleared":true}`)
	tell(20, a, wire.EventAlert, `{"id":"jam","title":"Jam again"}`)
	tell(21, a, wire.EventAlert, fmt.Sprintf(`{"id":"short","expiresAt":%d}`, minute(22).UnixMilli()))
	tell(30, a, wire.EventShiftSnapshot, `{"alerts":[{"id":"door"}]}`)
	tell(30, a, wire.EventZoneUpdate, `{"workers":1}`)

	want := func(since int, want ...string) {
		t.Helper()
		records, complete, err := log.Since(t.Context(), "w", minute(since), minute(60))
		testkit.Must(t, err)
		var got []string
		for _, r := range records {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %q escalated %d acknowledged after %d by %s %s after %d", r.Room, r.Title,
				(r.EscalatedAt-r.RaisedAt)*min(1, r.EscalatedAt)/60_000, r.TimeToAcknowledge/60_000, r.AcknowledgedBy, r.Ended, r.TimeToClear/60_000)))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || !complete {
			t.Errorf("since %d (complete: %v):\n%s\nwant\n%s", since, complete, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	late := []string{
		`zone:w:a "door" escalated 0 acknowledged after 0 by   after 0`,
		`zone:w:a "short" escalated 0 acknowledged after 0 by  expired after 1`,
		`zone:w:a "Jam again" escalated 0 acknowledged after 0 by  not listed after 10`,
		`warehouse:w "Another jam" escalated 0 acknowledged after 0 by   after 0`,
	}
	want(0, append(late, `zone:w:a "Jam" escalated 3 acknowledged after 4 by Anna cleared after 10`)...)
	want(15, late...)
	want(40, late[0], late[3])
}

type broken struct{ audit.Store }

func (broken) Append(context.Context, audit.List, []string) error { return errors.New("away") }

func TestAnEventThatTheHistoryLacksIsLogged(t *testing.T) {
	var said strings.Builder
	log := New(slog.New(slog.NewTextHandler(&said, nil)))
	log.Use(broken{}, nil)
	log.Note(t.Context(), wire.Room{Warehouse: "w"}, wire.EventAlert, []byte(`{"id":1}`), noon)
	if !strings.Contains(said.String(), "lacks an event") {
		t.Errorf("it says %q", said.String())
	}
	(*Log)(nil).Note(t.Context(), wire.Room{}, wire.EventAlert, nil, noon)
}

func TestMemoryIsBounded(t *testing.T) {
	var m Memory
	value := strings.Repeat("x", 8<<10)
	for i := range 3 * maxMemory / len(value) {
		testkit.Must(t, m.Append(t.Context(), listOf(fmt.Sprint(i%2)), []string{value}))
	}
	if m.bytes > maxMemory || len(m.items) < maxMemory/(len(value)+itemCost)-1 {
		t.Errorf("it keeps %d bytes, %d entries", m.bytes, len(m.items))
	}
	first, _ := m.Before(t.Context(), listOf("1"), audit.Place{MS: 1}, true, 10)
	next, _ := m.Before(t.Context(), listOf("1"), first[9].Place, false, 10)
	if len(first) != 10 || len(next) != 10 || next[0].Place.Seq != first[9].Place.Seq-2 {
		t.Errorf("pages are %d and %d", len(first), len(next))
	}
}
