//go:build !race

package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	seed      = flag.Uint64("seed", 0, "the seed to simulate, with its transcript; 0 for the first -seeds")
	first     = flag.Uint64("first", 1, "the first of -seeds")
	seeds     = flag.Int("seeds", 60, "how many seeds to simulate")
	failFirst = flag.Bool("failfirst", false, "stop at the first seed that fails")
	without   = flag.String("without", "", "names of clients, publishers and faults to leave out, with commas")
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1) // so that little depends on how goroutines are scheduled
	os.Exit(m.Run())
}

func TestSeeds(t *testing.T) {
	if *seed != 0 {
		r := Run(t, New(*seed).Without(strings.Split(*without, ",")...))
		t.Logf("%s", r.Transcript)
		for _, v := range r.Violations {
			t.Error(v)
		}
		return
	}
	for n := *first; n < *first+uint64(*seeds); n++ {
		began := time.Now()
		if r := Run(t, New(n)); len(r.Violations) > 0 {
			t.Errorf("seed %d: %s\nrepeat it by: go test ./internal/sim -run TestSeeds -seed %d -v", n, strings.Join(r.Violations, "\n  "), n)
			if *failFirst {
				return
			}
		}
		if testing.Verbose() {
			fmt.Println("seed", n, time.Since(began))
		}
	}
}
