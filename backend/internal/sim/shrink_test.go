//go:build !race

package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// What a failure does not take is left out.
func TestShrinkLeavesOutWhatIsNotNeeded(t *testing.T) {
	s := &Scenario{Clients: []Actor{{Name: "c1"}, {Name: "c2"}}, Publishers: []Actor{{Name: "p1"}}, Faults: []Fault{{Name: "f1"}, {Name: "f2"}}}
	less, without := s.Shrink(func(s *Scenario) bool {
		return len(s.Publishers) == 1 && slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Name == "f2" })
	})
	if got := strings.Join(less.names(), " "); got != "f2 p1" || strings.Join(without, " ") != "f1 c1 c2" {
		t.Errorf("%s is left without %v, want f2 p1", got, without)
	}
}

// The seed of -seed is shrunk, and its transcript shown.
func TestShrink(t *testing.T) {
	if *seed == "" {
		return // it is for a person with a seed that fails
	}
	s, err := Parse(*seed, *without)
	testkit.Must(t, err)
	if len(Run(t, s).Violations) == 0 {
		t.Fatalf("seed %s does not fail: there is nothing to make small", *seed)
	}
	less, without := s.Shrink(func(s *Scenario) bool { return len(Run(t, s).Violations) > 0 })
	r := Run(t, less)
	t.Logf("\n%s\nsee it again: go test ./internal/sim -run TestSeeds -v -seed %s -without %s", r.Transcript, *seed, strings.Join(without, ","))
	for _, v := range r.Violations {
		t.Error(v)
	}
}
