package config

import (
	"fmt"
	"regexp"
	"time"
)

// Storage has the settings of what is kept, and where.
type Storage struct {
	RedisPrefix string        `env:"REDIS_PREFIX" default:"zonecast" help:"Prefix of all keys and channels in Redis. Servers with different prefixes share a Redis without sharing anything in it."`
	RetainAge   time.Duration `env:"RETAIN_AGE" default:"168h" help:"Maximum age of retained events; 0 = unlimited."`
	MemoryBytes int           `env:"MEMORY_BYTES" default:"268435456" help:"Maximum size in bytes of what is kept without Redis: histories, retained events, idempotency keys. They take up to 1.5 times as much heap, and garbage collection as much again. Rooms that were published to longest ago give up their history first."`

	QuotaRooms          int     `env:"QUOTA_ROOMS" default:"10000" help:"Maximum rooms of one warehouse that were published to; 0 = unlimited."`
	QuotaHistoryBytes   int     `env:"QUOTA_HISTORY_BYTES" default:"134217728" help:"Maximum size in bytes of the history of one warehouse; 0 = unlimited. Near it rooms keep fewer messages."`
	QuotaRetainedBytes  int     `env:"QUOTA_RETAINED_BYTES" default:"16777216" help:"Maximum size in bytes of the retained events of one warehouse; 0 = unlimited."`
	QuotaRetainedEvents int     `env:"QUOTA_RETAINED_EVENTS" default:"10000" help:"Maximum retained events of one warehouse; 0 = unlimited."`
	QuotaPublishRate    float64 `env:"QUOTA_PUBLISH_RATE" default:"10000" help:"Messages per second that may be published to one warehouse through one instance; 0 = unlimited."`
	QuotaPublishBurst   float64 `env:"QUOTA_PUBLISH_BURST" default:"20000" help:"Messages that may be published to one warehouse at once."`
}

// prefixes are those that no other is part of, since names go on with a colon.
var prefixes = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// leastMemory is the least MemoryBytes.
const leastMemory = 1 << 20

// check reports the mistakes.
func (s *Storage) check(bad func(format string, args ...any)) {
	if !prefixes.MatchString(s.RedisPrefix) {
		bad("--redis-prefix %.80q must be 1 to 64 characters of A-Z a-z 0-9 . _ -", s.RedisPrefix)
	}
	for _, v := range []struct {
		name         string
		least, value int64
		unit         string
	}{
		{"--memory-bytes", leastMemory, int64(s.MemoryBytes), fmt.Sprint(leastMemory)},
		{"--quota-rooms", 0, int64(s.QuotaRooms), "0"},
		{"--quota-history-bytes", 0, int64(s.QuotaHistoryBytes), "0"},
		{"--quota-retained-bytes", 0, int64(s.QuotaRetainedBytes), "0"},
		{"--quota-retained-events", 0, int64(s.QuotaRetainedEvents), "0"},
	} {
		if v.value < v.least {
			bad("%s must be at least %s", v.name, v.unit)
		}
	}
	if s.RetainAge != 0 && s.RetainAge < time.Second {
		bad("--retain-age must be at least 1s, or 0 for unlimited")
	}
	switch {
	case !(s.QuotaPublishRate >= 0): // not a number is neither
		bad("--quota-publish-rate must be at least 0")
	case s.QuotaPublishRate > 0 && !(s.QuotaPublishBurst >= 1):
		bad("--quota-publish-burst %v lets nothing through: set it to at least 1, or --quota-publish-rate to 0", s.QuotaPublishBurst)
	}
}
