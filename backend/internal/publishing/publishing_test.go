package publishing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// answering is a hub that answers every publication alike.
type answering struct {
	broker.Deleter
	receipt broker.Receipt
	err     error
	asked   int
}

func (a *answering) Publish(context.Context, broker.Publication) (broker.Receipt, error) {
	a.asked++
	return a.receipt, a.err
}

func (*answering) RetainedIn(context.Context, wire.Room) ([]*wire.Message, error) { return nil, nil }

func TestEveryOutcomeIsCountedAndAcceptedOnesAreTimed(t *testing.T) {
	offset := wire.Offset{Epoch: "k", N: 7}
	valid := Request{Warehouse: "w", Zone: "a", Event: "E", Data: json.RawMessage(`1`)}
	with := func(change func(*Request)) Request { r := valid; change(&r); return r }
	service, err := auth.New(auth.Options{}).Service(httptest.NewRequest(http.MethodPost, "/", nil), auth.Visit{})
	testkit.Must(t, err)
	long := strings.Repeat("x", 300)
	tests := []struct {
		name    string
		who     *auth.Identity
		give    Request
		hub     answering
		want    string // the result
		reaches bool   // the hub
	}{
		{"accepted", service, valid, answering{receipt: broker.Receipt{Offset: offset}}, "ok", true},
		{"known already", service, valid, answering{receipt: broker.Receipt{Offset: offset, Duplicate: true}}, "duplicate", true},
		{"no broker", service, valid, answering{err: &wire.Error{Code: wire.CodeUnavailable}}, "unavailable", true},
		{"an unexpected fault", service, valid, answering{err: errors.New("oops")}, "internal", true},
		{"a reader", &auth.Identity{}, valid, answering{}, "forbidden", false},
		{"no warehouse", service, with(func(r *Request) { r.Warehouse = "" }), answering{}, "invalid_room", false},
		{"a reserved event", service, with(func(r *Request) { r.Event = "gap" }), answering{}, "invalid_event", false},
		{"data that is not JSON", service, with(func(r *Request) { r.Data = []byte(`{`) }), answering{}, "invalid_data", false},
		{"as much data as is allowed", service, with(func(r *Request) { r.Data = []byte(`12345678`) }),
			answering{receipt: broker.Receipt{Offset: offset}}, "ok", true},
		{"a byte too much", service, with(func(r *Request) { r.Data = []byte(`123456789`) }), answering{}, "too_large", false},
		{"a long conflate name", service, with(func(r *Request) { r.Conflate = long }), answering{}, "invalid_data", false},
		{"a long key", service, with(func(r *Request) { r.IdempotencyKey = long }), answering{}, "invalid_data", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := metrics.New("v-test")
			p := New(Options{Hub: &tt.hub, Metrics: m, MaxFrameBytes: 8})
			position, err := p.Publish(t.Context(), "http", tt.who, tt.give)
			accepted := tt.want == "ok" || tt.want == "duplicate"
			if accepted != (err == nil) || accepted && position != (wire.Position{Room: "zone:w:a", Offset: "k-7"}) {
				t.Errorf("answered %+v, %v", position, err)
			}
			if reached := tt.hub.asked == 1; reached != tt.reaches {
				t.Errorf("the hub was asked %d times", tt.hub.asked)
			}
			if got := results(t, m); fmt.Sprint(got) != fmt.Sprint([]string{tt.want}) {
				t.Errorf("counted as %v, want %s", got, tt.want)
			}
			var timed dto.Metric
			testkit.Must(t, m.PublishDurations().Write(&timed))
			if n := timed.GetHistogram().GetSampleCount(); (n == 1) != accepted {
				t.Errorf("%d durations were observed", n)
			}
			if got := m.Totals().Published; (got == 1) != (tt.want == "ok") {
				t.Errorf("the totals say that %d were published", got)
			}
		})
	}
}

// results returns the label result of each publication that was counted.
func results(t *testing.T, m *metrics.Metrics) (all []string) {
	t.Helper()
	families, err := m.Registry.Gather()
	testkit.Must(t, err)
	for _, f := range families {
		for _, counter := range f.GetMetric() {
			if f.GetName() == "zonecast_publishes_total" {
				for range int(counter.GetCounter().GetValue()) {
					all = append(all, counter.GetLabel()[0].GetValue())
				}
			}
		}
	}
	return all
}

// The zones published to last are remembered, however often and by however many at once; those of
// long ago are not.
func TestRecentZones(t *testing.T) {
	noon := time.Unix(1_700_000_000, 0)
	zone := func(i int) wire.Room { return wire.Room{Warehouse: "w", Zone: fmt.Sprintf("z%03d", i)} }
	r := newRecentZones()
	slot := func(i int) uint64 { return maphash.Comparable(r.seed, zone(i)) % recentSlots }
	for slot(0) != slot(1) { // both are remembered all the same
		r = newRecentZones()
	}
	r.note(wire.Room{Warehouse: "whole"}, noon)
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range 100 {
				r.note(zone(1), noon)
				r.note(zone(0), noon)
			}
		})
	}
	publishers.Wait()
	if got := r.list(noon); fmt.Sprint(got) != "[zone:w:z000 zone:w:z001]" {
		t.Errorf("remembered %v", got)
	}
	if got := r.list(noon.Add(recentFor)); len(got) != 0 {
		t.Errorf("after %v it still has %v", recentFor, got)
	}
	for i := range 10 * recentSlots {
		r.note(zone(i), noon.Add(time.Duration(i)*time.Second))
	}
	last := 10*recentSlots - 1
	got := r.list(noon.Add(time.Duration(last) * time.Second))
	if len(got) != MaxRecentZones || got[len(got)-1] != zone(last) || !slices.IsSortedFunc(got, byName) {
		t.Errorf("of many it remembers %v", got)
	}
}

// What no screen can show is counted and delivered, refused with the name of its field, or left
// alone.
func TestEventsThatNoScreenCanShowAreCountedOrRefused(t *testing.T) {
	service, err := auth.New(auth.Options{}).Service(httptest.NewRequest(http.MethodPost, "/", nil), auth.Visit{})
	testkit.Must(t, err)
	give := []Request{
		{Warehouse: "w", Zone: "a", Event: wire.EventZoneUpdate, Data: json.RawMessage(`{"pickRate":"fast"}`)},
		{Warehouse: "w", Zone: "a", Event: wire.EventZoneUpdate, Data: json.RawMessage(`{"workers":-1}`)},
		{Warehouse: "w", Event: wire.EventAlert, Data: json.RawMessage(`{"severity":"critical"}`)},
		{Warehouse: "w", Zone: "a", Event: wire.EventZoneUpdate, Data: json.RawMessage(`{"pickRate":7}`)},
		{Warehouse: "w", Zone: "a", Event: "OTHER", Data: json.RawMessage(`7`)},
	}
	for mode, want := range map[Unreadable]struct {
		refused string
		counted string
	}{
		CountUnreadable:  {"", "[{zone:w:a 2 ZONE_UPDATE: workers is not a number from 0 to 10¹²} {warehouse:w 1 ALERT: id is missing, and there is no title to know the alert by}]"},
		RefuseUnreadable: {"pickRate workers id", "[]"},
		IgnoreUnreadable: {"", "[]"},
	} {
		h := &answering{receipt: broker.Receipt{Offset: wire.Offset{Epoch: "k", N: 1}}}
		p := New(Options{Hub: h, Metrics: metrics.New("v-test"), MaxFrameBytes: 1 << 10, Unreadable: mode})
		var refused []string
		for _, r := range give {
			if _, err := p.Publish(t.Context(), "http", service, r); err != nil {
				_, field, _ := strings.Cut(err.Error(), r.Event+": ")
				field, _, _ = strings.Cut(field, " ")
				refused = append(refused, field)
			}
		}
		if got := strings.Join(refused, " "); got != want.refused || h.asked != len(give)-len(refused) {
			t.Errorf("mode %d: %q refused, want %q; %d were published", mode, got, want.refused, h.asked)
		}
		if got := fmt.Sprint(append([]UnreadableRoom{}, p.Unreadable()...)); got != want.counted {
			t.Errorf("mode %d counted %s, want %s", mode, got, want.counted)
		}
	}
}
