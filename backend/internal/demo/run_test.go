package demo

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
	"github.com/zonecast/zonecast/backend/internal/testkit"
	"github.com/zonecast/zonecast/backend/publish"
	"github.com/zonecast/zonecast/backend/wire"
)

// morning is a busy hour of an early shift.
var morning = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

// published is one message and when it was published, in real time since the beginning.
type published struct {
	publish.Message
	after time.Duration
}

// recorder is a Publisher that keeps what it gets, unless a fault takes it.
type recorder struct {
	start time.Time
	fault func(ctx context.Context, after time.Duration, m publish.Message) error

	mu       sync.Mutex
	messages []published
	lost     []published
}

func (r *recorder) PublishBatch(ctx context.Context, messages []publish.Message) ([]publish.Result, error) {
	var first error
	results := make([]publish.Result, len(messages))
	for i, m := range messages {
		at := published{m, time.Since(r.start)}
		if r.fault != nil {
			results[i].Err = r.fault(ctx, at.after, m)
		}
		r.mu.Lock()
		if results[i].Err == nil {
			r.messages = append(r.messages, at)
		} else {
			r.lost = append(r.lost, at)
		}
		r.mu.Unlock()
		if first == nil {
			first = results[i].Err
		}
	}
	return results, first
}

// play runs the demo for some real time in a bubble, and returns what was published and the log.
func play(t *testing.T, length time.Duration, o Options, r *recorder) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		r.start = time.Now()
		o.Publisher = r
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		if err := Run(ctx, o); err != nil {
			t.Error(err)
		}
	})
	return log.String()
}

func TestRunPublishesTheFloor(t *testing.T) {
	tests := []struct {
		name  string
		speed float64
		// snapshots is how many a room gets in a minute of real time, beside the first.
		snapshots int
	}{
		{"real time", 1, 2},
		{"default", 0, 60},
		{"an hour a minute", 60, 60},
		{"as fast as can be", MaxSpeed, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r recorder
			play(t, time.Minute-beat/2, Options{Seed: 7, Speed: tt.speed, Start: morning}, &r)
			updates, snapshots := map[wire.Room]int{}, map[wire.Room]int{}
			for _, m := range r.messages {
				room := wire.Room{Warehouse: m.Warehouse, Zone: m.Zone}
				switch m.Event {
				case wire.EventZoneUpdate:
					updates[room]++
				case wire.EventShiftSnapshot:
					snapshots[room]++
					if !m.Retain {
						t.Fatalf("a snapshot of %s is not retained", room)
					}
				}
			}
			if len(updates) != 12 || len(snapshots) != 15 {
				t.Errorf("updates went to %d rooms and snapshots to %d", len(updates), len(snapshots))
			}
			for room, n := range updates {
				if n != 40 {
					t.Errorf("%s got %d updates in a minute, want 40", room, n)
				}
			}
			for room, n := range snapshots {
				if n < tt.snapshots-1 || n > tt.snapshots+1 {
					t.Errorf("%s got %d snapshots in a minute, want %d", room, n, tt.snapshots)
				}
			}
		})
	}
}

// TestRunTellsTheFloorsStory replays the floor beside what Run published: every alert, in its order
// and place, in the beat in which it happened.
func TestRunTellsTheFloorsStory(t *testing.T) {
	var r recorder
	const length, speed = 2 * time.Minute, 30
	play(t, length, Options{Seed: 7, Speed: speed, Start: morning}, &r)
	f := floor.New(7, morning)
	var want []floor.Notice
	for after := beat; after < length; after += beat {
		want = append(want, f.Advance(morning.Add(after*speed))...)
	}
	var got []floor.Notice
	for _, m := range r.messages {
		a, ok := m.Data.(floor.Alert)
		if !ok {
			continue
		}
		got = append(got, floor.Notice{Warehouse: m.Warehouse, Zone: m.Zone, Alert: a})
		happened := time.UnixMilli(max(a.RaisedAt, a.ClearedAt)).Sub(morning) / speed
		if late := m.after - happened; late < 0 || late > beat {
			t.Errorf("%+v was published %v after it happened", a, late)
		}
	}
	if len(got) < 10 || len(got) != len(want) {
		t.Fatalf("%d alerts were published, %d happened", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("alert %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestSameSeedSameNumbers(t *testing.T) {
	// What is published when depends on the speed; what holds at a simulated time does not.
	type at struct {
		room wire.Room
		now  int64
	}
	numbers := func(speed float64, length time.Duration) map[at]floor.ZoneUpdate {
		var r recorder
		play(t, length, Options{Seed: 11, Speed: speed, Start: morning}, &r)
		all := map[at]floor.ZoneUpdate{}
		for _, m := range r.messages {
			if u, ok := m.Data.(floor.ZoneUpdate); ok {
				all[at{wire.Room{Warehouse: m.Warehouse, Zone: m.Zone}, u.Now}] = u
			}
		}
		return all
	}
	slow, fast := numbers(4, 2*time.Minute), numbers(24, 20*time.Second)
	common := 0
	for k, want := range slow {
		if got, ok := fast[k]; ok {
			common++
			if got != want {
				t.Errorf("%v: %+v at one speed, %+v at another", k, want, got)
			}
		}
	}
	if common < 12 {
		t.Errorf("the two runs have %d moments in common", common)
	}
}

// TestNewShift: whoever watches a room learns of a new shift before any number of it.
func TestNewShift(t *testing.T) {
	var r recorder
	log := play(t, 30*time.Second, Options{Seed: 7, Speed: 30, Start: time.Date(2026, 11, 24, 13, 52, 0, 0, time.UTC)}, &r)
	begin := time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC).UnixMilli()
	shifts := map[wire.Room]string{}
	for _, m := range r.messages {
		room := wire.Room{Warehouse: m.Warehouse, Zone: m.Zone}
		switch data := m.Data.(type) {
		case floor.ZoneSnapshot:
			shifts[room] = data.Shift
		case floor.WarehouseSnapshot:
			shifts[room] = data.Shift
		case floor.ZoneUpdate:
			if want := map[bool]string{false: "2026-11-24-early", true: "2026-11-24-late"}[data.Now >= begin]; shifts[room] != want {
				t.Errorf("%s: an update of the %s came under %q", room, want, shifts[room])
			}
		}
	}
	for room, shift := range shifts {
		if shift != "2026-11-24-late" {
			t.Errorf("%s ends in shift %s", room, shift)
		}
	}
	if !strings.Contains(log, `msg="shift begins" shift=2026-11-24-late`) {
		t.Errorf("the log does not speak of the new shift:\n%s", log)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	tests := []struct {
		name  string
		fault func(context.Context, time.Duration, publish.Message) error
	}{
		{"between two beats", nil},
		{"in a publish that hangs", func(ctx context.Context, _ time.Duration, _ publish.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}},
		{"while the server is away", awayBetween(0, time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				const end = 1100 * time.Millisecond
				time.AfterFunc(end, cancel)
				var log bytes.Buffer
				start := time.Now()
				err := Run(ctx, Options{Publisher: &recorder{start: start, fault: tt.fault}, Start: morning,
					Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if took := time.Since(start); err != nil || took != end {
					t.Errorf("got %v after %v, want nil after %v", err, took, end)
				}
				if !strings.Contains(log.String(), "simulated shift ends") {
					t.Errorf("the log does not say that it ended:\n%s", log.String())
				}
			})
		})
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		give Options
		want string
	}{
		{"no publisher", Options{}, "a publisher is missing"},
		{"backwards", Options{Publisher: &recorder{}, Speed: -1}, "speed is -1"},
		{"too fast", Options{Publisher: &recorder{}, Speed: MaxSpeed + 1}, "at most 3600"},
		{"not a number", Options{Publisher: &recorder{}, Speed: math.NaN()}, "speed is NaN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Run(t.Context(), tt.give); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTheDefaultIsABusyMorning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := recorder{start: time.Now()}
		testkit.Must(t, Run(ctx, Options{Publisher: &r}))
		first := time.UnixMilli(r.messages[0].Data.(floor.WarehouseSnapshot).Now)
		y, m, d := time.Now().Date()
		if want := time.Date(y, m, d, 9, 30, 0, 0, time.Local); !first.Equal(want) {
			t.Errorf("it begins at %v, want %v", first, want)
		}
	})
}

// TestThroughTheClient: what Run publishes is what the API's endpoint gets.
func TestThroughTheClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case bodies <- r.URL.Path + " " + string(body):
		default:
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	client, err := publish.New(server.URL)
	testkit.Must(t, err)
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Publisher: client, Seed: 7, Start: morning}) }()
	got := <-bodies
	cancel()
	testkit.Must(t, <-done)
	const want = `/api/v1/broadcast {"messages":[{"warehouse":"warehouse-1","event":"SHIFT_SNAPSHOT","data":{"shift":"2026-11-24-early",`
	if !strings.HasPrefix(got, want) {
		t.Errorf("the first request is\n%.200s\nwant\n%s", got, want)
	}
}
