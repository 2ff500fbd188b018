package cluster_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zonecast/zonecast/backend/internal/alertlog"
	"github.com/zonecast/zonecast/backend/internal/bus"
	"github.com/zonecast/zonecast/backend/internal/cluster"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/wire"
)

// An alert that is raised through one instance and cleared through another has one history, which
// all of them tell; what somebody else writes into Redis is not in it.
func TestTheHistoryOfAlertsIsThatOfAllInstances(t *testing.T) {
	server := startRedis(t)
	open := func(name string) *alertlog.Log {
		l := alertlog.New(slog.New(slog.DiscardHandler))
		l.Use(cluster.AlertStore{Redis: joinAs(t, server.URL, name, func(o *cluster.Options) { o.Prefix = "here" }).Redis},
			bus.New([]string{"a-secret-of-these-tests-with-32-bytes"}))
		return l
	}
	a, b := open("a"), open("b")
	room, now := wire.Room{Warehouse: "w", Zone: "a"}, time.Now()
	for i := range 600 { // more than one page
		id := fmt.Sprintf(`{"id":%d}`, i)
		a.Note(t.Context(), room, wire.EventAlert, []byte(id), now)
		b.Note(t.Context(), room, wire.EventAlertAcknowledged, []byte(id), now.Add(time.Second))
	}
	b.Note(t.Context(), room, wire.EventAlert, []byte(`{"id":0,"cleared":true}`), now.Add(time.Minute))
	options, err := redis.ParseURL(server.URL)
	testkit.Must(t, err)
	stranger := redis.NewClient(options)
	t.Cleanup(func() { stranger.Close() })
	testkit.Must(t, stranger.XAdd(t.Context(), &redis.XAddArgs{Stream: "here:alerts:w",
		Values: []string{"entry", `{"room":"zone:w:a","event":"ALERT","at":1,"alert":{"id":"forged"}}`}}).Err())

	records, complete, err := a.Since(t.Context(), "w", now.Add(-time.Hour), now.Add(time.Hour))
	testkit.Must(t, err)
	if len(records) != 600 || !complete {
		t.Fatalf("%d alerts (complete: %v), want 600", len(records), complete)
	}
	for _, r := range records {
		if want := map[bool]string{true: "cleared"}[r.ID == "0"]; r.TimeToAcknowledge != 1000 || r.Ended != want || want != "" && r.TimeToClear != 60_000 {
			t.Errorf("%+v", r)
		}
	}
	if ttl := stranger.PTTL(t.Context(), "here:alerts:w").Val(); ttl <= 0 {
		t.Errorf("it is kept for %v", ttl)
	}
}
