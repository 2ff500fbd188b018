package wire

import "time"

// Micros is a point in time in microseconds since 1970-01-01 UTC, by the clock of the broker: what
// latencies are measured from. 0 means unknown. Frames carry milliseconds.
type Micros int64

// MicrosOf returns t in microseconds.
func MicrosOf(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Time returns the point in time.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)) }

// Millis returns milliseconds since 1970, as in [Message].Time.
func (m Micros) Millis() int64 { return int64(m) / 1000 }
