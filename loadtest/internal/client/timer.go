//go:build linux

package client

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"
)

// A Timer is something that is to be done at a time.
type Timer struct {
	at uint64
	do func(now uint64) // nil when it was stopped
}

// Stop sees to it that the timer does nothing. It may be nil, or over.
func (t *Timer) Stop() {
	if t != nil {
		t.do = nil
	}
}

type timers []*Timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(*Timer)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	return x
}

// At does something at a time, in the loop; at once, if that is over.
func (l *Loop) At(at uint64, do func(now uint64)) *Timer {
	t := &Timer{at: at, do: do}
	heap.Push(&l.timers, t)
	return t
}

// runTimers does what is due and returns when the next timer is, 0 if there is none.
func (l *Loop) runTimers(now uint64) (next uint64) {
	for len(l.timers) > 0 {
		t := l.timers[0]
		if t.do != nil && t.at > now {
			return t.at
		}
		heap.Pop(&l.timers)
		if do := t.do; do != nil {
			t.do = nil
			do(now)
		}
	}
	return 0
}

// The clock's zero is the machine's start, so that all processes on it read the same time.
var (
	started = time.Now()
	offset  = sinceBoot()
)

func sinceBoot() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // this process alone knows its time then
	}
	return uint64(t.Nano())
}

// Now returns the nanoseconds on the clock of all processes on this machine. It never goes back.
func Now() uint64 { return offset + uint64(time.Since(started)) }
