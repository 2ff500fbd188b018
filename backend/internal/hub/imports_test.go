package hub_test

import (
	gobuild "go/build"
	"strings"
	"testing"

	"github.com/zonecast/zonecast/backend/internal/testkit"
)

// Who may do what is decided before the hub: neither it nor the queues know tokens, keys and
// operators.
func TestTheHubAndTheQueuesKnowNothingOfAuthentication(t *testing.T) {
	seen := map[string]bool{}
	var look func(name string)
	look = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		p, err := gobuild.ImportDir("../"+name, 0)
		testkit.Must(t, err)
		for _, path := range p.Imports {
			if inner, ok := strings.CutPrefix(path, "github.com/zonecast/zonecast/backend/internal/"); ok {
				look(inner)
			}
		}
	}
	look("hub")
	for _, name := range []string{"auth", "access", "operator", "transport"} {
		if seen[name] || !seen["outbox"] {
			t.Errorf("the hub imports %s, maybe through others: %v", name, seen)
		}
	}
}
