package sim

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// patienceOfWatchdog is how long, in real time, one step of a world may take.
const patienceOfWatchdog = time.Minute

// watch ends the program when a simulation stands still, and names those for whom it waits. The
// usual cause is a mutex that is held while something is awaited: testing/synctest takes nobody who
// waits for a mutex to be at rest, so its clock stops.
func watch(seed uint64, steps *atomic.Int64) (end func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(patienceOfWatchdog)
		defer tick.Stop()
		for before := int64(-1); ; {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			now := steps.Load()
			if now == before {
				fmt.Fprintf(os.Stderr, "seed %d stands still after %d steps. It waits for\n\n%s", seed, now, restless(allStacks()))
				os.Exit(3)
			}
			before = now
		}
	}()
	return func() { close(done) }
}

func allStacks() string {
	for size := 1 << 20; ; size *= 2 {
		if p := make([]byte, size); runtime.Stack(p, true) < size {
			return strings.TrimRight(string(p), "\x00")
		}
	}
}

// restless returns the stacks of the goroutines in bubbles that synctest does not take to be at
// rest.
func restless(stacks string) string {
	var found []string
	for one := range strings.SplitSeq(stacks, "\n\n") {
		head, _, _ := strings.Cut(one, "\n")
		if strings.Contains(head, "synctest bubble") && !strings.Contains(head, "(durable)") && !strings.Contains(head, "[synctest.") {
			found = append(found, one)
		}
	}
	if len(found) == 0 {
		return stacks
	}
	return strings.Join(found, "\n\n") + "\n"
}
