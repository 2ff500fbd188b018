package broker

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/zonecast/zonecast/backend/wire"
)

// A Quota is what one warehouse may keep, in all of its rooms together. Zero values mean no limit.
type Quota struct {
	Rooms int // that were published to
	// HistoryBytes bounds the history and the idempotency keys. Near it each room keeps less; a
	// message for which that does not make enough room is refused.
	HistoryBytes   int
	RetainedBytes  int
	RetainedEvents int
}

// A Usage is what a warehouse keeps, as a [Quota] counts it.
type Usage struct{ Rooms, HistoryBytes, RetainedBytes, RetainedEvents int }

// The names of quotas: in errors, and as labels of the metrics.
const (
	QuotaRooms          = "rooms"
	QuotaHistoryBytes   = "history_bytes"
	QuotaRetainedBytes  = "retained_bytes"
	QuotaRetainedEvents = "retained_events"
	QuotaMemory         = "memory_bytes"
	QuotaPublishRate    = "publish_rate"
)

// A QuotaError refuses a publication that is beyond a quota.
type QuotaError struct {
	Quota string // its name
	err   *wire.Error
}

// Error says which quota it is, its value, and the setting.
func (e *QuotaError) Error() string { return e.err.Message }

// Unwrap returns what the publisher is told.
func (e *QuotaError) Unwrap() error { return e.err }

// RateExceeded refuses a publication to a warehouse that is published to faster than its quota.
func RateExceeded(warehouse string, perSecond float64, wait time.Duration) error {
	e := wire.Errorf(wire.CodeRateLimited, "the warehouse %s is published to faster than its quota of %v messages a second: "+
		"publish slower, or raise QUOTA_PUBLISH_RATE", warehouse, perSecond).(*wire.Error)
	e.RetryAfter = max(1, wait.Milliseconds())
	return &QuotaError{Quota: QuotaPublishRate, err: e}
}

func quotaError(quota, format string, args ...any) error {
	return &QuotaError{Quota: quota, err: wire.Errorf(wire.CodeQuotaExceeded, format, args...).(*wire.Error)}
}

// exceeded returns the error of a warehouse's quota, by its name.
func (q Quota) exceeded(name, warehouse string) error {
	switch name {
	case QuotaRooms:
		return quotaError(name, "the warehouse %s has its quota of %d rooms: delete rooms that are not needed, or raise QUOTA_ROOMS",
			warehouse, q.Rooms)
	case QuotaHistoryBytes:
		return quotaError(name, "the history of the warehouse %s has its quota of %d bytes, and this room has too little to give up: "+
			"publish less, or raise QUOTA_HISTORY_BYTES", warehouse, q.HistoryBytes)
	case QuotaRetainedBytes:
		return quotaError(name, "what is retained in the warehouse %s has its quota of %d bytes: delete retained events, or raise "+
			"QUOTA_RETAINED_BYTES", warehouse, q.RetainedBytes)
	}
	return quotaError(name, "the warehouse %s has its quota of %d retained events: delete some, or raise QUOTA_RETAINED_EVENTS",
		warehouse, q.RetainedEvents)
}

// left returns what a warehouse that keeps u may keep beyond that; less than nothing when it is
// over a quota.
func (q Quota) left(u Usage) Usage {
	of := func(quota, used int) int { return cmp.Or(quota, math.MaxInt32<<20) - used }
	return Usage{Rooms: of(q.Rooms, u.Rooms), HistoryBytes: of(q.HistoryBytes, u.HistoryBytes),
		RetainedBytes: of(q.RetainedBytes, u.RetainedBytes), RetainedEvents: of(q.RetainedEvents, u.RetainedEvents)}
}

func (u Usage) plus(v Usage) Usage {
	return Usage{u.Rooms + v.Rooms, u.HistoryBytes + v.HistoryBytes, u.RetainedBytes + v.RetainedBytes,
		u.RetainedEvents + v.RetainedEvents}
}

func (u Usage) minus(v Usage) Usage {
	return u.plus(Usage{-v.Rooms, -v.HistoryBytes, -v.RetainedBytes, -v.RetainedEvents})
}

// messageCost is what a message of the history counts besides its data, in bytes.
const messageCost = 128

// A Deleter takes away what was published. Errors are *wire.Error of wire.CodeUnavailable.
type Deleter interface {
	// DeleteRetained deletes what is retained of an event. Messages of the history stay. It reports
	// whether there was something.
	DeleteRetained(ctx context.Context, room wire.Room, event string) (bool, error)
	// DeleteRoom deletes all that is kept of a room. It gets a new epoch, and its members a gap. It
	// reports whether anything had been published there.
	DeleteRoom(ctx context.Context, room wire.Room) (bool, error)
}
