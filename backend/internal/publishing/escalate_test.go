package publishing

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/auth"
	"github.com/zonecast/zonecast/backend/internal/broker"
	"github.com/zonecast/zonecast/backend/internal/metrics"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// A memoryHub is a hub with the memory broker alone, and nobody to deliver to.
type memoryHub struct{ *broker.Memory }

func (h memoryHub) RetainedIn(ctx context.Context, room wire.Room) (all []*wire.Message, _ error) {
	s, err := h.Subscribe(ctx, room)
	h.Unsubscribe(room)
	for _, m := range s.Retained {
		all = append(all, &m.Message)
	}
	return all, err
}

type nobody struct{}

func (nobody) Message(*broker.Message)                      {}
func (nobody) Gap(wire.Room, broker.Gap, []*broker.Message) {}
func (nobody) Retained(wire.Room, broker.Snapshot)          {}

// An alert that nobody acknowledges in time is escalated once, however many instances look.
func TestAnAlertThatNobodySeesToEscalatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := memoryHub{Memory: broker.NewMemory(broker.Limits{}, nobody{})}
		service, err := auth.New(auth.Options{}).Service(httptest.NewRequest(http.MethodPost, "/", nil), auth.Visit{})
		testkit.Must(t, err)
		room := wire.Room{Warehouse: "w", Zone: "a"}
		ctx, stop := context.WithCancel(t.Context())
		var publishers []*Publisher
		ended := make(chan struct{}, 2)
		for i := range 2 { // one of which the alerts are raised through; the other has members there
			p := New(Options{Hub: h, Metrics: metrics.New("v-test"), MaxDataBytes: 1 << 10})
			e := Escalator{Publisher: p, After: 10 * time.Minute, Log: slog.New(slog.DiscardHandler), Rooms: func() []wire.Room { return []wire.Room{room}[:i] }}
			publishers = append(publishers, p)
			go func() { e.Run(ctx); ended <- struct{}{} }()
		}
		tell := func(event, data string) {
			t.Helper()
			_, err := publishers[0].Publish(t.Context(), "http", service, Request{Warehouse: "w", Zone: "a", Event: event, Data: []byte(data)})
			testkit.Must(t, err)
		}
		want := func(want string) {
			t.Helper()
			open, err := publishers[1].OpenAlerts(t.Context(), room)
			testkit.Must(t, err)
			var escalated []string
			for _, o := range open {
				if o.EscalatedAt != 0 {
					escalated = append(escalated, o.ID)
				}
			}
			s, err := h.Subscribe(t.Context(), room)
			testkit.Must(t, err)
			h.Unsubscribe(room)
			if got := fmt.Sprint(escalated, " in ", s.Offset.N); got != want {
				t.Errorf("at %v: %s, want %s", time.Now(), got, want)
			}
		}
		raised := time.Now().UnixMilli()
		for _, id := range []string{"jam", "seen", "soon", "never"} {
			more := map[string]string{"soon": `,"escalateAfter":1`, "never": `,"escalateAfter":0`}[id]
			tell(wire.EventAlert, fmt.Sprintf(`{"id":%q,"raisedAt":%d%s}`, id, raised, more))
		}
		tell(wire.EventAlertAcknowledged, `{"id":"seen"}`)
		want("[] in 5")
		time.Sleep(time.Minute + 2*escalateEvery)
		want("[soon] in 6")
		time.Sleep(9 * time.Minute)
		want("[jam soon] in 7")
		time.Sleep(time.Hour)
		want("[jam soon] in 7")
		tell(wire.EventAlert, `{"id":"jam","cleared":true}`)
		tell(wire.EventAlert, `{"id":"jam"}`) // another one
		want("[soon] in 9")
		time.Sleep(11 * time.Minute)
		want("[soon jam] in 10")
		stop()
		<-ended
		<-ended
		testkit.Must(t, h.Close())
	})
}
