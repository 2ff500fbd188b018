package testkit

import "runtime"

// LiveHeap returns how many bytes of the heap are reachable.
func LiveHeap() int64 {
	runtime.GC()
	runtime.GC() // what pools have let go of, and what was allocated during the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
