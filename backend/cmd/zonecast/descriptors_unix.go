//go:build unix

package main

import (
	"math"
	"syscall"
)

// descriptors is how many files this process may have open at once. Go has raised the soft limit to
// the hard one already.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64
	}
	return uint64(limit.Max)
}
