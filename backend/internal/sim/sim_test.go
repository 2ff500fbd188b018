//go:build !race

package sim

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

var (
	seed      = flag.String("seed", "", "the seed to simulate, with its transcript; empty for the first -seeds")
	without   = flag.String("without", "", "names of clients, publishers and faults of -seed to leave out, with commas")
	trace     = flag.Bool("network", false, "show each delivery of the network in the transcript of -seed, too")
	first     = flag.Uint64("first", 1, "the first of -seeds")
	seeds     = flag.Uint64("seeds", 200, "how many seeds to simulate")
	failFirst = flag.Bool("failfirst", false, "stop at the first seed that fails")
)

// Each seed keeps the promises; that of -seed shows how.
func TestSeeds(t *testing.T) {
	if *seed != "" {
		s, err := Parse(*seed, *without)
		testkit.Must(t, err)
		r := run(t, s, *trace)
		t.Logf("\n%s", r.Transcript)
		for _, v := range r.Violations {
			t.Error(v)
		}
		return
	}
	began := time.Now()
	var next atomic.Uint64
	var failed atomic.Bool
	t.Run("all", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("some", func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < *seeds && !(*failFirst && failed.Load()); n = next.Add(1) - 1 {
					if r := Run(t, New(*first+n)); len(r.Violations) > 0 {
						failed.Store(true)
						t.Error(failure(*first+n, r))
					}
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d seeds in %v: %.1f a second", min(next.Load(), *seeds), took.Round(time.Second/10), float64(*seeds)/took.Seconds())
}

// failure says what was broken, and by which commands a person sees it again.
func failure(seed uint64, r Result) string {
	return fmt.Sprintf("seed %d: %s\nsee it again:   go test ./internal/sim -run TestSeeds -seed %d -v\nmake it small:  go test ./internal/sim -run TestShrink -seed %d -v",
		seed, strings.Join(r.Violations, "\n  "), seed, seed)
}

// A seed repeats its transcript, byte for byte and to the last delivery of the network: on one
// processor, on two, and while others are busy.
func TestASeedRepeatsItsTranscript(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for n := range min(*seeds, 8) {
		seed := *first + n
		runtime.GOMAXPROCS(1)
		want := run(t, New(seed), true).Transcript
		runtime.GOMAXPROCS(2)
		got := run(t, New(seed), true).Transcript
		stop := keepBusy()
		busy := run(t, New(seed), true).Transcript
		stop()
		switch {
		case got != want:
			t.Errorf("seed %d differs on two processors:\n%s", seed, firstDifference(want, got))
		case busy != want:
			t.Errorf("seed %d differs while others are busy:\n%s", seed, firstDifference(want, busy))
		}
	}
}

// keepBusy lets goroutines compete for the processors.
func keepBusy() (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !over.Load() {
				runtime.Gosched()
			}
		})
	}
	return func() { over.Store(true); all.Wait() }
}

// firstDifference shows where two transcripts part.
func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	i := 0
	for i < min(len(as), len(bs)) && as[i] == bs[i] {
		i++
	}
	end := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+4, len(lines))], "\n") }
	return fmt.Sprintf("%s\n--- line %d, of %d and %d\n%s\n+++\n%s", strings.Join(as[max(0, i-6):i], "\n"), i+1, len(as), len(bs), end(as), end(bs))
}

// Who asks for a scenario that there is not is told what was expected.
func TestScenariosThatThereAreNot(t *testing.T) {
	for _, c := range []struct{ seed, without, want string }{
		{"", "", `seed "": want a number from 1 to`},
		{"0", "", `seed "0": want a number from 1 to`},
		{"-3", "", `seed "-3": want a number from 1 to`},
		{"1e3", "", `seed "1e3": want a number from 1 to`},
		{"17", "f1,nobody", `seed 17 has no "nobody" to leave out: it has f1, `},
	} {
		if _, err := Parse(c.seed, c.without); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q without %q: %v, want %s", c.seed, c.without, err, c.want)
		}
	}
	if s, err := Parse("17", "c1"); err != nil || slices.Contains(s.names(), "c1") {
		t.Errorf("17 without c1 has %v, %v", s, err)
	}
}
