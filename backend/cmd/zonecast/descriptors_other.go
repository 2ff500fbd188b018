//go:build !unix

package main

import "math"

// descriptors is how many files this process may have open at once: on this system as many as there
// is memory for.
func descriptors() uint64 { return math.MaxUint64 }
