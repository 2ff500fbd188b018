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
	seed    = flag.Uint64("seed", 0, "the seed to simulate, with its transcript; 0 for the first -seeds")
	first   = flag.Uint64("first", 1, "the first of -seeds")
	seeds   = flag.Int("seeds", 200, "how many seeds to simulate")
	without = flag.String("without", "", "names of clients, publishers and faults to leave out, with commas")
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1) // so that a seed decides it all
	os.Exit(m.Run())
}

// A seed decides everything: the same one gives the same transcript, byte for byte.
func TestASeedIsRepeated(t *testing.T) {
	for n := range uint64(3) {
		one, two := Run(t, New(n+1)), Run(t, New(n+1))
		a, b := strings.Split(one.Transcript, "\n"), strings.Split(two.Transcript, "\n")
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				t.Fatalf("seed %d, line %d of %d and %d:\n%s\nand then:\n%s", n+1, i, len(a), len(b), strings.Join(a[max(0, i-5):min(i+3, len(a))], "\n"),
					strings.Join(b[max(0, i-1):min(i+3, len(b))], "\n"))
			}
		}
	}
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
		}
		if testing.Verbose() {
			fmt.Println("seed", n, time.Since(began))
		}
	}
}
