//go:build linux

package swarm

import (
	"time"

	"golang.org/x/sys/unix"
)

// The zero of the clock is the machine's start, so that all processes of a run on one machine read the same time.
var (
	begun  = time.Now()
	offset = sinceBoot()
)

func sinceBoot() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // this process alone knows its time then
	}
	return uint64(t.Nano())
}

// Now returns the time in nanoseconds on the clock that all processes on this machine share. It never goes back.
func Now() uint64 { return offset + uint64(time.Since(begun)) }
