package demo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/wire"
)

var errAway = errors.New("the server is away")

// awayBetween fails everything between two times.
func awayBetween(from, to time.Duration) func(context.Context, time.Duration, publish.Message) error {
	return func(_ context.Context, after time.Duration, _ publish.Message) error {
		if after >= from && after < to {
			return errAway
		}
		return nil
	}
}

func TestTheShiftGoesOnWhilePublishingFails(t *testing.T) {
	const from, to = 20 * time.Second, 50 * time.Second
	r := recorder{fault: awayBetween(from, to)}
	log := play(t, 80*time.Second, Options{Seed: 7, Speed: 30, Start: morning}, &r)
	if n := strings.Count(log, "publishing fails"); n != 1 || !strings.Contains(log, errAway.Error()) {
		t.Errorf("the log says %d times that publishing fails:\n%s", n, log)
	}
	if n := strings.Count(log, "publishing works again"); n != 1 {
		t.Errorf("the log says %d times that publishing works again:\n%s", n, log)
	}
	complete := map[wire.Room]bool{}
	var last floor.ZoneUpdate
	for _, m := range r.messages {
		room := wire.Room{Warehouse: m.Warehouse, Zone: m.Zone}
		if m.after >= to && m.Event == wire.EventShiftSnapshot {
			complete[room] = true
		}
		if m.after >= to+beat && !complete[room] {
			t.Errorf("%s got a %s before its snapshot", room, m.Event)
		}
		if u, ok := m.Data.(floor.ZoneUpdate); ok && room == (wire.Room{Warehouse: "warehouse-1", Zone: "zone-a"}) {
			last = u
		}
	}
	if len(complete) != 15 {
		t.Errorf("%d rooms got a snapshot in the end", len(complete))
	}
	// The simulated time has not waited.
	if now := time.UnixMilli(last.Now); now.Sub(morning) < 38*time.Minute {
		t.Errorf("after 80 s it is %v", now.UTC())
	}
}

// TestAlertsSurviveAnOutage: after it, everybody has heard of each alert that is open and of the
// end of each that they know.
func TestAlertsSurviveAnOutage(t *testing.T) {
	const from, to = 30 * time.Second, 100 * time.Second
	r := recorder{fault: awayBetween(from, to)}
	play(t, 3*time.Minute, Options{Seed: 3, Speed: 30, Start: morning}, &r)

	f := floor.New(3, morning)
	happened := map[string]int{} // 1 raised, 2 cleared
	for _, n := range f.Advance(morning.Add((3*time.Minute - beat) * 30)) {
		happened[n.Alert.ID]++
	}
	heard := map[string]int{}
	for _, m := range r.messages {
		if a, ok := m.Data.(floor.Alert); ok {
			if (a.ClearedAt == 0) != (heard[a.ID] == 0) && happened[a.ID] == 2 {
				t.Errorf("%+v came as number %d", a, heard[a.ID]+1)
			}
			heard[a.ID]++
		}
	}
	missed := 0
	for id, n := range happened {
		switch {
		case heard[id] == 0 && n == 2:
			missed++ // raised and cleared while nobody could hear
		case heard[id] != n:
			t.Errorf("%s: heard %d of %d", id, heard[id], n)
		}
	}
	if missed == 0 || missed > len(happened)/2 {
		t.Errorf("%d of %d alerts were never heard of", missed, len(happened))
	}
}

// TestAPublishThatHangsIsGivenUp: the wall's picture is old by then, and the floor goes on.
func TestAPublishThatHangsIsGivenUp(t *testing.T) {
	hang := true
	r := recorder{fault: func(ctx context.Context, _ time.Duration, _ publish.Message) error {
		if hang {
			<-ctx.Done()
			hang = false
		}
		return ctx.Err()
	}}
	log := play(t, 10*time.Second, Options{Start: morning}, &r)
	if !strings.Contains(log, "publishing works again") {
		t.Errorf("it did not go on:\n%s", log)
	}
	if len(r.messages) == 0 || r.messages[0].after < publishWithin || r.messages[0].after > publishWithin+beat {
		t.Errorf("it went on with %d messages", len(r.messages))
	}
}

func TestAPublisherThatMiscounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Run(ctx, Options{Publisher: miscounts{}, Start: morning, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "gave 0 results for") {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}

type miscounts struct{}

func (miscounts) PublishBatch(context.Context, []publish.Message) ([]publish.Result, error) {
	return nil, nil
}
