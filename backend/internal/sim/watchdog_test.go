//go:build !race

package sim

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

func waitForTheMutex(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
}

// Of a simulation that stands still, those are named for whom it waits, and nobody who rests.
func TestAStandstillNamesWhomItWaitsFor(t *testing.T) {
	release, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		synctest.Test(t, func(*testing.T) {
			var mu sync.Mutex
			mu.Lock()
			resting := make(chan struct{})
			go waitForTheMutex(&mu)
			go restForever(resting)
			<-release
			mu.Unlock()
			close(resting)
		})
	}()
	testkit.Eventually(t, "it is named", func() bool {
		named := restless(allStacks())
		return strings.Contains(named, "waitForTheMutex") && !strings.Contains(named, "restForever")
	})
	close(release)
	<-over
}

func restForever(until chan struct{}) { <-until }
