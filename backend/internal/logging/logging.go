// Package logging makes the server's log, and bounds what strangers can write into it.
//
//	cmd/zonecast ── New ──▶ *slog.Logger ── Sampled ──▶ *slog.Logger for lines that come in floods
//
// Nothing but records goes out, one a line: JSON where it is asked for. Durations have their unit.
package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/zonecast/zonecast/backend/internal/limit"
)

// New returns a logger that writes to out, in the format json or text.
func New(out io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: withUnit}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}

// withUnit writes durations like 1.5s in both formats: as JSON they would be nanoseconds.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}

// sampling is how many lines of one kind are written at once, and each second in a flood.
var sampling = limit.Rate{Tokens: 100, Refill: 10}

// leftOutInterval is how often it is said how many were left out.
const leftOutInterval = 10 * time.Second

// Sampled returns a logger for one kind of line, which may come in floods: at most 100 are written
// at once and 10 a second from then on. How many were left out is said every 10 s.
func Sampled(log *slog.Logger, kind string) *slog.Logger {
	return slog.New(&sampled{Handler: log.Handler(), state: &sampledState{kind: kind, log: log}})
}

type sampled struct {
	slog.Handler
	state *sampledState
}

type sampledState struct {
	kind string
	log  *slog.Logger

	mu      sync.Mutex
	bucket  limit.Bucket
	leftOut int
}

// Handle implements slog.Handler.
func (s *sampled) Handle(ctx context.Context, r slog.Record) error {
	if !s.state.take(time.Now()) {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *sampled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampled{s.Handler.WithAttrs(attrs), s.state}
}

// WithGroup implements slog.Handler.
func (s *sampled) WithGroup(name string) slog.Handler {
	return &sampled{s.Handler.WithGroup(name), s.state}
}

func (s *sampledState) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bucket.Spend(sampling, 1, now) == 0 {
		return true
	}
	if s.leftOut++; s.leftOut == 1 {
		time.AfterFunc(leftOutInterval, s.tell)
	}
	return false
}

func (s *sampledState) tell() {
	s.mu.Lock()
	n := s.leftOut
	s.leftOut = 0
	s.mu.Unlock()
	s.log.Info("lines left out", "of", s.kind, "count", n)
}
