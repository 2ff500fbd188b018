//go:build linux || darwin

package limits

import (
	"runtime"
	"syscall"
	"time"
)

// raise sets the soft limit of descriptors to the hard one if it is below need, and returns what holds then.
func raise(need uint64) (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Cur >= need || l.Cur >= l.Max {
		return l.Cur, nil
	}
	raised := syscall.Rlimit{Cur: l.Max, Max: l.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return l.Cur, nil // not permitted: what there is has to do
	}
	return raised.Cur, nil
}

// Used returns the CPU time of this process and the most memory it had, since its start.
func Used() (cpu time.Duration, peakBytes uint64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	peak := uint64(u.Maxrss)
	if runtime.GOOS == "linux" {
		peak <<= 10 // KiB there, bytes on macOS
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), peak
}
