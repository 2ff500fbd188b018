// Package alertlog remembers what became of the alerts of a warehouse: when each was raised,
// acknowledged, escalated and cleared.
//
//	publishing ── Note, of each event that is about alerts ──▶ Log ──▶ store: a list by warehouse
//	api ── Since ──▶ Log ◀── entries, put together to one Record an alert ── store
//
// The store is [Memory], or in Redis for all instances, where the last [audit.MaxEntries] events of
// a warehouse are kept.
package alertlog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/alert"
	"github.com/zonecast/zonecast/backend/internal/audit"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/wire"
)

// An entry is one event that was about alerts.
type entry struct {
	Room  string        `json:"room"`
	Event string        `json:"event"`
	At    int64         `json:"at"` // ms since 1970
	Alert *alert.Alert  `json:"alert,omitempty"`
	Clear bool          `json:"clear,omitempty"`
	ID    string        `json:"id,omitempty"`
	By    string        `json:"by,omitempty"`
	All   []alert.Alert `json:"all,omitempty"` // that a SHIFT_SNAPSHOT lists: others have ended
}

const (
	timeout = time.Second
	// maxEntry is the most bytes of an entry in the store; a longer one is left out.
	maxEntry = 16 << 10
	// maxKnown bounds the alerts that are known to be noted already.
	maxKnown = 10_000
	// page is how many entries are read at once.
	page = 1000
)

// A Log notes and tells. Its methods may be called by several goroutines; those of nil do nothing.
type Log struct {
	store  audit.Store
	signer *bus.Signer
	log    *slog.Logger

	mu sync.Mutex
	// known is what was noted of an alert last, by room and id: publishers say the same again and
	// again.
	known map[[2]string]alert.Alert
}

// New returns a log. Use must follow before the first event.
func New(log *slog.Logger) *Log { return &Log{log: log, known: map[[2]string]alert.Alert{}} }

// Use sets the store, and what its entries are signed by; nil for not at all.
func (l *Log) Use(store audit.Store, signer *bus.Signer) { l.store, l.signer = store, signer }

func listOf(warehouse string) audit.List { return audit.List("alerts:" + warehouse) }

// Note takes in an event that was published at a time. What is not about alerts is passed over. It
// waits for the store, for a second at most.
func (l *Log) Note(ctx context.Context, room wire.Room, event string, data []byte, at time.Time) {
	if l == nil {
		return
	}
	e := entry{Room: room.String(), Event: event, At: at.UnixMilli()}
	switch event {
	case wire.EventAlert:
		a, ok := alert.Read(data)
		if !ok || !l.isNews(e.Room, a) {
			return
		}
		a.Detail = ""
		e.Alert, e.Clear = &a, a.Cleared
	case wire.EventAlertAcknowledged, wire.EventAlertEscalated:
		a, ok := alert.ReadAcknowledgement(data)
		if !ok {
			return
		}
		e.ID, e.By = a.ID, a.By
		if a.At != 0 {
			e.At = a.At
		}
	case wire.EventShiftSnapshot:
		listed, ok := alert.Listed(data)
		if !ok {
			return
		}
		for _, a := range listed {
			a.Detail = ""
			e.All = append(e.All, a)
		}
	default:
		return
	}
	text, err := json.Marshal(e)
	if err == nil && len(text) > maxEntry {
		err = fmt.Errorf("it has %d bytes: at most %d are kept", len(text), maxEntry)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		list := listOf(room.Warehouse)
		err = l.store.Append(ctx, list, []string{l.signer.Seal(bus.Audit, string(list), string(text))})
	}
	if err != nil {
		l.log.Warn("the history of alerts lacks an event", "room", e.Room, "event", event, "error", err)
	}
}

// isNews reports whether an alert is another one than the one that was noted last.
func (l *Log) isNews(room string, a alert.Alert) bool {
	key := [2]string{room, a.ID}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.known[key]; ok && last == a {
		return false
	}
	if len(l.known) >= maxKnown {
		clear(l.known)
	}
	l.known[key] = a
	return true
}

// Since returns the alerts of a warehouse that were open at that time or later, the latest first.
// complete is false when the store has not kept all that long.
func (l *Log) Since(ctx context.Context, warehouse string, since, now time.Time) (records []Record, complete bool, _ error) {
	entries, complete, err := l.read(ctx, warehouse, since)
	if err != nil {
		return nil, false, err
	}
	var f fold
	for _, e := range entries {
		f.apply(e)
	}
	return f.since(since.UnixMilli(), now.UnixMilli()), complete, nil
}

// read returns all entries that are kept, the first ones first: an alert that is open since long
// has the first of them.
func (l *Log) read(ctx context.Context, warehouse string, since time.Time) (entries []entry, complete bool, _ error) {
	list, place, orAt := listOf(warehouse), audit.Place{MS: 1 << 62}, true
	total := 0
	for {
		found, err := l.store.Before(ctx, list, place, orAt, page)
		if err != nil {
			return nil, false, err
		}
		for _, s := range found {
			total++
			text, err := l.signer.OpenStored(bus.Audit, string(list), s.Value, maxEntry)
			var e entry
			if err == nil && json.Unmarshal([]byte(text), &e) == nil {
				entries = append(entries, e)
			}
		}
		if len(found) < page {
			break
		}
		place, orAt = found[len(found)-1].Place, false
	}
	slices.Reverse(entries)
	complete = total < audit.MaxEntries || len(entries) > 0 && entries[0].At <= since.UnixMilli()
	return entries, complete, nil
}
