package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/zonecast/zonecast/backend/internal/demo/floor"
	"github.com/zonecast/zonecast/backend/publish"
)

const (
	// DefaultSpeed makes an hour of two minutes.
	DefaultSpeed = 30
	// MaxSpeed makes an hour of one second.
	MaxSpeed = 3600
)

const (
	beat = 250 * time.Millisecond
	// publishWithin bounds one publish with its retries: the picture of a busy floor ages fast.
	publishWithin = 5 * time.Second
	// longestNap bounds the real time that one beat makes up for. After a longer pause (a laptop
	// that slept) the simulated time goes on from where it was.
	longestNap = time.Minute
)

// A Publisher takes the events; a *publish.Client is one. PublishBatch returns a result for each
// message, with Err set in those that were not published, and may block until its context ends.
type Publisher interface {
	PublishBatch(ctx context.Context, messages []publish.Message) ([]publish.Result, error)
}

var _ Publisher = (*publish.Client)(nil)

// Options are what [Run] needs to know.
type Options struct {
	// Publisher is required.
	Publisher Publisher
	// Logger gets a line at the beginning, at the end, at each new shift, and when publishing fails
	// or works again; nil logs nothing.
	Logger *slog.Logger
	// Seed chooses the day: the same seed, start and location give the same numbers at the same
	// simulated time.
	Seed uint64
	// Speed is how many seconds pass on the floor in one real second: 1 is real time, 60 an hour a
	// minute. 0 means [DefaultSpeed]; at most [MaxSpeed].
	Speed float64
	// Start is the simulated time at which the demo begins; the clock of its location decides about
	// shifts. The zero Time means half past nine of the current day in the local zone, when an
	// early shift is in full swing.
	Start time.Time
}

func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Start.IsZero() {
		y, m, d := time.Now().Date()
		o.Start = time.Date(y, m, d, 9, 30, 0, 0, time.Local)
	}
	var err error
	o.Speed, err = checkSpeed(o.Speed)
	if o.Publisher == nil {
		err = errors.Join(errors.New("a publisher is missing"), err)
	}
	return err
}

func checkSpeed(speed float64) (float64, error) {
	if speed == 0 {
		return DefaultSpeed, nil
	}
	if !(speed > 0 && speed <= MaxSpeed) { // not a number is neither
		return speed, fmt.Errorf("speed is %v: it must be more than 0 and at most %d", speed, MaxSpeed)
	}
	return speed, nil
}

// Run plays the shift until ctx is done and returns nil then. An error means that the options make
// no sense. It returns as soon as a publish under way has given up, which the context makes it do.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	f := floor.New(o.Seed, o.Start)
	s := newStage(f)
	w := watch{log: o.Logger}
	o.Logger.Info("simulated shift begins", "shift", f.Shift(), "at", f.Now(), "speed", o.Speed, "rooms", len(s.rooms))
	defer func() {
		o.Logger.Info("simulated shift ends", "at", f.Now(), "published", w.published, "failed", w.failed)
	}()

	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	simulated, last, shift := o.Start, time.Now(), f.Shift()
	for {
		due := s.due()
		results, err := publishDue(ctx, o.Publisher, due)
		s.settle(due, results)
		if ctx.Err() != nil {
			return nil
		}
		w.note(results, err)

		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := time.Now()
		simulated = simulated.Add(stretch(min(now.Sub(last), longestNap), o.Speed))
		last = now
		s.advance(simulated)
		if f.Shift() != shift {
			shift = f.Shift()
			o.Logger.Info("shift begins", "shift", shift)
		}
	}
}

func stretch(d time.Duration, speed float64) time.Duration {
	return time.Duration(math.Round(float64(d) * speed))
}

// publishDue returns a result for each message, whatever the publisher does.
func publishDue(ctx context.Context, p Publisher, due []publish.Message) ([]publish.Result, error) {
	if len(due) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	results, err := p.PublishBatch(ctx, due)
	if len(results) == len(due) {
		return results, err
	}
	if err == nil {
		err = fmt.Errorf("the publisher gave %d results for %d messages", len(results), len(due))
	}
	results = make([]publish.Result, len(due))
	for i := range results {
		results[i].Err = err
	}
	return results, err
}

// A watch counts what was published, and logs when publishing fails and works again.
type watch struct {
	log       *slog.Logger
	published int
	failed    int

	failing bool
	since   time.Time
	missed  int // since then
}

func (w *watch) note(results []publish.Result, err error) {
	failed := 0
	for _, r := range results {
		if r.Err != nil {
			failed++
		}
	}
	w.published += len(results) - failed
	w.failed += failed
	w.missed += failed
	switch {
	case failed > 0 && !w.failing:
		w.failing, w.since = true, time.Now()
		w.log.Warn("publishing fails, the shift goes on", "err", err)
	case failed == 0 && len(results) > 0 && w.failing:
		w.log.Info("publishing works again", "missed", w.missed, "after", time.Since(w.since))
		w.failing, w.missed = false, 0
	}
}
